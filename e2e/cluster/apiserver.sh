#!/usr/bin/env bash
# apiserver.sh stop|start|status: the API server alone. Nodes, pods and everything else go on.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
for part in settings log process controlplane health; do
  # shellcheck source=/dev/null
  . "$here/lib/$part.sh"
done

case $(running_cluster) in
  packages) ;;
  kind) exec "$here/kind.sh" apiserver "$@" ;;
  *) die "no cluster is running: up.sh starts one" ;;
esac
case ${1:-} in
  # Open watches keep it from ending by itself; five seconds are enough for what else is under way.
  stop) take_lock && stop_process apiserver 5 ;;
  start)
    take_lock
    if ! alive apiserver; then start_apiserver; fi
    wait_apiserver 60
    ;;
  status) if alive apiserver && apiserver_ready; then echo running; else echo stopped; exit 1; fi ;;
  *) echo "usage: apiserver.sh stop|start|status" >&2; exit 2 ;;
esac
