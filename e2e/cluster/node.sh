#!/usr/bin/env bash
# node.sh COMMAND [N]: what can happen to a node.
#   status [N]   cable, daemons and what the API server says of it
#   cut N        pulls the cable: packets to and from the node are lost, its pods run on
#   mute N       nothing leaves the node any more; what arrives still does
#   deafen N     nothing arrives at the node any more; what leaves still does
#   block N FROM TO…   what node N's pods send from one address to the others is lost
#   heal N       plugs it in again, and nothing is lost any more
#   kill N       power failure: everything on the node dies at once
#   restart N    starts a killed node, or restarts a running one
# N is 0, 1, 2; node 0 is the host and cannot be cut. mute, deafen and block are not for kind.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
for part in settings log process deps network controlplane node clean health; do
  # shellcheck source=/dev/null
  . "$here/lib/$part.sh"
done

usage() { sed -n '2,11s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2; }

status() {
  local n=$1 link=connected daemon list=
  if is_cut "$n"; then link="cut off"; elif loses "$n"; then link="loses packets"; fi
  for daemon in containerd kubelet proxy; do
    if alive "$daemon$n"; then list+=" $daemon=running"; else list+=" $daemon=dead"; fi
  done
  echo "node$n: $link,$list, Ready=$(node_condition "$n")"
}

node_condition() {
  kc get node "node$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' --request-timeout=5s 2>/dev/null || echo "unknown (no API server)"
}

restart() {
  kill_node "$1"
  boot_node "$1"
}

command=${1:-} n=${2:-}
case $(running_cluster) in
  packages) ;;
  kind) exec "$here/kind.sh" node "$@" ;;
  *) die "no cluster is running: up.sh starts one" ;;
esac
if [ "$command" = status ] && [ -z "$n" ]; then
  for ((n = 0; n < NODE_COUNT; n++)); do status "$n"; done
  exit 0
fi
[[ $n =~ ^[0-9]$ && $n -lt $NODE_COUNT ]] || usage
if [ "$n" = 0 ] && [[ $command = cut || $command = mute || $command = deafen ]]; then die "node 0 is the host: it has no cable; take another node"; fi
case $command in
  status) status "$n" ;;
  cut) cut_node "$n" ;;
  mute) mute_node "$n" ;;
  deafen) deafen_node "$n" ;;
  block) shift 2; if [ $# -lt 2 ]; then usage; fi; block "$n" "$@" ;;
  heal) lose_nothing "$n"; if [ "$n" != 0 ]; then heal_node "$n"; fi ;;
  kill) take_lock && kill_node "$n" ;;
  restart) take_lock && restart "$n" ;;
  *) usage ;;
esac
