#!/usr/bin/env bash
# Tests of the chart: what it renders, what it refuses, and, where a cluster answers, what the API server says to it.
#
#   charts/entente/tests/render.sh
#
# Needs helm (3 or 4) and jq. HELM and KUBECTL name other binaries. The part with a cluster is run only if KUBECONFIG,
# or the test cluster's kubeconfig, leads to one that answers; nothing is changed there.
# shellcheck disable=SC2016  # $ in single quotes is jq's
set -euo pipefail

CHART=$(cd "$(dirname "$0")/.." && pwd)
ROOT=$(cd "$CHART/../.." && pwd)
CACHE=${ENTENTE_CACHE:-$HOME/.cache/entente}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
passed=0 failed=0

tool() { # NAME: the one on the PATH, else the one in the cache
  command -v "$1" || { [ -x "$CACHE/bin/$1" ] && echo "$CACHE/bin/$1"; } || { echo "render.sh: $1 not found on the PATH or in $CACHE/bin" >&2; exit 1; }
}
HELM=${HELM:-$(tool helm)}
tool jq >/dev/null

ok() { passed=$((passed + 1)); echo "ok   $1"; }
bad() { failed=$((failed + 1)); echo "FAIL $1"; [ -z "${2:-}" ] || while IFS= read -r line; do echo "     $line"; done <<<"$2"; }

# Helm itself turns YAML into JSON: a chart whose only template prints a file's documents.
mkdir -p "$WORK/json/templates"
printf 'apiVersion: v2\nname: json\nversion: 0.0.0\n' >"$WORK/json/Chart.yaml"
cat >"$WORK/json/templates/all.yaml" <<'T'
{{- range regexSplit "(?m)^---$" (.Files.Get "in.yaml") -1 }}
{{- with fromYaml . }}
---
{{ toJson . }}
{{- end }}
{{- end }}
T

# A helm built from source without a release's flags believes in a very old Kubernetes.
template() { "$HELM" template entente "$CHART" --namespace entente-system --kube-version 1.35.0 "$@"; }

render() { # VALUES...: leaves all objects, hooks among them, as one array in $WORK/objects.json
  template "$@" >"$WORK/json/in.yaml"
  "$HELM" template json "$WORK/json" --kube-version 1.35.0 | grep '^{' | jq -s . >"$WORK/objects.json"
}

check() { # WHAT FILTER: the filter must be true of the array of objects
  local answer
  if answer=$(jq -r "def one(k): map(select(.kind == k)) | if length == 1 then .[0] else error(\"\(length) of kind \" + k) end;
      def named(k; n): map(select(.kind == k and .metadata.name == n)) | if length == 1 then .[0] else error(\"\(length) of \" + k + \" \" + n) end;
      def workloads: map(select(.kind == \"Deployment\" or .kind == \"Job\"));
      $2" "$WORK/objects.json" 2>&1) && [ "$answer" = true ]; then
    ok "$1"
  else
    bad "$1" "$answer"
  fi
}

refused() { # WHAT PATTERN VALUES...: rendering must fail, with a message that matches
  local what=$1 pattern=$2 answer
  shift 2
  if answer=$(template "$@" 2>&1 >/dev/null); then
    bad "$what" "was accepted"
  elif grep -Eq "$pattern" <<<"$answer"; then
    ok "$what"
  else
    bad "$what" "$answer"
  fi
}

lint() { # WHAT VALUES...
  local what=$1 answer
  shift
  if answer=$("$HELM" lint --strict --kube-version 1.35.0 "$CHART" "$@" 2>&1); then ok "$what"; else bad "$what" "$answer"; fi
}

crds_are_those_of_the_types() {
  local answer
  if answer=$(diff -r "$ROOT/crds/yaml" "$CHART/crds" 2>&1); then
    ok "crds/ is a copy of crds/yaml"
  else
    bad "crds/ is a copy of crds/yaml (run \`make crds\`)" "$answer"
  fi
}

defaults() {
  render
  check "every kind of the CRDs is in the operator's rules" \
    'named("ClusterRole"; "entente-operator").rules | map(select(.apiGroups == ["entente.dev"]).resources[]) | contains(["brokers", "clients", "queues", "servicecontracts", "subscriptions", "topics", "brokers/status", "clients/status", "queues/status", "servicecontracts/status", "subscriptions/status", "topics/status"])'
  check "no ClusterRole reaches Secrets, workloads or a wildcard" \
    'map(select(.kind == "ClusterRole").rules[] | select(.resources != ["pods"] or .verbs != ["list"]) | .apiGroups + .resources + .verbs | .[]) as $words
     | ["*", "secrets", "pods", "statefulsets", "deployments", "roles", "clusterroles", "escalate", "bind", "impersonate"] | all(. as $w | $words | index($w) | not)'
  check "ConfigMaps are read by name, and neither listed nor changed" \
    'named("ClusterRole"; "entente-operator").rules | map(select(.resources == ["configmaps"])) | length == 1 and .[0].verbs == ["get"]'
  check "rights over Secrets are given in the release namespace alone" \
    'map(select(.kind == "Role" and ([.rules[].resources[]] | index("secrets")))) | map(.metadata.namespace) | unique == ["entente-system"]'
  check "Secrets of Clients are reached by name alone" \
    'named("Role"; "entente-operator-clients").rules == [{apiGroups: [""], resources: ["secrets"], verbs: ["get", "create", "patch", "delete"]}]'
  check "what a Broker is made of can be made and changed, and never deleted" \
    '[named("Role"; "entente-operator-brokers").rules[].verbs[]] | (index("patch") != null) and (index("delete") or index("deletecollection") or index("*") | not)'
  check "pods are evicted, so that the disruption budget has the last word" \
    'named("Role"; "entente-operator-brokers").rules | any(.resources == ["pods/eviction"] and .verbs == ["create"]) and all(.resources != ["pods"] or .verbs == ["get", "list", "watch", "patch"])'
  check "the operator cannot make or delete the objects of users" \
    '[named("ClusterRole"; "entente-operator").rules[] | select(.apiGroups == ["entente.dev"]).verbs[]] | (index("create") or index("delete")) | not'
  check "only the operator's own Lease can be changed" \
    '[named("Role"; "entente-operator-lease").rules[] | select(.verbs | index("update")).resourceNames] == [["entente-operator"]]'
  check "events are written in the group events.k8s.io" \
    '[named("ClusterRole"; "entente-operator").rules[] | select(.resources == ["events"]) | .apiGroups[]] == ["events.k8s.io"]'
  check "the right to make Brokers is not aggregated to tenants" \
    'map(select(.kind == "ClusterRole" and ((.metadata.labels // {}) | keys | any(test("aggregate-to-(edit|admin)")))).rules[].resources[]) | (length > 0) and (index("brokers") | not)'
  check "the CRD Job may change our CRDs and nothing else" \
    'named("ClusterRole"; "entente-crds").rules | length == 1 and .[0].resources == ["customresourcedefinitions"] and .[0].resourceNames == ["brokers.entente.dev", "clients.entente.dev", "queues.entente.dev", "servicecontracts.entente.dev", "subscriptions.entente.dev", "topics.entente.dev"] and .[0].verbs == ["get", "create", "patch"]'
  check "the CRD Job and its rights are hooks before install and upgrade, and go when it succeeded" \
    'map(select(.metadata.name == "entente-crds").metadata.annotations | (."helm.sh/hook" == "pre-install,pre-upgrade") and (."helm.sh/hook-delete-policy" | contains("hook-succeeded"))) == [true, true, true, true]'
  check "pods are non-root, with seccomp" \
    'workloads | length == 2 and all(.spec.template.spec.securityContext | .runAsNonRoot and .runAsUser >= 1000 and .seccompProfile.type == "RuntimeDefault")'
  check "containers have a read-only root, no capabilities, no way to more privilege" \
    '[workloads[].spec.template.spec.containers[].securityContext] | length == 2 and all(.readOnlyRootFilesystem and .allowPrivilegeEscalation == false and .capabilities == {drop: ["ALL"]})'
  check "containers have requests and a memory limit" \
    '[workloads[].spec.template.spec.containers[].resources] | all(.requests.cpu and .requests.memory and .limits.memory)'
  check "the ServiceAccounts themselves mount no token" 'map(select(.kind == "ServiceAccount")) | length == 2 and all(.automountServiceAccountToken == false)'
  check "two replicas, kept by a PodDisruptionBudget, preferring different machines" \
    'one("Deployment").spec.replicas == 2 and one("PodDisruptionBudget").spec.maxUnavailable == 1
     and (one("Deployment").spec.template.spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution | length == 1)'
  check "selectors find the operator's pods, and not the CRD Job's" \
    '(one("Deployment").spec.selector.matchLabels) as $s | one("PodDisruptionBudget").spec.selector.matchLabels == $s and (map(select(.kind == "Service").spec.selector) | length == 2 and all(. == $s))
     and (one("Deployment").spec.template.metadata.labels | contains($s)) and (one("Job").spec.template.metadata.labels | contains($s) | not)'
  check "the environment is what the operator reads" \
    '[one("Deployment").spec.template.spec.containers[0].env[].name] | sort == ["ENTENTE_ADMISSION_CERTIFICATES", "ENTENTE_ADMISSION_LISTEN", "ENTENTE_ADMISSION_NAME", "ENTENTE_BROKER_IMAGE", "ENTENTE_BROKER_NAMESPACES", "ENTENTE_CLUSTER_DOMAIN", "ENTENTE_LISTEN", "ENTENTE_LOG", "ENTENTE_LOG_FORMAT", "ENTENTE_NAMESPACE", "ENTENTE_POD_NAME", "ENTENTE_RESYNC"]'
  check "the operator serves its own namespace" '[one("Deployment").spec.template.spec.containers[0].env[] | select(.name == "ENTENTE_BROKER_NAMESPACES").value] == ["entente-system"]'
  check "health and readiness are probed" 'one("Deployment").spec.template.spec.containers[0] | .livenessProbe.httpGet.path == "/healthz" and .readinessProbe.httpGet.path == "/readyz"'
  check "the default Broker outlives the release" 'one("Broker").metadata.annotations."helm.sh/resource-policy" == "keep"'
  check "the default Broker has three nodes" 'one("Broker").spec | .replicas == 3 and .default'
  check "nothing optional is there" 'map(.kind) | (index("NetworkPolicy") or index("ServiceMonitor")) | not'
}

values() {
  render --set defaultBroker.enabled=false --set crds.apply=false --set rbac.userRoles=false --set podDisruptionBudget.enabled=false --set metrics.service=false --set admission.enabled=false
  check "what is switched off is not there" 'map(.kind) | unique == ["ClusterRole", "ClusterRoleBinding", "Deployment", "Role", "RoleBinding", "ServiceAccount"]'
  render --set operator.replicas=1
  check "a single replica has no PodDisruptionBudget: it would stop every drain" 'map(.kind) | index("PodDisruptionBudget") | not'
  render --set 'brokerNamespaces={entente-system,messaging}'
  check "Broker rights follow brokerNamespaces" \
    'map(select(.kind == "Role" and .metadata.name == "entente-operator-brokers").metadata.namespace) | sort == ["entente-system", "messaging"]'
  check "bindings in other namespaces name the operator's own ServiceAccount" \
    'map(select(.kind == "RoleBinding").subjects[].namespace) | unique == ["entente-system"]'
  render --set 'clients.namespaces={shop,billing}'
  check "Client rights follow clients.namespaces" \
    'map(select(.kind == "Role" and .metadata.name == "entente-operator-clients").metadata.namespace) | sort == ["billing", "shop"]'
  render
  check "workloads are scaled by /scale alone" \
    'named("ClusterRole"; "entente-operator-scaling").rules | map(select(.verbs | contains(["patch"])).resources[]) | all(endswith("/scale"))'
  render --set 'scaling.furtherTargets[0].group=argoproj.io' --set 'scaling.furtherTargets[0].resource=rollouts'
  check "further kinds can be scaled" \
    'named("ClusterRole"; "entente-operator-scaling").rules | any(.apiGroups == ["argoproj.io"] and .resources == ["rollouts/scale"])'
  render --set 'scaling.podDeletionCost.namespaces={shop,bar}'
  check "pods are annotated where it is said, and in no other namespace" \
    'map(select(.metadata.name == "entente-operator-pod-deletion-cost" and .kind == "Role")) | (map(.metadata.namespace) | sort == ["bar", "shop"]) and all(.rules == [{apiGroups: [""], resources: ["pods"], verbs: ["patch"]}])'
  check "the operator knows where" '[one("Deployment").spec.template.spec.containers[0].env[] | select(.name == "ENTENTE_POD_DELETION_COST_NAMESPACES").value] == ["shop,bar"]'
  check "the right to patch pods comes with a policy that fails closed and is for the operator alone" \
    'one("ValidatingAdmissionPolicy").spec as $p | one("ValidatingAdmissionPolicyBinding").spec as $b | $p.failurePolicy == "Fail" and $b.validationActions == ["Deny"] and $b.policyName == "entente-operator-pods"
     and ($p.matchConditions | length == 1 and (.[0].expression | contains("system:serviceaccount:entente-system:entente-operator"))) and ($p.matchConstraints.resourceRules | length == 1 and .[0].resources == ["pods"])'
  render --set 'scaling.podDeletionCost.namespaces={*}'
  check "\"*\" lets pods be annotated everywhere, under the same policy" \
    'named("ClusterRole"; "entente-operator-pod-deletion-cost").rules == [{apiGroups: [""], resources: ["pods"], verbs: ["patch"]}] and (map(.kind) | index("ValidatingAdmissionPolicy") != null)'
  render --set scaling.enabled=false --set 'scaling.podDeletionCost.namespaces={*}'
  check "without scaling no pod is annotated" '[.. | strings | select(test("pod-deletion-cost|POD_DELETION"))] == []'
  render --set scaling.enabled=false
  check "without scaling there is no right to it" 'map(select(.metadata.name == "entente-operator-scaling")) == []'
  render --set 'clients.namespaces={*}'
  check "\"*\" gives the rights over Clients' Secrets in every namespace, without list and watch" \
    'named("ClusterRole"; "entente-operator-clients").rules | length == 1 and .[0].verbs == ["get", "create", "patch", "delete"]'
  render --set 'brokerNamespaces={*}'
  check "\"*\" gives the rights in every namespace" 'named("ClusterRole"; "entente-operator-brokers") and (map(select(.kind == "Role").metadata.name) | sort == ["entente-operator-admission", "entente-operator-clients", "entente-operator-lease"])'
  check "\"*\" is what the operator is told" '[one("Deployment").spec.template.spec.containers[0].env[] | select(.name == "ENTENTE_BROKER_NAMESPACES").value] == ["*"]'
  render --set operator.image.repository=reg.example:5000/e/operator --set operator.image.tag=9.9 --set brokerImage=reg.example/b:1 --set 'imagePullSecrets[0].name=pull'
  check "images are taken from the values" \
    '[workloads[].spec.template.spec | .containers[0].image, .imagePullSecrets[0].name] | unique == ["pull", "reg.example:5000/e/operator:9.9"]'
  render --set operator.image.tag= --set "operator.image.digest=sha256:$(printf '0%.0s' {1..64})"
  check "a digest wins over a tag" '[workloads[].spec.template.spec.containers[0].image | test("@sha256:0{64}$")] | all'
  render --set networkPolicy.enabled=true --set admission.enabled=false
  check "the NetworkPolicy closes the port" 'one("NetworkPolicy").spec | .policyTypes == ["Ingress"] and .ingress == []'
  render --set networkPolicy.enabled=true
  check "the NetworkPolicy leaves the webhook's port to the API servers" 'one("NetworkPolicy").spec.ingress == [{ports: [{port: "admission", protocol: "TCP"}]}]'
  render --set networkPolicy.enabled=true --set 'networkPolicy.admissionFrom[0].ipBlock.cidr=192.0.2.1/32'
  check "the NetworkPolicy limits the webhook's port to whom is named" 'one("NetworkPolicy").spec.ingress[0].from == [{ipBlock: {cidr: "192.0.2.1/32"}}]'
  render --set networkPolicy.enabled=true --set 'networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=observability'
  check "the NetworkPolicy opens it to whom is named" 'one("NetworkPolicy").spec.ingress[0].from == [{namespaceSelector: {matchLabels: {team: "observability"}}}]'
  render --set metrics.service=false --set metrics.serviceMonitor.enabled=true --set metrics.serviceMonitor.labels.release=prometheus
  check "a ServiceMonitor brings the Service that it selects" \
    '(one("ServiceMonitor").spec.selector.matchLabels) as $s | (named("Service"; "entente-operator-metrics").metadata.labels | contains($s)) and one("ServiceMonitor").metadata.labels.release == "prometheus"'
  render --set defaultBroker.spec.replicas=1 --set defaultBroker.name=other
  check "values change parts of the default Broker and keep the rest" 'one("Broker") | .metadata.name == "other" and .spec.replicas == 1 and .spec.storage.size == "10Gi"'
  render --set documents.serve=true
  check "documents are served where that is asked for" '[one("Deployment").spec.template.spec.containers[0].env[] | select(.name == "ENTENTE_DOCUMENTS").value] == ["true"]'
  render --set probes.enabled=false
  check "probes are switched off where that is asked for" '[one("Deployment").spec.template.spec.containers[0].env[] | select(.name == "ENTENTE_PROBES").value] == ["false"]'
  render --set checks.enabled=false
  check "messages are not checked where that is asked for" '[one("Deployment").spec.template.spec.containers[0].env[] | select(.name == "ENTENTE_CHECKS").value] == ["false"]'
  render --set operator.otlpEndpoint=http://collector:4318 --set operator.podLabels.team=a
  check "traces go where they are told" '[one("Deployment").spec.template.spec.containers[0].env[] | select(.name == "OTEL_EXPORTER_OTLP_ENDPOINT").value] == ["http://collector:4318"]'
}

admission() {
  render
  local webhook='one("ValidatingWebhookConfiguration").webhooks'
  check "the webhook has one entry of a name that never changes" "$webhook | map(.name) == [\"admission.entente.dev\"]"
  check "without an operator nothing is held up" "${webhook}[0] | .failurePolicy == \"Ignore\" and .timeoutSeconds <= 5 and .sideEffects == \"None\""
  check "the chart leaves caBundle to the operator" "${webhook}[0].clientConfig | has(\"caBundle\") | not"
  check "the chart leaves the content of the webhook's Secret to the operator" 'named("Secret"; "entente-operator-admission") | (has("data") or has("stringData")) | not'
  check "every kind is judged, and its status is not" \
    "(${webhook}[0].rules[0].resources) as \$r | (named(\"ClusterRole\"; \"entente-operator\").rules[0].resources) == \$r and (\$r | all(test(\"/\") | not))"
  check "only a ServiceContract is asked about when it goes" "${webhook}[0].rules | map(select(.operations | index(\"DELETE\"))) | length == 1 and .[0].resources == [\"servicecontracts\"]"
  check "kube-system and who asks for it are left out" "${webhook}[0].namespaceSelector.matchExpressions | map(.key) == [\"kubernetes.io/metadata.name\", \"entente.dev/admission\"] and (.[0].values | index(\"kube-system\")) != null"
  check "what the operator does itself is left out" "${webhook}[0].matchConditions | any(.expression | contains(\"system:serviceaccount:entente-system:entente-operator\"))"
  check "the Service leads to the port of the webhook" \
    'named("Service"; "entente-operator-admission").spec.ports == [{name: "admission", port: 443, targetPort: "admission"}] and (one("Deployment").spec.template.spec.containers[0].ports | any(.name == "admission"))'
  check "the operator may change that one webhook and make none" \
    'named("ClusterRole"; "entente-operator-admission").rules == [{apiGroups: ["admissionregistration.k8s.io"], resources: ["validatingwebhookconfigurations"], resourceNames: ["entente-operator-admission"], verbs: ["get", "patch"]}]'
  check "the operator reaches that one Secret" \
    'named("Role"; "entente-operator-admission").rules == [{apiGroups: [""], resources: ["secrets"], resourceNames: ["entente-operator-admission"], verbs: ["get", "patch"]}]'
  render --set admission.certManager.enabled=true
  check "with cert-manager the operator only reads" \
    'named("Role"; "entente-operator-admission").rules[0].verbs == ["get"] and (map(select(.kind == "ClusterRole" and .metadata.name == "entente-operator-admission")) == [])
     and ([one("Deployment").spec.template.spec.containers[0].env[] | select(.name == "ENTENTE_ADMISSION_CERTIFICATES").value] == ["given"])'
  check "cert-manager makes the Secret and injects its authority" \
    'one("Certificate").spec.secretName == "entente-operator-admission" and one("Certificate").spec.issuerRef == {kind: "Issuer", name: "entente-operator-admission"} and (one("Issuer").spec | has("selfSigned"))
     and one("ValidatingWebhookConfiguration").metadata.annotations."cert-manager.io/inject-ca-from" == "entente-system/entente-operator-admission" and (map(.kind) | index("Secret") | not)'
  render --set admission.certManager.enabled=true --set admission.certManager.issuerRef.kind=ClusterIssuer --set admission.certManager.issuerRef.name=internal
  check "an issuer that is there is used" 'one("Certificate").spec.issuerRef == {kind: "ClusterIssuer", name: "internal"} and (map(.kind) | index("Issuer") | not)'
  render --set admission.enabled=false
  check "without admission nothing of it is there" '[.. | strings | select(test("admission"; "i"))] == []'
}

keda() {
  render --set keda.enabled=true
  check "KEDA asks by a Service that leads to the port" \
    'named("Service"; "entente-operator-keda").spec.ports == [{name: "keda", port: 9443, targetPort: "keda"}] and (one("Deployment").spec.template.spec.containers[0].ports | any(.name == "keda" and .containerPort == 9443))'
  check "the operator knows where to listen and by which name" \
    '[one("Deployment").spec.template.spec.containers[0].env[] | select(.name | startswith("ENTENTE_KEDA")).value] == ["0.0.0.0:9443", "entente-operator-keda"]'
  check "the chart leaves the content of the Secret for KEDA to the operator" 'named("Secret"; "entente-operator-keda") | (has("data") or has("stringData")) | not'
  check "the operator reaches that Secret by its name" \
    'named("Role"; "entente-operator-keda").rules == [{apiGroups: [""], resources: ["secrets"], resourceNames: ["entente-operator-keda"], verbs: ["get", "patch"]}]'
  render --set keda.enabled=true --set networkPolicy.enabled=true --set admission.enabled=false
  check "the NetworkPolicy leaves the port to KEDA's namespace" \
    'one("NetworkPolicy").spec.ingress == [{ports: [{port: "keda", protocol: "TCP"}], from: [{namespaceSelector: {matchLabels: {"kubernetes.io/metadata.name": "keda"}}}]}]'
  render --set networkPolicy.enabled=true
  check "without KEDA nothing of it is there" '[.. | strings | select(test("keda"; "i"))] == []'
}

dashboard() {
  render --set dashboard.enabled=true --set dashboard.annotations.grafana_folder=Messaging
  check "the dashboard is found by Grafana's sidecar" 'named("ConfigMap"; "entente-operator-dashboard").metadata | .labels.grafana_dashboard == "1" and .annotations.grafana_folder == "Messaging"'
  check "the dashboard is JSON with panels, each with a title, a description of its own and a query" \
    'named("ConfigMap"; "entente-operator-dashboard").data["entente.json"] | fromjson | (.uid | length > 0) and ([.panels[] | select(.type != "row")] | length >= 8 and all((.title | length > 0) and (.description | length > 0) and (.targets | length > 0 and all(.expr | length > 0))))'
  check "panels have ids of their own and do not lie over each other" \
    'named("ConfigMap"; "entente-operator-dashboard").data["entente.json"] | fromjson | .panels | (map(.id) | length == (unique | length))
     and ([.[] | . as $p | range(0; $p.gridPos.h) as $y | range(0; $p.gridPos.w) as $x | [$p.gridPos.x + $x, $p.gridPos.y + $y]] | length == (unique | length) and all(.[0] < 24))'
  render
  check "without it there is no ConfigMap" 'map(.kind) | index("ConfigMap") | not'
}

refusals() {
  refused "an unknown value is refused" "dditional propert.*replica([^s]|$)" --set operator.replica=3
  refused "an unknown section is refused" "dditional propert.*metric([^s]|$)" --set metric.service=true
  refused "a number of replicas that is no number is refused" "replicas.*(got string|expected: integer)" --set operator.replicas=two
  refused "a duration without a unit is refused" "resync" --set-string operator.resync=60
  refused "a resync below a second is refused" "resync" --set operator.resync=500ms
  refused "a log format that does not exist is refused" "logFormat" --set operator.logFormat=xml
  refused "a namespace that is no name is refused" "brokerNamespaces" --set 'brokerNamespaces={My_Space}'
  refused "a namespace of pods that is no name is refused" "podDeletionCost" --set 'scaling.podDeletionCost.namespaces={No_Name}'
  refused "an empty image is refused" "brokerImage" --set brokerImage=
  refused "a digest that is none is refused" "digest" --set operator.image.digest=sha256:12
  refused "a label that selectors rely on is refused" "operator.podLabels: \"app.kubernetes.io/name\" is set by the chart" --set 'operator.podLabels.app\.kubernetes\.io/name=x'
  refused "a time-out that Kubernetes would refuse is refused" "timeoutSeconds" --set admission.timeoutSeconds=60
  refused "a null where a value is needed is refused" "brokerImage" --set brokerImage=null
  refused "a default Broker where Brokers may not run is refused, with the way out" "add \"entente-system\" to brokerNamespaces" --set 'brokerNamespaces={messaging}'
}

with_cluster() {
  local kubeconfig=${KUBECONFIG:-/var/lib/entente-e2e/admin.kubeconfig} kubectl answer file
  kubectl=${KUBECTL:-$(tool kubectl 2>/dev/null || true)}
  if [ -z "$kubectl" ] || ! "$kubectl" --kubeconfig "$kubeconfig" --request-timeout 5s get --raw /readyz >/dev/null 2>&1; then
    echo "skip validation by an API server: no cluster answers"
    return
  fi
  # Namespaces of our own may not exist there, and a dry run makes none: all goes to "default".
  server() {
    "$kubectl" --kubeconfig "$kubeconfig" apply --server-side --dry-run=server --force-conflicts --field-manager=render-test -f "$1" 2>&1
  }
  if answer=$(server "$CHART/crds"); then ok "API server: CRDs"; else bad "API server: CRDs" "$answer"; fi
  local with_broker=true
  if ! "$kubectl" --kubeconfig "$kubeconfig" get crd brokers.entente.dev clients.entente.dev queues.entente.dev servicecontracts.entente.dev subscriptions.entente.dev topics.entente.dev >/dev/null 2>&1; then
    with_broker=false
    echo "skip the API server's word on Brokers and Queues: the CRDs are not installed there"
  fi
  "$HELM" template render-test "$CHART" --namespace default --kube-version 1.35.0 --set networkPolicy.enabled=true --set 'scaling.podDeletionCost.namespaces={default}' --set keda.enabled=true --set dashboard.enabled=true --set defaultBroker.enabled="$with_broker" >"$WORK/all.yaml"
  if answer=$(server "$WORK/all.yaml"); then ok "API server: objects of the chart"; else bad "API server: objects of the chart" "$answer"; fi
  if [ "$with_broker" = true ]; then
    for file in "$ROOT"/examples/{quickstart,orders-and-billing,orders-and-billing/jobs,dead-letters,dead-letters/jobs,autoscaling,autoscaling/jobs,contract-evolution}/*.yaml; do
      sed -E 's/^( *)namespace: .*/\1namespace: default/' "$file" >"$WORK/example.yaml"
      if answer=$(server "$WORK/example.yaml"); then ok "API server: ${file##*/}"; else bad "API server: ${file##*/}" "$answer"; fi
    done
  fi
}

lint "lint: defaults"
lint "lint: everything on" --set networkPolicy.enabled=true --set metrics.serviceMonitor.enabled=true --set 'brokerNamespaces={*}' --set 'scaling.podDeletionCost.namespaces={*}' --set keda.enabled=true --set dashboard.enabled=true
crds_are_those_of_the_types
defaults
values
admission
keda
dashboard
refusals
with_cluster
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
