# shellcheck shell=bash
# Planned work: how members stand, leaders that are moved, and a node that leaves.

leads() { api 0 GET "queues/plan?disable_stats=true" | jq --arg node "$(node_name "$1")" '[.[] | select(.leader == $node)] | length'; }
leads_all() { [ "$(leads "$1")" = 6 ]; }
leads_none() { [ "$(leads "$1")" = 0 ]; }
members_in_sync() { api "$1" GET entente/members | jq -e '(.queues | length) == 6 and all(.queues[]; .leader != null and (.members | length) == 3 and all(.members[]; .votes))' >/dev/null; }

# move_to N: makes node N the leader of every queue.
move_to() {
  local moves
  moves=$(jq -n --arg to "$(node_name "$1")" '{moves: [range(6) | {vhost: "plan", queue: "q\(.)", to: $to}]}')
  api 2 POST entente/leaders "$moves" | jq -e '.moved == 6 and .failed == []' >/dev/null
}

answers() { [ "$(hub curl -s -o /dev/null -w '%{http_code}' -u "$2" -X "$3" -H 'content-type: application/json' --data "$5" "http://$(node_ip 0):15672/api/$4")" = "$1" ]; }
says_handed_over() { grep -q '^entente: handed over 6 queues, 0 not' "$WORK/log1"; }
not_drained() { [ "$(eval_on 0 "rabbit_maintenance:is_being_drained_local_read('$(node_name 1)').")" = false ]; }

# Erlang's time after which a silent node is gone. RabbitMQ takes over that of a node that it calls.
ticktime() { [ "$(eval_on "$1" 'net_kernel:get_net_ticktime().')" = "$2" ]; }
configure_ticktime() { eval_on "$1" "application:set_env(kernel, net_ticktime, $2)." >/dev/null; }
call_from() { eval_on "$1" "rabbit_misc:rpc_call('$(node_name "$2")', erlang, node, [], 5000), net_kernel:get_net_ticktime()."; }
takes_over() { [ "$(call_from "$1" "$2")" = "$3" ]; }

part_planned() {
  local n
  for n in 0 1 2; do node_start "$n"; done
  check "planned: three nodes serve" until_true 90 members_listed
  api 0 PUT vhosts/plan '{}' >/dev/null
  for n in 0 1 2 3 4 5; do api 0 PUT "queues/plan/q$n" '{"durable": true, "arguments": {"x-queue-type": "quorum"}}' >/dev/null; done
  for n in 0 1 2; do check "planned: node $n tells how members stand" until_true 20 members_in_sync "$n"; done
  check "planned: leaders are moved" move_to 1
  check "planned: they lead there" until_true 5 leads_all 1
  api 0 PUT users/watcher '{"password": "w", "tags": "monitoring"}' >/dev/null
  check "planned: only an administrator is told" answers 401 watcher:w GET entente/members ''
  check "planned: only an administrator moves" answers 401 watcher:w POST entente/leaders '{"moves": []}'
  check "planned: a node that is not there is refused" answers 400 "$ADMIN" POST entente/leaders \
    '{"moves": [{"vhost": "plan", "queue": "q0", "to": "rabbit@nowhere"}]}'
  check "planned: a body without moves is refused" answers 400 "$ADMIN" POST entente/leaders '{}'
  check "planned: closing without a node is refused" answers 400 "$ADMIN" POST entente/connections '{"most": 1}'
  check "planned: closing connections" answers 200 "$ADMIN" POST entente/connections "{\"node\": \"$(node_name 1)\", \"most\": 5}"
  check "planned: Erlang's time for silent nodes is its own" ticktime 1 60
  configure_ticktime 0 20
  check "planned: a configured one is set" until_true 10 ticktime 0 20
  check "planned: RabbitMQ takes over that of the node it calls" takes_over 0 1 60
  check "planned: the configured one comes back" until_true 10 ticktime 0 20
  local begin
  begin=$(now_ms)
  node_term 1
  node_wait 1 || true
  echo "      a node that leads 6 queues stopped within $(($(now_ms) - begin)) ms"
  check "planned: a node that stops hands its queues over" says_handed_over
  check "planned: it leads nothing any more" until_true 5 leads_none 1
  node_start 1
  check "planned: it comes back with its members" until_true 60 members_in_sync 1
  check "planned: and is not taken for one under maintenance" until_true 10 not_drained
  for n in 0 1 2; do node_term "$n"; done
  begin=$(now_ms)
  for n in 0 1 2; do node_wait "$n" || true; done
  echo "      all three stopped within $(($(now_ms) - begin)) ms"
  check "planned: nobody waits for others that go too" test $(($(now_ms) - begin)) -lt 15000
}

members_listed() { api 0 GET nodes | jq -e '[.[] | select(.running)] | length == 3' >/dev/null; }
