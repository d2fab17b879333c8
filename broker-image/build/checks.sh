# shellcheck shell=bash
# The parts of test.sh.
# shellcheck disable=SC2154  # variables of test.sh

# members N COUNT: node N serves, and sees COUNT running members.
members() {
  [ "$(api "$1" GET nodes 2>/dev/null | jq '[.[] | select(.running)] | length' 2>/dev/null)" = "$2" ]
}
one_cluster() { members 0 3 && members 1 3 && members 2 3; }
start_all() { for n in 0 1 2; do node_start "$n"; done; }
stop_all() {
  for n; do node_term "$n"; done
  for n; do node_wait "$n" || true; done
}
kill_all() { for n in 0 1 2; do if node_running "$n"; then node_kill "$n" || true; fi; done; }
blank_all() { for n in 0 1 2; do node_blank "$n"; done; }

# timed TEXT SECONDS
timed() {
  local begin
  begin=$(now_ms)
  check "$1" until_true "$2" one_cluster
  echo "      after $((($(now_ms) - begin) / 100))00 ms"
}

queue_members() { [ "$(api "$1" GET "queues/%2F/$2?disable_stats=true" | jq '.online | length')" = 3 ]; }
form_with_queue() {
  timed "all three form a cluster" 90
  check "a queue" quorum_queue 0 kept
  check "the queue is on three nodes" until_true 10 queue_members 0 kept
}
holds() { [ "$(api "$1" POST "queues/%2F/$2/get" '{"count": 100, "ackmode": "ack_requeue_true", "encoding": "auto"}' | jq length)" = "$3" ]; }
publish() {
  api "$1" POST "exchanges/%2F/$2/publish" \
    "{\"properties\": {\"delivery_mode\": 2, \"headers\": $4}, \"routing_key\": \"$3\", \"payload\": \"x\", \"payload_encoding\": \"string\"}" |
    jq -e .routed
}
quorum_queue() { api "$1" PUT "queues/%2F/$2" '{"durable": true, "arguments": {"x-queue-type": "quorum"}}'; }
refused() { ! "$@" || return 1; }
says() { jq -e --arg text "$1" 'select(.reason | contains($text))'; }

sql_bind() { api 0 POST bindings/%2F/e/sql/q/"$1" "{\"routing_key\": \"\", \"arguments\": {\"x-sql-filter\": \"$2\"}}"; }
sql_bad() { { sql_bind cheap "price >" || true; } | says "x-sql-filter is not a valid SQL filter: it ends too early"; }
enabled() { grep -qx "$1" "$WORK/enabled"; }
available() { grep -qx "$1" "$WORK/available"; }

part_smoke() {
  echo "--- smoke"
  start_all
  timed "three nodes that start at once form one cluster" 90
  # Written to files: the tool fails when a reader goes away before its end.
  node_exec 0 rabbitmq-plugins list --enabled --minimal --quiet >"$WORK/enabled"
  node_exec 0 rabbitmq-plugins list --minimal --quiet >"$WORK/available"
  local plugin
  for plugin in rabbitmq_management rabbitmq_prometheus rabbitmq_event_exchange rabbitmq_consistent_hash_exchange \
    rabbitmq_auth_backend_oauth2 rabbitmq_sql_exchange; do
    check "$plugin is enabled" enabled "$plugin"
  done
  for plugin in rabbitmq_mqtt rabbitmq_web_mqtt rabbitmq_stomp rabbitmq_web_stomp rabbitmq_stream rabbitmq_peer_discovery_k8s; do
    check "$plugin is available" available "$plugin"
  done
  check "the node runs as uid 999" node_exec 0 sh -c "test \"\$(stat -c %u /proc/1)\" = 999"
  check "the root file system is read-only" refused node_exec 0 touch /etc/rabbitmq/x
  check "the cookie is not on the volume" refused node_exec 0 ls /var/lib/rabbitmq/.erlang.cookie
  check "prometheus answers" hub curl -sSf -o /dev/null "http://$(node_ip 1):15692/metrics"

  check "an x-sql exchange" api 0 PUT exchanges/%2F/sql '{"type": "x-sql", "durable": true}'
  for queue in cheap dear all; do check "quorum queue $queue" quorum_queue 1 "$queue"; done
  check "filter of cheap" sql_bind cheap "price < 10"
  check "filter of dear" sql_bind dear "price >= 10 AND region LIKE 'eu-%'"
  check "a binding without a filter" api 0 POST bindings/%2F/e/sql/q/all '{}'
  check "a filter that cannot be parsed is refused, with the reason" sql_bad
  check "9 is routed" publish 1 sql "" '{"price": 9}'
  check "10 is routed, by another node" publish 2 sql "" '{"price": 10, "region": "eu-west"}'
  check "text for a price disturbs nobody" publish 0 sql "" '{"price": "x", "region": 1}'
  check "cheap has one message" until_true 5 holds 0 cheap 1
  check "dear has one message" until_true 5 holds 1 dear 1
  check "all has three" until_true 5 holds 2 all 3
  check "the queue has three members" until_true 10 queue_members 0 all
  check "a binding is deleted" api 2 DELETE "bindings/%2F/e/sql/q/all/~"
  check "nobody is left for a message that no filter takes" refused publish 1 sql "" '{"price": "x"}'

  stop_all 0 1 2
  check "all have stopped on SIGTERM" refused node_running 0
  start_all
  timed "after all were stopped at once they are a cluster again" 90
  stop_all 2
  stop_all 1
  stop_all 0
  for n in 2 1 0; do node_start "$n"; sleep 2; done
  timed "after they were stopped one by one, the first of them started first" 90
  stop_all 0
  stop_all 1
  stop_all 2
  for n in 0 1 2; do node_start "$n"; sleep 2; done
  timed "and the other way round" 90
  kill_all
  start_all
  timed "after all were killed" 90
  check "no message was lost" until_true 20 holds 1 all 3
  check "the filters are still there" publish 0 sql "" '{"price": 1}'
  kill_all
  blank_all
}

waits() { grep -q 'this node has no data, and waits' "$WORK/log$1"; }
alone() { api "$1" GET overview >/dev/null 2>&1; }

part_disks() {
  echo "--- disks"
  : >"$WORK/log0"
  node_start 0
  check "node 0 without data waits for word of its peers" until_true 90 waits 0
  sleep 5
  check "and makes no cluster alone" refused alone 0
  local begin=$SECONDS
  stop_all 0
  check "a node that waits stops within 30 s of SIGTERM" [ $((SECONDS - begin)) -lt 30 ]
  start_all
  form_with_queue
  for _ in 1 2 3; do check "a message" publish 1 amq.default kept '{}'; done
  local lost
  for lost in 0 2; do
    node_kill "$lost" || true
    node_blank "$lost"
    : >"$WORK/log$lost"
    node_start "$lost"
    timed "node $lost, which lost its disk, joins the others again" 90
    check "it has left the cluster before" grep -q 'it leaves the cluster to join it anew' "$WORK/log$lost"
    check "nothing is lost" until_true 20 holds 1 kept 3
    check "the queue is on three nodes again" until_true 60 queue_members 1 kept
  done
  kill_all
  node_blank 0
  : >"$WORK/log0"
  node_start 0
  check "node 0 lost its disk while all were down, and waits" until_true 90 waits 0
  node_start 1
  node_start 2
  timed "until a majority with data is there" 120
  check "nothing is lost" until_true 20 holds 2 kept 3
  kill_all
  blank_all

  echo false >"$WORK/cluster/formed"
  chmod a+r "$WORK/cluster/formed"
  node_start 0
  check "node 0 starts alone if it is said that there never was a cluster" until_true 60 members 0 1
  rm "$WORK/cluster/formed"
  node_start 2
  check "node 2 joins" until_true 60 members 2 2
  node_start 1
  timed "node 1 joins" 60
  kill_all
  blank_all
}

# damage N: turns bytes over in the middle of the newest log of the quorum queues, which is in a message.
damage() {
  local log size
  log=$(find "$WORK/data$1/mnesia" -path '*/quorum/*.wal' | sort | tail -n 1)
  size=$(stat -c %s "$log")
  [ "$size" -gt 100000 ] || return 1
  dd if="$log" bs=1 skip=$((size / 2)) count=64 status=none | tr '\000-\377' '\001-\377\000' >"$WORK/turned"
  dd if="$WORK/turned" of="$log" bs=1 seek=$((size / 2)) conv=notrunc status=none
}
# fails N: it starts, and ends by itself. One that does not must not run beside the next.
ended() { ! node_running "$1"; }
fails() {
  node_start "$1"
  until_true 90 ended "$1" || { node_kill "$1"; return 1; }
}
log_says() { grep -q "$2" "$WORK/log$1"; }
# known_on_disk N: which queues there are Ra has on its disk some time after they were made, or when it has stopped. What is of others in
# its log it does not read.
known_on_disk() {
  stop_all "$1"
  node_start "$1"
  timed "node $1 is restarted" 60
}
large() { api 0 POST exchanges/%2F/amq.default/publish "$(jq -n --arg x "$(head -c 20000 /dev/zero | tr '\0' x)" '{properties: {delivery_mode: 2}, routing_key: "kept", payload: $x, payload_encoding: "string"}')" | jq -e .routed; }

part_damage() {
  echo "--- damage"
  start_all
  form_with_queue
  known_on_disk 1
  for _ in 1 2 3 4 5 6 7 8 9 10; do large >/dev/null; done
  check "a queue that is on node 1 alone" api 1 PUT "queues/%2F/alone" '{"durable": true, "arguments": {"x-queue-type": "classic", "x-queue-leader-locator": "client-local"}}'
  check "and one of Entente's own, as it always has on some node" api 1 PUT "queues/%2F/entente.events" '{"durable": true, "arguments": {"x-queue-type": "classic", "x-queue-leader-locator": "client-local"}}'
  node_kill 1 || true
  check "the log of node 1 is damaged" damage 1
  : >"$WORK/log1"
  check "it does not start, and says why" fails 1
  check "and why again" log_says 1 wal_checksum_validation_failure
  check "once is not enough to give up what it has" refused log_says 1 'the data of this node is damaged'
  check "again" fails 1
  check "what is on it alone is kept" log_says 1 'is kept: 1 queues are on this node alone, one is queue .alone. in vhost'
  check "its files are untouched" test -d "$WORK/data1/mnesia"
  check "that queue is given up by a person" api 0 DELETE "queues/%2F/alone"
  node_start 1
  timed "it joins the others without what was damaged" 120
  check "it says so" log_says 1 'it is given up, and the node joins them anew'
  check "what was damaged is there to be looked at" test -d "$WORK/data1/damaged"
  check "nothing is lost" until_true 20 holds 2 kept 10
  check "the queue is on three nodes again" until_true 60 queue_members 1 kept
  known_on_disk 1
  for _ in 1 2 3 4 5 6 7 8 9 10; do large >/dev/null; done
  node_kill 1 || true
  check "it is damaged again" damage 1
  for _ in 1 2; do check "it does not start" fails 1; done
  check "and is left for a person" log_says 1 'was given up within a day already'
  kill_all
  blank_all
}

part_formation() {
  echo "--- formation, $ROUNDS rounds"
  local round victim begin n delay
  for ((round = 1; round <= ROUNDS; round++)); do
    victim=$((RANDOM % 3))
    begin=$(now_ms)
    for n in 0 1 2; do
      node_start "$n"
      printf -v delay '0.%03d' $((RANDOM % 1000))
      sleep "$((RANDOM % 3))$(printf '%s' "${delay#0}")"
    done
    # Somewhere between the start of Erlang and the end of joining.
    printf -v delay '%d.%03d' $((RANDOM % 9)) $((RANDOM % 1000))
    sleep "$delay"
    node_kill "$victim" || true
    sleep "$((RANDOM % 3))"
    node_start "$victim"
    check "round $round: node $victim killed $delay s after the last start" until_true 180 one_cluster
    echo "      one cluster $((($(now_ms) - begin) / 100))00 ms after the first start"
    # Later rounds would overwrite the logs of the one that failed.
    if [ "${failed:?}" -gt 0 ] && [ -n "${KEEP:-}" ]; then return; fi
    kill_all
    blank_all
    for n in 0 1 2; do : >"$WORK/log$n"; done
  done
}
