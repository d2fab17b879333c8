#!/usr/bin/env bash
# timed.sh WHAT COMMAND…: says what begins, runs it, and says how long it took and whether it succeeded.
set -uo pipefail
what=$1
shift
echo "==> $what: begins"
begin=$SECONDS
"$@"
status=$?
if [ "$status" = 0 ]; then
  echo "==> $what: done in $((SECONDS - begin)) s"
else
  echo "==> $what: FAILED (status $status) after $((SECONDS - begin)) s" >&2
fi
exit "$status"
