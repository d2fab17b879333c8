# shellcheck shell=bash
# The part of test.sh about nodes whose data is gone for good.
# shellcheck disable=SC2154  # variables of test.sh

# accept_loss N M…: on node N, that of each M.
accept_loss() {
  local n=$1 m names=()
  shift
  for m; do names+=("$STATEFUL_SET-$m"); done
  node_exec "$n" /usr/local/bin/entente-accept-loss "${names[@]}"
}
refuses() {
  local why=$1
  shift
  ! accept_loss "$@" >"$WORK/said" 2>&1 || return 1
  grep -q "$why" "$WORK/said"
}

goes_on_with_queue() { accept_loss 0 1 2 && log_says 0 'Loss accepted by hand: queue .kept. in vhost ./. goes on'; }

# two_lose_everything: what is on nodes 1 and 2 is gone, and they wait for a majority that nobody has.
two_lose_everything() {
  local lost
  for lost in 1 2; do
    if node_running "$lost"; then node_kill "$lost" || true; fi
    node_blank "$lost"
    : >"$WORK/log$lost"
    node_start "$lost"
  done
  check "two nodes without data wait for the queue's majority" until_true 60 log_says 1 'have no majority without this node'
  check "and the one that has data alone serves nothing" refused holds 0 kept 3
}

all_there() {
  timed "the others join it" 120
  check "nothing that it had is lost" until_true 20 holds 0 kept 3
  check "the queue is on three nodes again" until_true 60 queue_members 0 kept
}

part_loss() {
  echo "--- loss"
  start_all
  form_with_queue
  for _ in 1 2 3; do check "a message" publish 1 amq.default kept '{}'; done
  check "nothing is given up that runs" refuses "runs: nothing that it has is lost" 0 1 2
  node_kill 2 || true
  check "nothing is given up where a majority is left" until_true 30 refuses "nothing here has lost its majority" 0 2
  node_kill 1 || true
  check "one that may come back is not passed over" until_true 30 refuses "does not run either" 0 1
  two_lose_everything
  check "a person's word: it goes on with what it has" until_true 30 accept_loss 0 1 2
  check "that is in its log" log_says 0 'Loss accepted by hand: the metadata goes on'
  all_there
  check "there is nothing more to give up" refuses "nothing here has lost its majority" 0 9

  two_lose_everything
  node_kill 0 || true
  : >"$WORK/log0"
  node_start 0
  check "the one that has data starts again, and the same goes for its metadata" until_true 90 accept_loss 0 1 2
  check "it is told what is to be done next" log_says 0 'run this again when it has'
  check "and for its queue" until_true 90 goes_on_with_queue
  all_there
  kill_all
  blank_all
}
