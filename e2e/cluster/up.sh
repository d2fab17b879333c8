#!/usr/bin/env bash
# up.sh [--fresh]: a real Kubernetes cluster on this machine, from package registries only. Returns at once when one runs and is healthy.
# --fresh: a new one in any case. CLUSTER=kind: kind.sh does it. Afterwards: . /var/lib/entente-e2e/env
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
for part in settings log process deps build images pki network controlplane node addons clean health; do
  # shellcheck source=/dev/null
  . "$here/lib/$part.sh"
done

fresh=
case ${1:-} in
  "") ;;
  --fresh) fresh=1 ;;
  *) echo "usage: up.sh [--fresh]" >&2; exit 2 ;;
esac
if [ "$CLUSTER" = kind ]; then exec "$here/kind.sh" up ${fresh:+--fresh}; fi

start=$(now_ms)
deps
take_lock
build_all
if [ -z "$fresh" ] && healthy; then
  say "cluster is up and healthy  $(seconds $(($(now_ms) - start)))   (. $ENV_FILE)"
  exit 0
fi

prepare() {
  local dir
  mkdir -p "$STATE/log" "$RUN"
  chmod 700 "$RUN"
  for dir in "${SHARED_DIRS[@]}"; do
    if [ ! -e "$dir" ]; then echo "$dir" >>"$STATE/made"; fi
  done
  cp "$CLUSTER_DIR/manifests/audit-policy.yaml" "$STATE/"
  kernel_settings
  network
}

load_addon_images() {
  local n file pids=() pid
  for ((n = 0; n < NODE_COUNT; n++)); do
    # The add-ons themselves run on node 0 only.
    for file in pause busybox; do load_image "$n" "$IMAGES/$file.tar" >/dev/null & pids+=($!); done
  done
  for file in coredns local-path-provisioner; do load_image 0 "$IMAGES/$file.tar" >/dev/null & pids+=($!); done
  for pid in "${pids[@]}"; do wait "$pid" || return 1; done
}

step "removed what an earlier cluster left" clean
step "ports are free" ports_free
step "network of $NODE_COUNT nodes" prepare
step "certificates" pki
start_etcd
start_apiserver
step "containerd on every node" start_containerds
step "images of the add-ons" load_addon_images
step "API server" wait_apiserver
start_controllers
start_nodes
step "nodes registered" label_nodes
step "add-ons applied" addons
step "nodes are Ready" wait_for 60 "all nodes Ready" nodes_ready
step "DNS and volumes are Ready" wait_for 60 "add-ons Ready" addons_ready
write_env
say "cluster is up  $(seconds $(($(now_ms) - start)))   (. $ENV_FILE)"
