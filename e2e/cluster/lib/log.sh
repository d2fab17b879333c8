# shellcheck shell=bash
# Progress, with the time each step took: a slow machine and a stuck one look different.

now_ms() { echo $(($(date +%s%N) / 1000000)); }
seconds() { printf '%d.%d s' $(($1 / 1000)) $(($1 % 1000 / 100)); }
say() { echo "==> $*"; }
note() { echo "    $*"; }
die() { echo "error: $*" >&2; exit 1; }

# step TEXT COMMAND… : runs the command; one line when it is done. Not "COMMAND || die": bash would then run on after every failure inside it.
step() {
  local begin
  CURRENT_STEP=$1; shift
  begin=$(now_ms)
  trap 'if [ -n "$CURRENT_STEP" ]; then echo "error: failed at step: $CURRENT_STEP" >&2; fi' EXIT
  "$@"
  say "$CURRENT_STEP  $(seconds $(($(now_ms) - begin)))"
  CURRENT_STEP=
}

# wait_for SECONDS TEXT COMMAND… : until the command succeeds. A command that is slow counts by the clock, not by tries.
wait_for() {
  local limit=$1 text=$2 end; shift 2
  end=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then
      echo "error: $text: not so after $limit s" >&2
      return 1
    fi
    sleep 0.2
  done
}
