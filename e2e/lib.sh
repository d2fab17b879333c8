# shellcheck shell=bash
# shellcheck disable=SC2034  # read by the scripts that source this
# Sourced by the scripts beside it: where things are, and what several of them need.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${ENTENTE_CACHE:-$HOME/.cache/entente}
ENV_FILE=/var/lib/entente-e2e/env
SYSTEM=entente-system
# Another selection of packages would have other features, and compile the dependencies again.
CARGO_FLAGS=(--release --workspace --locked)
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
cd "$ROOT" || exit 1

say() { echo "==> $*"; }
note() { echo "    $*"; }
die() { echo "error: $*" >&2; exit 1; }

# Points kubectl and helm at the test cluster.
use_cluster() {
  [ -r "$ENV_FILE" ] || die "no cluster is running: make cluster-up"
  # shellcheck source=/dev/null
  . "$ENV_FILE"
}

# need PACKAGE COMMAND: installs a Debian package if its command is missing.
need() {
  command -v "$2" >/dev/null && return
  note "installing $1"
  apt-get install -y -qq "$1" >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq "$1" >/dev/null; } || die "$2 is missing, and apt-get cannot install $1"
}

# ready KIND NAME NAMESPACE: Ready=True of what is declared now, not of an earlier generation.
ready() {
  kubectl -n "$3" get "$1" "$2" -o json 2>/dev/null |
    jq -e '. as $o | any(.status.conditions[]?; .type == "Ready" and .status == "True") and $o.status.observedGeneration == $o.metadata.generation' >/dev/null
}

# wait_ready KIND NAME NAMESPACE SECONDS: waits, and says what is missing whenever that changes.
wait_ready() {
  local kind=$1 name=$2 namespace=$3 limit=$4 begin=$SECONDS now last=
  until ready "$kind" "$name" "$namespace"; do
    now=$(kubectl -n "$namespace" get "$kind" "$name" -o json 2>/dev/null |
      jq -r '[.status.conditions[]? | select(.type == "Ready")][0] // empty | "\(.status) \(.reason): \(.message)"' 2>/dev/null) || now="not there yet"
    if [ "$now" != "$last" ]; then note "$((SECONDS - begin)) s  $kind/$name  ${now:-without a status yet}"; last=$now; fi
    if [ $((SECONDS - begin)) -ge "$limit" ]; then
      kubectl -n "$namespace" describe "$kind" "$name" >&2 || true
      kubectl -n "$namespace" get pods -o wide >&2 || true
      kubectl -n "$SYSTEM" logs -l app.kubernetes.io/component=operator --tail=30 --prefix >&2 || true
      echo "error: $kind/$name is not Ready after $limit s" >&2
      return 1
    fi
    sleep 0.5
  done
  note "$((SECONDS - begin)) s  $kind/$name is Ready"
}

# patch_all KIND PATCH: one that goes at this very moment is fine.
patch_all() {
  kubectl get "$1.entente.dev" -A -o json | jq -r '.items[] | "\(.metadata.namespace) \(.metadata.name)"' | while read -r namespace name; do
    kubectl -n "$namespace" patch "$1.entente.dev" "$name" --type=merge -p "$2" >/dev/null || true
  done
}

# Every kind of ours, in an order in which they can be deleted.
KINDS=(clients subscriptions servicecontracts topics queues brokers)

# What an earlier demo, test or benchmark left in the cluster. Brokers last: the operator that finishes the deletion of the others is still there.
remove_installation() {
  local kind there=()
  # An older version may lack some.
  for kind in "${KINDS[@]}"; do
    if kubectl get crd "$kind.entente.dev" >/dev/null 2>&1; then there+=("$kind"); fi
  done
  [ "${#there[@]}" -gt 0 ] || { helm -n "$SYSTEM" uninstall entente --ignore-not-found >/dev/null 2>&1 || true; return 0; }
  for kind in "${there[@]}"; do
    case $kind in clients|servicecontracts|brokers) ;; *) patch_all "$kind" '{"spec":{"deletionPolicy":"Delete"}}' ;; esac
    kubectl delete "$kind.entente.dev" --all -A --wait=false >/dev/null
  done
  for kind in "${there[@]}"; do
    kubectl wait --for=delete "$kind.entente.dev" --all -A --timeout=30s >/dev/null 2>&1 && continue
    note "an operator that still works is missing: finalizers of $kind are taken off by hand"
    patch_all "$kind" '{"metadata":{"finalizers":null}}'
  done
  helm -n "$SYSTEM" uninstall entente --ignore-not-found --wait >/dev/null 2>&1 || true
  kubectl get namespaces -l entente.dev/e2e -o name | xargs -r kubectl delete --timeout=60s >/dev/null
  kubectl delete namespace "$SYSTEM" shop orders billing payments kitchen parcels tracking --ignore-not-found --timeout=120s >/dev/null
  kubectl delete crd "${KINDS[@]/%/.entente.dev}" --ignore-not-found --timeout=30s >/dev/null
}
