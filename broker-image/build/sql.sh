# shellcheck shell=bash
# The part of test.sh that tests the exchange type x-sql, on three nodes.
# shellcheck disable=SC2154  # variables of test.sh

# client N COMMAND…: sql.escript, inside node N, which has Erlang and RabbitMQ's clients.
client() {
  local n=$1
  shift
  node_exec "$n" sh -c 'cat >/tmp/sql.escript' <"$HERE/sql.escript"
  node_exec "$n" ERL_LIBS=/opt/rabbitmq/plugins escript /tmp/sql.escript "$@"
}

# bind_to SOURCE q|e DESTINATION [ARGUMENTS]
bind_to() { api 0 POST "bindings/%2F/e/$1/$2/$3" "{\"routing_key\": \"\", \"arguments\": ${4:-{\}}}"; }
bind_refused() { { bind_to sql q one "$1" || true; } | says "$2"; }
exchange() { api 0 PUT "exchanges/%2F/$1" "{\"type\": \"${2:-x-sql}\", \"durable\": true, \"arguments\": ${3:-{\}}}"; }
classic_queue() { api 0 PUT "queues/%2F/$1" '{"durable": true, "arguments": {"x-queue-type": "classic"}}'; }
purge() { api 0 DELETE "queues/%2F/$1/contents"; }

# Nothing lost, nothing doubled, and that after enough changes to mean something.
flipped() {
  client 0 flip flip flip 10 "$(node_host 0)" "$(node_host 1)" "$(node_host 2)" | tee "$WORK/flip" |
    jq -e '.sent > 1000 and .flips > 50 and .accepted == .sent and .lost == 0 and .doubled == 0'
}
odd_settled() {
  client 0 odd odd 2000 "$(node_host 1)" | tee "$WORK/odd" | jq -e '.sent == 2000 and .accepted == 2000'
}
odd_counted() { [ "$(eval_on 1 'rabbit_sql_exchange_stats:evaluation_failures() > 100.')" = true ]; }
odd_told() {
  local lines
  lines=$(grep -c 'a filter could not be evaluated for a message' "$WORK/log1")
  [ "$lines" -ge 1 ] && [ "$lines" -le 20 ]
}

rebound() { client 0 rebind rebind rebind "$1" "$(node_host 0)" | jq -e '.rebinds == .accepted'; }
atoms() { eval_on 0 'erlang:system_info(atom_count).'; }
# After a collection: what is only garbage is no leak. In KiB.
memory() { eval_on 0 '[erlang:garbage_collect(P) || P <- processes()], (erlang:memory(total) - erlang:memory(code)) div 1024.'; }
cached() { eval_on 0 'rabbit_sql_exchange_cache:size() =< 2 * 8192 + 100 andalso rabbit_sql_exchange_cache:bytes() < 34000000.'; }

part_sql() {
  echo "--- sql"
  start_all
  timed "three nodes form one cluster" 90
  local queue
  for queue in one two three; do check "queue $queue" classic_queue "$queue"; done
  # Were it gone, routing would go through all bindings of all virtual hosts instead.
  check "RabbitMQ's table of bindings by exchange is there" grep -qx bag <(eval_on 0 'ets:info(rabbit_khepri_route_by_source, type).')

  check "an x-sql exchange" exchange sql
  check "a misspelt argument is refused" bind_refused '{"x-sqlfilter": "a = 1"}' \
    "is not an argument of this exchange's bindings: it has x-sql-filter and x-subject-filter"
  check "a bad SQL filter is refused" bind_refused '{"x-sql-filter": "a ="}' "x-sql-filter is not a valid SQL filter: it ends too early"
  check "a bad subject filter is refused" bind_refused '{"x-subject-filter": "#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#"}' \
    "x-subject-filter is not a valid subject filter: it has 9 times #, more than 8"
  check "a filter that is no text is refused" bind_refused '{"x-subject-filter": 1}' "x-subject-filter must be a string"
  check "both filters for one" bind_to sql q one '{"x-sql-filter": "price > 5", "x-subject-filter": "#"}'
  check "a subject for two" bind_to sql q two '{"x-subject-filter": "order.*"}'
  check "what has no subject is routed by its properties" publish 1 sql "" '{"price": 6}'
  check "and not by a subject" holds 0 two 0
  check "one has it" until_true 5 holds 0 one 1
  check "not taken: the SQL filter does not hold" refused publish 1 sql "" '{"price": 5}'

  check "a queue that is bound twice" bind_to sql q one '{"x-sql-filter": "price > 4"}'
  check "gets a message that matches both" publish 2 sql "" '{"price": 7}'
  check "once" until_true 5 holds 0 one 2

  check "the exchange is deleted" api 1 DELETE exchanges/%2F/sql
  check "and made again" exchange sql
  check "the old bindings are gone" refused publish 2 sql "" '{"price": 7}'
  check "a new one" bind_to sql q two '{"x-sql-filter": "price > 4"}'
  check "is followed" publish 2 sql "" '{"price": 7}'

  check "queue flip" quorum_queue 0 flip
  check "exchange flip" exchange flip
  check "bound by the first filter" bind_to flip q flip '{"x-sql-filter": "n >= 0"}'
  check "while a filter changes, what matches old and new is neither lost nor doubled" flipped
  echo "      $(cat "$WORK/flip")"

  check "exchange odd" exchange odd
  for queue in "x * x > y" "x LIKE '%a_b%' OR -y > 1" "x + y > 1.0E308 * x" "x IN (1, 'a') AND NOT y"; do
    check "bound by $queue" bind_to odd q three "{\"x-sql-filter\": \"$queue\"}"
  done
  check "bound by wildcards" bind_to odd q three '{"x-subject-filter": "*.#.b"}'
  check "queue two gets all" bind_to odd q two
  check "whatever a message holds, its sender's session goes on" odd_settled
  echo "      $(cat "$WORK/odd")"
  check "what could not be evaluated was counted" odd_counted
  check "and told, but not for each message" odd_told
  for queue in two three; do check "purged" purge "$queue"; done

  check "exchange base" exchange base fanout
  check "exchange other" exchange other fanout
  check "exchange with an alternate by argument" exchange alternate x-sql '{"alternate-exchange": "base"}'
  check "taken" bind_to alternate q one '{"x-sql-filter": "price > 5"}'
  check "not taken" bind_to base q two
  check "not taken either" bind_to other q three
  check "one that matches goes to its queue" publish 1 alternate "" '{"price": 6}'
  check "and not to the alternate" holds 0 two 0
  check "one that does not goes to the alternate" publish 1 alternate "" '{"price": 5}'
  check "once" until_true 5 holds 0 two 1
  check "exchange with an alternate by policy" exchange governed
  check "the policy" api 0 PUT policies/%2F/alternate '{"pattern": "^governed$", "apply-to": "exchanges", "definition": {"alternate-exchange": "other"}}'
  check "one that matches nothing goes to it" until_true 5 publish 1 governed "" '{"price": 5}'
  check "and is in its queue" until_true 5 holds 0 three 1
  check "a policy that changes" api 0 PUT policies/%2F/alternate '{"pattern": "^governed$", "apply-to": "exchanges", "definition": {"alternate-exchange": "base"}}'
  check "one that matches nothing" publish 1 governed "" '{"price": 5}'
  check "goes to the new one" until_true 5 holds 0 two 2

  check "a filter between exchanges" bind_to governed e other '{"x-sql-filter": "price > 5"}'
  check "one that matches" publish 2 governed "" '{"price": 6}'
  check "goes through both" until_true 5 holds 0 three 2
  check "and not to the alternate" holds 0 two 2

  check "queue rebind" classic_queue rebind
  check "exchange rebind" exchange rebind
  check "some rebinds, so that all code is loaded" rebound 300
  local rebinds=$((ROUNDS * 200)) atoms memory begin=$SECONDS
  # Memory first: to ask for it makes some hundred atoms once.
  memory=$(memory) atoms=$(atoms)
  check "$rebinds rebinds, each with filters of its own, and a message by each" rebound "$rebinds"
  echo "      in $((SECONDS - begin)) s; atoms $atoms, then $(atoms); $(eval_on 0 \
    '{rabbit_sql_exchange_cache:size(), rabbit_sql_exchange_cache:bytes()}.') entries and bytes in the cache"
  check "their messages are deleted" purge rebind
  check "the cache is bounded" grep -qx true <(cached)
  # Connections, and whatever else a broker does meanwhile, make some; filters would make one each.
  check "no filter became an atom" [ $(($(atoms) - atoms)) -lt 200 ]
  # The cache itself, and what Khepri and the queue keep until their next snapshot.
  check "no memory is kept" [ $(($(memory) - memory)) -lt 65536 ]
  echo "      KiB $memory, then $(memory)"

  stop_all 0 1 2
  start_all
  timed "after all were stopped they are a cluster again" 90
  check "filters are followed as before" publish 1 governed "" '{"price": 6}'
  check "also between exchanges" until_true 10 holds 0 three 3
  check "the alternate too" publish 2 alternate "" '{"price": 5}'
  check "with its message" until_true 10 holds 0 two 3
  kill_all
  blank_all
}
