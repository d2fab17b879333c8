{{- define "entente.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "entente.operator" -}}
{{ include "entente.fullname" . }}-operator
{{- end -}}

{{/* Of the webhook's Service, Secret, configuration and rights alike. */}}
{{- define "entente.admission" -}}
{{ include "entente.operator" . }}-admission
{{- end -}}

{{/* Of the Service by which KEDA asks, and of the Secret with its certificate. */}}
{{- define "entente.keda" -}}
{{ include "entente.operator" . }}-keda
{{- end -}}

{{- define "entente.serviceAccount" -}}
{{ default (include "entente.operator" .) .Values.serviceAccount.name }}
{{- end -}}

{{/* Labels of the operator's pods: selectors rely on them, and a Deployment's cannot be changed. */}}
{{- define "entente.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "entente.labels" -}}
{{ include "entente.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The CRD Job is not a replica of the operator: no selector may count it. */}}
{{- define "entente.crdLabels" -}}
{{ include "entente.labels" . | replace "component: operator" "component: crds" }}
{{- end -}}

{{/* Further labels or annotations: those that the chart sets itself would be duplicate keys, and selectors rely on them. */}}
{{- define "entente.further" -}}
{{- range $key, $_ := .map -}}
{{- if regexMatch "^(app\\.kubernetes\\.io/(name|instance|component|version|managed-by)|helm\\.sh/chart|kubectl\\.kubernetes\\.io/default-container)$" $key -}}
{{- fail (printf "%s: %q is set by the chart; choose another key" $.of $key) -}}
{{- end -}}
{{- end -}}
{{- toYaml .map -}}
{{- end -}}

{{- define "entente.image" -}}
{{- $image := .Values.operator.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* The namespaces in which Brokers may run, as a list under "names", or "everywhere". */}}
{{- define "entente.brokerNamespaces" -}}
{{- $names := .Values.brokerNamespaces -}}
{{- if not $names -}}
{{- $names = list .Release.Namespace -}}
{{- end -}}
{{- $everywhere := has "*" $names -}}
{{- if and .Values.defaultBroker.enabled (not $everywhere) (not (has .Release.Namespace $names)) -}}
{{- fail (printf "defaultBroker runs in the release namespace: add %q to brokerNamespaces, or set defaultBroker.enabled=false" .Release.Namespace) -}}
{{- end -}}
{{- dict "names" (uniq $names) "everywhere" $everywhere | toYaml -}}
{{- end -}}

{{/* The plural names of our kinds, from the CRDs of this chart: a new kind is never forgotten in a rule. */}}
{{- define "entente.plurals" -}}
{{- $plurals := list -}}
{{- range $path, $_ := .Files.Glob "crds/*.yaml" -}}
{{- $crd := $.Files.Get $path | fromYaml -}}
{{- $plurals = append $plurals $crd.spec.names.plural -}}
{{- end -}}
{{- if not $plurals -}}
{{- fail "no CRD was found in crds/" -}}
{{- end -}}
{{- dict "all" (sortAlpha $plurals) | toYaml -}}
{{- end -}}

{{/* The same for the operator and the CRD Job: nothing that a pod does not need. */}}
{{- define "entente.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "entente.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
