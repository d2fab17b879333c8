# shellcheck shell=bash
# What runs in the cluster from the start: DNS and a provisioner of volumes.

addons() {
  local n paths=
  for ((n = 0; n < NODE_COUNT; n++)); do
    mkdir -p "$STATE/node$n/volumes"
    paths+="${paths:+, }{\"node\": \"node$n\", \"paths\": [\"$STATE/node$n/volumes\"]}"
  done
  sed -e "s|@COREDNS_VERSION@|$COREDNS_VERSION|; s|@LOCAL_PATH_VERSION@|$LOCAL_PATH_VERSION|; s|@DNS_IP@|$DNS_IP|; s|@NODE_PATHS@|$paths|" \
    "$CLUSTER_DIR/manifests/coredns.yaml" <(echo ---) "$CLUSTER_DIR/manifests/local-path.yaml" | kc apply --server-side -f - >/dev/null
}

addons_ready() {
  [ "$(kc -n kube-system get deployments coredns local-path-provisioner -o 'jsonpath={.items[*].status.readyReplicas}' --request-timeout=5s)" = "1 1" ]
}

label_nodes() {
  wait_for 30 "all nodes registered" nodes_registered && kc label --overwrite node node0 node-role.kubernetes.io/control-plane= >/dev/null
}
nodes_registered() { [ "$(kc get nodes -o name --request-timeout=5s | wc -l)" = "$NODE_COUNT" ]; }
