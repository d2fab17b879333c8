#!/usr/bin/env bash
# test.sh [smoke] [sql] [disks] [damage] [loss] [planned] [removal] [formation]
#
# Tests the broker image with three nodes on this machine, without a cluster or a container runtime. Needs root,
# buildah, curl, jq, iproute2 and util-linux. Builds the image first, if it is not the current one.
#
#   smoke      formation, plugins, the SQL exchange, quorum queues, restarts in every order
#   sql        the SQL exchange: filters that change while messages flow, odd messages, alternate exchanges, ROUNDS × 200 rebinds
#   disks      nodes that lose their disk, and a node 0 that must not make a second cluster
#   damage     a node whose files are damaged, and when it goes on without them
#   loss       nodes whose data is gone for good, and a person that says so
#   planned    how queues' members stand, leaders that are moved, nodes that leave
#   removal    nodes that leave for good
#   formation  ROUNDS (default 10) formations from blank, with random delays and a node killed while it joins
#
# KEEP=1 leaves logs of a failed run in place.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${ENTENTE_CACHE:-$HOME/.cache/entente}
IMAGES=$CACHE/images
ROUNDS=${ROUNDS:-10}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$HERE/lib.sh"
# shellcheck source-path=SCRIPTDIR source=nodes.sh
. "$HERE/nodes.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$HERE/checks.sh"
# shellcheck source-path=SCRIPTDIR source=sql.sh
. "$HERE/sql.sh"
# shellcheck source-path=SCRIPTDIR source=planned.sh
. "$HERE/planned.sh"
# shellcheck source-path=SCRIPTDIR source=removal.sh
. "$HERE/removal.sh"
# shellcheck source-path=SCRIPTDIR source=loss.sh
. "$HERE/loss.sh"

passed=0 failed=0
declare -a UNSHARE=()

# check TEXT COMMAND…
check() {
  local text=$1
  shift
  if "$@" >"$WORK/out" 2>&1; then
    passed=$((passed + 1))
    echo "ok    $text"
  else
    failed=$((failed + 1))
    echo "FAIL  $text"
    tail -n 5 "$WORK/out" | sed 's/^/      /'
  fi
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# until_true SECONDS COMMAND…
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}

finish() {
  local rc=$?
  if [ "$failed" -gt 0 ] && [ -n "${KEEP:-}" ]; then cp -r "$WORK" "${TMPDIR:-/tmp}/entente-broker-test.failed"; fi
  nodes_teardown
  echo "$passed passed, $failed failed"
  if [ "$failed" -gt 0 ] || [ "$rc" -ne 0 ]; then exit 1; fi
}

[ "$(id -u)" = 0 ] || die "the test makes network and mount name spaces: run it as root"
for command in buildah curl jq ip nsenter unshare setpriv; do
  command -v "$command" >/dev/null || die "$command is missing (Debian: apt-get install buildah curl jq iproute2 util-linux)"
done
if [ $# -eq 0 ]; then set -- smoke sql disks damage loss planned removal formation; fi
for part; do case $part in smoke | sql | disks | damage | loss | planned | removal | formation) ;; *) die "$part is not a part: smoke, sql, disks, damage, loss, planned, removal, formation" ;; esac; done

BUILDER=buildah
choose_builder
BUILDER=buildah "$HERE/images.sh" broker
trap finish EXIT
trap 'exit 130' INT TERM
nodes_setup 3
for part; do "part_$part"; done
