#!/usr/bin/env bash
# bench.sh
#
# Measures the exchange type x-sql beside fanout and headers, on three nodes of the broker image on this machine: what it costs
# to route one message, how many messages a second one sender gets accepted, and how long one message takes. Of N
# bindings exactly one matches, and its queue, a quorum queue of three, gets every message once. The bindings of fanout all
# match, so they are all of that queue: it is what the broker does without any filter.
#
# Prints a table and writes target/bench/sql-exchange.json. Needs what test.sh needs. Takes less than three minutes.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
CACHE=${ENTENTE_CACHE:-$HOME/.cache/entente}
IMAGES=$CACHE/images
SECONDS_EACH=2
FILE=$ROOT/target/bench/sql-exchange.json
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$HERE/lib.sh"
# shellcheck source-path=SCRIPTDIR source=nodes.sh
. "$HERE/nodes.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$HERE/checks.sh"
# shellcheck source-path=SCRIPTDIR source=sql.sh
. "$HERE/sql.sh"

# shellcheck disable=SC2034  # of nodes.sh
declare -a UNSHARE=()

# definitions EXCHANGE KIND COUNT: the exchange and its bindings, as the HTTP API takes them.
definitions() {
  jq -n --arg name "$1" --arg kind "$2" --argjson count "$3" '
    ({fanout: "fanout", headers: "headers"}[$kind] // "x-sql") as $type |
    {exchanges: [{name: $name, type: $type, durable: true, auto_delete: false, internal: false, arguments: {}}],
     bindings: [range(1; $count + 1) | {
       source: $name, destination_type: "queue", routing_key: "\(.)",
       destination: (if . == 1 or $kind == "fanout" then "bench" else "other" end),
       arguments: (
         if $kind == "fanout" then {}
         elif $kind == "headers" then {"x-match": "all", n: .}
         elif $kind == "sql" then {"x-sql-filter": "n = \(.)"}
         elif $kind == "sql-two" then {"x-sql-filter": "region LIKE \u0027eu-%\u0027 AND n = \(.)"}
         else {"x-subject-filter": "order.*.\(.)"} end)}]}'
}
import() { definitions "$@" >"$WORK/definitions" && api 0 POST definitions/%2F "@$WORK/definitions" >/dev/null; }
# bound EXCHANGE COUNT
bound() { [ "$(eval_on 0 "length(rabbit_binding:list_for_source(rabbit_misc:r(<<\"/\">>, exchange, <<\"$1\">>))).")" = "$2" ]; }

# Microseconds for one message, inside node 0: the best of three rounds, without what the loop itself costs.
route_us() {
  eval_on 0 '
    {ok, X} = rabbit_exchange:lookup(rabbit_misc:r(<<"/">>, exchange, <<"bench">>)),
    Properties = erlang:make_tuple(14, undefined, [{1, list_to_atom("v1_0.properties")}, {5, {utf8, <<"order.created.1">>}}]),
    Application = {list_to_atom("v1_0.application_properties"),
                   [{{utf8, <<"n">>}, {int, 1}}, {{utf8, <<"region">>}, {utf8, <<"eu-west">>}}]},
    Body = {list_to_atom("v1_0.data"), <<"x">>},
    Payload = iolist_to_binary([amqp10_framing:encode_bin(Section) || Section <- [Properties, Application, Body]]),
    Msg = mc:init(mc_amqp, Payload, #{x => <<"bench">>, rk => [<<>>]}),
    1 = length(rabbit_exchange:route(X, Msg, #{})),
    Times = lists:seq(1, '"$((20000 / $1 > 50 ? 20000 / $1 : 50))"'),
    Best = fun(F) -> lists:min([element(1, timer:tc(lists, foreach, [F, Times])) || _ <- [1, 2, 3]]) end,
    (Best(fun(_) -> rabbit_exchange:route(X, Msg, #{}) end) - Best(fun(_) -> ok end)) / length(Times).'
}

# measure CASE KIND COUNT
measure() {
  local name=$1 kind=$2 count=$3 route load
  import bench "$kind" "$count"
  until_bound bench "$count"
  route=$(route_us "$count")
  load=$(client 0 load bench "$SECONDS_EACH" "$(node_host 0)")
  api 0 DELETE exchanges/%2F/bench
  jq -nc --arg case "$name" --argjson route "$route" --argjson load "$load" '
    if $load.accepted == $load.sent then . else error("\($case): not all messages were accepted") end |
    [["route_us", "µs", ($route * 10 | round / 10)], ["messages_per_s", "1/s", $load.per_second],
     ["latency_p50_ms", "ms", $load.p50_ms], ["latency_p99_ms", "ms", $load.p99_ms]][] |
    {case: $case, metric: .[0], unit: .[1], value: .[2], bar: null}' >>"$WORK/results"
  tail -n 4 "$WORK/results" | jq -rs '[.[0].case] + map(.value) | @tsv' | {
    IFS=$'\t' read -r name route load p50 p99
    printf '%-44s %10s %10s %8s %8s\n' "$name" "$route" "$load" "$p50" "$p99"
  }
}

until_bound() {
  local end=$((SECONDS + 60))
  until bound "$1" "$2"; do
    [ $SECONDS -lt $end ] || die "the bindings of $1 are not there after 60 s"
    sleep 0.2
  done
}

serving() {
  local end=$((SECONDS + 90))
  until one_cluster; do
    [ $SECONDS -lt $end ] || die "there is no cluster of three after 90 s"
    sleep 0.2
  done
}

[ "$(id -u)" = 0 ] || die "the nodes need network and mount name spaces: run it as root"
for command in buildah curl jq ip nsenter unshare setpriv; do
  command -v "$command" >/dev/null || die "$command is missing (Debian: apt-get install buildah curl jq iproute2 util-linux)"
done
BUILDER=buildah
choose_builder
BUILDER=buildah "$HERE/images.sh" broker
trap nodes_teardown EXIT
trap 'exit 130' INT TERM
nodes_setup 3
start_all
serving
api 0 PUT queues/%2F/bench '{"durable": true, "arguments": {"x-queue-type": "quorum", "x-max-length": 10000}}'
api 0 PUT queues/%2F/other '{"durable": true, "arguments": {"x-queue-type": "classic"}}'

echo "load before: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores"
printf '%-44s %10s %10s %8s %8s\n' "case" "route µs" "msg/s" "p50 ms" "p99 ms"
for count in 1 10 100 1000; do
  for kind in fanout headers sql subject; do measure "$kind, $count bindings" "$kind" "$count"; done
done
measure "sql with LIKE and AND, 1000 bindings" sql-two 1000
import elsewhere sql 3000
until_bound elsewhere 3000
for kind in headers sql; do measure "$kind, 10 bindings, 3000 at another exchange" "$kind" 10; done

mkdir -p "$(dirname "$FILE")"
jq -s . "$WORK/results" >"$FILE"
echo "$FILE"
