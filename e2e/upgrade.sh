#!/usr/bin/env bash
# upgrade.sh: an upgrade and an uninstallation take nothing that is declared, and no message; a new installation takes all of it up again.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_cluster
passed=0 failed=0
NS=e2e-upgrade

check() { # WHAT COMMAND…
  local what=$1 out
  shift
  if out=$("$@" 2>&1); then passed=$((passed + 1)); echo "ok    $what"; else failed=$((failed + 1)); echo "FAIL  $what"; echo "      ${out//$'\n'/$'\n      '}"; fi
}
image=$(tar -xOf "$CACHE/images/operator.tar" manifest.json | sha256sum | cut -c1-16)
upgrade() {
  helm upgrade --install entente charts/entente -n "$SYSTEM" --values e2e/values.yaml --set-string "operator.podAnnotations.image-archive=$image" --wait --timeout 3m "$@"
}
uid() { kubectl -n "$2" get "$1" "$3" -o jsonpath='{.metadata.uid}'; }
pods() { kubectl -n "$SYSTEM" get pods -l entente.dev/broker=main -o jsonpath='{.items[*].metadata.uid}'; }
WEBHOOK=entente-operator-admission
bundle() { kubectl get validatingwebhookconfiguration "$WEBHOOK" -o jsonpath='{.webhooks[0].clientConfig.caBundle}'; }
trusted() { for _ in $(seq 60); do [ -z "$(bundle)" ] || return 0; sleep 0.5; done; echo "no caBundle after 30 s"; return 1; }
absent() { if kubectl "$@" >/dev/null 2>&1; then echo "it is still there"; return 1; fi; }
same() { if [ "$1" != "$2" ]; then echo "was $1, is $2"; return 1; fi; }

kubectl create namespace "$NS" >/dev/null
kubectl label namespace "$NS" entente.dev/e2e=true >/dev/null
trap 'kubectl delete namespace "$NS" --timeout=90s >/dev/null 2>&1 || true' EXIT
kubectl -n "$NS" apply -f - >/dev/null <<'Y'
apiVersion: entente.dev/v1alpha1
kind: Queue
metadata:
  name: kept
spec:
  deletionPolicy: Delete
---
apiVersion: entente.dev/v1alpha1
kind: ServiceContract
metadata:
  name: orders
spec:
  owner: team orders
  operations: [{name: placed, action: Send}]
  versions:
    - name: v1
      desiredState: Active
      messages: [{operation: placed, format: JsonSchema, schema: '{"type": "object"}'}]
---
apiVersion: entente.dev/v1alpha1
kind: Subscription
metadata:
  name: mail
spec:
  contractRef: {name: orders, version: v1, operation: placed}
  deletionPolicy: Delete
Y
wait_ready queue kept "$NS" 60
wait_ready subscription mail "$NS" 60
check "the operator tells the API server whom to trust" trusted
authority=$(bundle)
activated() { kubectl -n "$NS" get servicecontract orders -o jsonpath='{.metadata.uid} {.status.versions[0].state} {.status.versions[0].activatedAt}'; }
contract=$(activated) broker=$(uid broker "$SYSTEM" main) queue=$(uid queue "$NS" kept) crd=$(kubectl get crd queues.entente.dev -o jsonpath='{.metadata.uid}') nodes=$(pods)

# As if an older version were installed: the upgrade must bring the CRDs to this version.
kubectl patch crd queues.entente.dev --type=json -p '[{"op":"remove","path":"/spec/names/shortNames"}]' >/dev/null
check "helm upgrade succeeds" upgrade --set operator.log=debug
check "helm upgrade brings the CRDs to this version" same eq "$(kubectl get crd queues.entente.dev -o jsonpath='{.spec.names.shortNames[0]}')"
check "helm upgrade leaves the Broker alone" same "$broker" "$(uid broker "$SYSTEM" main)"
check "helm upgrade restarts no node of the Broker" same "$nodes" "$(pods)"
check "helm upgrade leaves the webhook's authority" same "$authority" "$(bundle)"
check "helm uninstall succeeds" helm -n "$SYSTEM" uninstall entente --wait --timeout 2m
check "helm uninstall leaves the CRDs" same "$crd" "$(kubectl get crd queues.entente.dev -o jsonpath='{.metadata.uid}')"
check "helm uninstall takes the webhook" absent get validatingwebhookconfiguration "$WEBHOOK"
check "helm uninstall takes the webhook's certificate" absent -n "$SYSTEM" get secret "$WEBHOOK"
check "helm uninstall leaves the Broker" same "$broker" "$(uid broker "$SYSTEM" main)"
check "helm uninstall leaves the Queue" same "$queue" "$(uid queue "$NS" kept)"
check "helm uninstall leaves the Broker's nodes" same "$nodes" "$(pods)"
check "helm uninstall leaves the ServiceContract, and its version as it was" same "$contract" "$(activated)"
check "a new installation succeeds" upgrade
check "a new installation has a webhook that is trusted" trusted
check "a new installation takes the Broker up" same "$broker" "$(uid broker "$SYSTEM" main)"
kubectl -n "$NS" patch queue kept --type=merge -p '{"spec":{"maxLength":7}}' >/dev/null
check "a new installation serves the Queue" wait_ready queue kept "$NS" 60
check "a new installation takes the ServiceContract's version up as it was" same "$contract" "$(activated)"
check "a new installation restarts no node of the Broker" same "$nodes" "$(pods)"
kubectl -n "$NS" delete queue kept --wait=false >/dev/null
check "a Queue of the former installation can be deleted" kubectl -n "$NS" wait --for=delete queue/kept --timeout=30s
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
