#!/usr/bin/env bash
# test.sh [--destructive]: does the running cluster do what a cluster must? Cuts, kills and restarts node 2 and the API server for a while.
# --destructive: afterwards down.sh (nothing may be left on the machine), then up.sh again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in settings log process network controlplane images; do
  # shellcheck source=/dev/null
  . "$here/lib/$part.sh"
done

NS=cluster-test
passed=0 failed=0

# check TEXT COMMAND…: passes if the command does.
check() {
  local text=$1 begin out; shift
  begin=$(now_ms)
  if out=$("$@" 2>&1); then
    passed=$((passed + 1))
    echo "ok    $text  ($(seconds $(($(now_ms) - begin))))"
  else
    failed=$((failed + 1))
    echo "FAIL  $text"
    echo "      ${out//$'\n'/$'\n      '}"
  fi
}
# not COMMAND…, within SECONDS COMMAND…
not() { if "$@" >/dev/null 2>&1; then echo "succeeded, and must not: $*"; return 1; fi; }
within() { local limit=$1; shift; wait_for "$limit" "$*" "$@"; }

k() { kubectl -n "$NS" --request-timeout=10s "$@"; }
in_pod() { local pod=$1; shift; k exec "$pod" -- "$@"; }
pod_ip() { k get pod "$1" -o 'jsonpath={.status.podIP}'; }
fetch() { [ "$(curl -sS -m 3 "http://$1:8080/who")" = "$2" ]; }

for file in checks_basic checks_failure checks_machine; do
  # shellcheck source=/dev/null
  . "$here/lib/test/$file.sh"
done

case ${1:-} in ""|--destructive) ;; *) echo "usage: test.sh [--destructive]" >&2; exit 2 ;; esac
[ "$(running_cluster)" = packages ] || die "no cluster made of packages is running: up.sh starts one"
# shellcheck source=/dev/null
. "$ENV_FILE"

trap 'echo "error: test.sh itself failed at line $LINENO" >&2' ERR
set -E
shell_checks
basic_checks
failure_checks
if [ "${1:-}" = --destructive ]; then machine_checks; fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
