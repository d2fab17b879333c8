# shellcheck shell=bash
# A node that leaves for good, as when a Broker gets smaller.

knows() { api 0 GET nodes | jq -e --argjson count "$1" 'length == $count' >/dev/null; }
runs() { api 0 GET nodes | jq -e --argjson count "$1" '[.[] | select(.running)] | length == $count' >/dev/null; }
# removal ASKED NODE
removal() { api "$1" POST entente/removal "{\"node\": \"$(node_name "$2")\"}"; }
removal_says() { [ "$(removal "$1" "$2" | jq -r .state)" = "$3" ]; }
refused_with() { { removal 0 2 || true; } | jq -e --arg why "$1" '.reason | contains($why)' >/dev/null; }
members_of() { api 0 GET entente/members | jq -e --arg queue "$1" --argjson count "$2" '.queues[] | select(.name == $queue) | (.members | length) == $count and all(.members[]; .votes)' >/dev/null; }
bound_there() { api 0 GET entente/members | jq -e --arg node "$(node_name 2)" '.bound[$node] == {count: 1, example: "go/old"}' >/dev/null; }

# change QUEUE NODE add|remove
change() {
  api 0 POST entente/members "{\"changes\": [{\"vhost\": \"go\", \"queue\": \"$1\", \"node\": \"$(node_name "$2")\", \"change\": \"$3\"}]}" | jq -e '.failed == []' >/dev/null
}

part_removal() {
  echo "--- removal"
  kill_all
  blank_all
  start_all
  timed "three nodes form one cluster" 90
  api 0 PUT vhosts/go '{}' >/dev/null
  api 0 PUT queues/go/q '{"durable": true, "arguments": {"x-queue-type": "quorum"}}' >/dev/null
  api 2 PUT queues/go/old "{\"durable\": true, \"arguments\": {\"x-queue-type\": \"classic\"}, \"node\": \"$(node_name 2)\"}" >/dev/null
  check "every member has a vote" until_true 20 members_of q 3
  check "queues that cannot leave their node are told" bound_there
  check "a node with a classic queue stays" refused_with "'old'"
  api 0 DELETE queues/go/old >/dev/null
  check "a node with a member stays" refused_with "'q'"
  check "a member goes" change q 2 remove
  check "the others have it" until_true 10 members_of q 2
  check "and comes back" change q 2 add
  check "it has a vote when it has caught up" until_true 20 members_of q 3
  check "what makes no sense is refused" answers 400 "$ADMIN" POST entente/members '{"changes": [{"vhost": "go", "queue": "q", "node": "rabbit@nowhere", "change": "add"}]}'
  check "only an administrator removes" answers 401 nobody:x POST entente/removal '{}'
  check "it goes for good" until_true 20 change q 2 remove
  eval_on 2 'application:set_env(rabbitmq_entente_nodes, stopped_for, 8000).' >/dev/null
  # Asked of the node itself: the Service may lead there.
  check "it stops" removal_says 2 2 stopping
  check "and is forgotten" until_true 30 removal_says 0 2 gone
  check "two nodes are members" knows 2
  check "asked again, a node that is gone is unknown" refused_with "member of the cluster"
  check "one that nobody takes away comes back by itself" until_true 60 runs 3
  check "with an empty disk" log_says 2 "entente: joining has failed"
  check "and gets members like any other" until_true 20 change q 2 add
  check "with a vote" until_true 20 members_of q 3

  # To one node: the metadata of two has no majority without one of them.
  check "a queue can do with two members" until_true 20 change q 2 remove
  check "and with one" until_true 20 change q 1 remove
  check "the third one goes" until_true 60 removal_says 0 2 gone
  check "one is left of the queue" until_true 10 members_of q 1
  check "and the second one" until_true 60 removal_says 0 1 gone
  node_kill 1 || true
  node_kill 2 || true
  check "what is left serves alone" api 0 PUT queues/go/alone '{"durable": true, "arguments": {"x-queue-type": "quorum"}}'
  check "one node is a member" knows 1
  kill_all
  blank_all
}
