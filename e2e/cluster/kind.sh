#!/usr/bin/env bash
# kind.sh: the same interface on a machine with Docker, kind and kubectl. The other scripts call it when CLUSTER=kind.
#   up [--fresh] | down | load-image ARCHIVE… | node status|cut|heal|kill|restart N | apiserver stop|start|status
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
for part in settings log; do
  # shellcheck source=/dev/null
  . "$here/lib/$part.sh"
done

NAME=entente-e2e
containers=("$NAME-control-plane" "$NAME-worker" "$NAME-worker2")

[ "$(id -u)" = 0 ] || die "must run as root: it adds routes to the pods and writes to $STATE"
for command in docker kind kubectl; do command -v "$command" >/dev/null || die "CLUSTER=kind needs $command"; done

kc() { kubectl --kubeconfig "$STATE/admin.kubeconfig" --request-timeout=5s "$@"; }
nodes_ready() { [ "$(kc get nodes --no-headers | grep -cw Ready)" = 3 ]; }
exists() { kind get clusters 2>/dev/null | grep -qx "$NAME"; }

up() {
  if [ "${1:-}" = "" ] && [ "$(running_cluster)" = kind ] && exists && wait_for 30 "all nodes Ready" nodes_ready; then
    say "cluster is up and healthy   (. $ENV_FILE)"
    return 0
  fi
  if [ "$(running_cluster)" = packages ]; then die "a cluster made of packages is running: down.sh removes it"; fi
  down
  mkdir -p "$STATE/kind" "$STATE/log"
  cp "$CLUSTER_DIR/manifests/audit-policy.yaml" "$STATE/kind/"
  sed "s|@POD_CIDR@|$POD_CIDR|; s|@SERVICE_CIDR@|$SERVICE_CIDR|; s|@STATE@|$STATE|" "$CLUSTER_DIR/manifests/kind.yaml" >"$STATE/kind.yaml"
  step "kind create cluster" kind create cluster --name "$NAME" --image "$KIND_NODE_IMAGE" --config "$STATE/kind.yaml" \
    --kubeconfig "$STATE/admin.kubeconfig" --wait 180s
  kc taint nodes --all node-role.kubernetes.io/control-plane- >/dev/null 2>&1 || true
  step "nodes are Ready" wait_for 120 "all nodes Ready" nodes_ready
  step "routes to pods and Services" routes
  {
    echo "# The running test cluster. Source it: . $ENV_FILE"
    printf 'export %s=%q\n' CLUSTER kind KUBECONFIG "$STATE/admin.kubeconfig" AUDIT_LOG "$STATE/log/audit.log"
    echo "export NODES=\"${containers[*]}\""
    # shellcheck disable=SC2016  # for the shell that reads the file
    printf 'case ":$PATH:" in *:%q:*) ;; *) export PATH=%q:$PATH ;; esac\n' "$BIN" "$BIN"
  } >"$ENV_FILE"
}

# Docker's bridge leads to the nodes, and these routes from there to the pods.
routes() {
  local name cidr address first=
  while read -r name cidr address; do
    ip route replace "$cidr" via "$address"
    if [ -z "$first" ] || [ "$name" = "${containers[0]}" ]; then first=$address; fi
  done < <(kc get nodes -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}')
  ip route replace "$SERVICE_CIDR" via "$first"
}

down() {
  if exists; then kind delete cluster --name "$NAME" --kubeconfig "$STATE/admin.kubeconfig"; fi
  ip route del "$SERVICE_CIDR" 2>/dev/null || true
  rm -rf --one-file-system "$STATE"
}

load_images() {
  local file
  for file in "$@"; do kind load image-archive "$file" --name "$NAME"; done
}

node() {
  local command=${1:-} n=${2:-} c gateway
  if [ "$command" = status ] && [ -z "$n" ]; then kc get nodes -o wide; return; fi
  [[ $n =~ ^[0-2]$ ]] || die "which node: 0, 1 or 2?"
  c=${containers[$n]}
  if [ "$n" = 0 ] && [[ $command != status ]]; then die "node 0 carries the control plane; take another node"; fi
  case $command in
    status) kc get node "$c" -o wide ;;
    cut) docker exec "$c" ip link set eth0 down ;;
    heal)
      gateway=$(docker inspect -f '{{(index .NetworkSettings.Networks "kind").Gateway}}' "$c")
      # Routes by way of a cable go with it. The daemon of kind's network puts those to other nodes' pods back by itself.
      docker exec "$c" sh -c "ip link set eth0 up && ip route replace default via $gateway"
      ;;
    kill) docker kill "$c" >/dev/null ;;
    restart) docker restart -t 1 "$c" >/dev/null && wait_for 120 "all nodes Ready" nodes_ready && routes ;;
    *) die "node.sh status|cut|heal|kill|restart N" ;;
  esac
}

api_ok() { [ "$(kc get --raw /readyz)" = ok ]; }
no_api() { ! api_ok; }

# The kubelet runs what is in the folder of manifests, and nothing else.
apiserver() {
  local manifest=/etc/kubernetes/manifests/kube-apiserver.yaml aside=/etc/kubernetes/kube-apiserver.yaml c=${containers[0]}
  case ${1:-} in
    stop) docker exec "$c" sh -c "[ ! -e $manifest ] || mv $manifest $aside" && wait_for 60 "API server stopped" no_api ;;
    start) docker exec "$c" sh -c "[ ! -e $aside ] || mv $aside $manifest" && wait_for 120 "API server ready" api_ok ;;
    status) if api_ok 2>/dev/null; then echo running; else echo stopped; return 1; fi ;;
    *) die "apiserver.sh stop|start|status" ;;
  esac
}

command=${1:-}
shift || true
case $command in
  up) up "$@" ;;
  down) down ;;
  load-image) load_images "$@" ;;
  node) node "$@" ;;
  apiserver) apiserver "$@" ;;
  *) sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
