#!/usr/bin/env bash
# demo.sh: from nothing to messages that flow. Starts by removing what an earlier run left; what it made stays, to look around.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin=$SECONDS

# completed JOB NAMESPACE: waits for a Job, and shows the last line of each container.
completed() {
  if ! kubectl -n "$2" wait --for=condition=Complete "job/$1" --timeout=180s >/dev/null; then
    kubectl -n "$2" describe "job/$1" >&2
    kubectl -n "$2" logs "job/$1" --all-containers --prefix --tail=30 >&2 || true
    die "the Job $1 did not complete"
  fi
  kubectl -n "$2" logs "job/$1" --all-containers --tail=1 | sed "s|^|    $1: |"
}

say "1/12 Kubernetes of three nodes"
e2e/cluster/up.sh
use_cluster
need jq jq
say "2/12 images"
e2e/images.sh
say "3/12 what an earlier run left is removed"
remove_installation
say "4/12 chart, and the Broker of three nodes that it brings"
# Clients get their Secrets in the namespaces of the example alone, so these come first.
kubectl apply -f examples/orders-and-billing/01-namespaces.yaml | sed 's/^/    /'
for name in payments kitchen parcels tracking; do kubectl create namespace "$name" --save-config | sed 's/^/    /'; done
e2e/install.sh e2e/demo.yaml
say "5/12 quickstart: Queues"
kubectl apply -f examples/quickstart/01-namespace.yaml -f examples/quickstart/02-queue.yaml | sed 's/^/    /'
wait_ready queue orders shop 60
wait_ready queue invoices shop 60
say "6/12 quickstart: 10,000 messages over AMQP 1.0"
kubectl apply -f examples/quickstart/03-producer.yaml -f examples/quickstart/04-consumer.yaml | sed 's/^/    /'
completed orders-producer "$SYSTEM"
completed orders-consumer "$SYSTEM"
say "7/12 orders and billing: a Topic, Subscriptions with filters, Clients, in two namespaces"
kubectl apply -f examples/orders-and-billing | sed 's/^/    /'
for object in topic/orders queue/audit client/order-service; do wait_ready "${object%/*}" "${object#*/}" orders 60; done
for object in subscription/invoices subscription/reports client/invoice-service; do wait_ready "${object%/*}" "${object#*/}" billing 60; done
say "8/12 orders and billing: 450 orders of five kinds, of which the filter lets 200 pass"
kubectl apply -f examples/orders-and-billing/jobs | sed 's/^/    /'
completed orders-producer orders
completed invoice-consumer billing

say "9/12 dead letters: a consumer rejects 100 of 300 payments; they are sent again, and taken"
kubectl apply -f examples/dead-letters | sed 's/^/    /'
wait_ready queue payments payments 60
wait_ready client payment-service payments 60
for job in 02-producer 03-broken-consumer 04-redrive 05-consumer; do
  kubectl apply -f "examples/dead-letters/jobs/$job.yaml" >/dev/null
  completed "payments-${job#*-}" payments
done

# replicas_become N SECONDS: shows each number of replicas of the cooks, until it is N.
replicas_become() {
  local last='' now deadline=$((SECONDS + $2))
  while [ "$last" != "$1" ]; do
    [ "$SECONDS" -lt "$deadline" ] || die "the Deployment cooks has $last replicas and not $1: $(kubectl -n kitchen get queue meals -o jsonpath='{.status.scaling.lastDecision.message}')"
    now=$(kubectl -n kitchen get deployment cooks -o jsonpath='{.spec.replicas}')
    if [ "$now" != "$last" ]; then note "$(date +%T) cooks: $now replicas"; fi
    last=$now
    sleep 0.2
  done
}

say "10/12 autoscaling: nobody at rest, five consumers for 400 messages, nobody again"
kubectl apply -f examples/autoscaling | sed 's/^/    /'
wait_ready queue meals kitchen 60
wait_ready client cook kitchen 60
replicas_become 0 60
kubectl apply -f examples/autoscaling/jobs >/dev/null
replicas_become 5 60
kubectl -n kitchen get queue meals -o jsonpath='{.status.scaling.lastDecision.message}{"\n"}' | sed 's/^/    /'
replicas_become 0 120

steps=examples/contract-evolution/steps
# step FILE [OPTION…]: applies a step, and shows what kubectl says. SUNSET_AT is the one thing that cannot be written beforehand.
step() {
  sed "s/SUNSET_AT/${sunset:-}/" "$steps/$1" | kubectl apply -f - "${@:2}" 2>&1 | sed 's/^/    /'
}
# refused FILE [OPTION…]: the same for one that must not be taken. kubectl repeats the whole patch before it says why.
refused() {
  local said
  if said=$(step "$@"); then die "$1 was taken"; fi
  grep -q 'admission webhook' <<<"$said" || die "$1: $said"
  sed -n '/admission webhook/,$p' <<<"$said" | sed 's/^.*admission webhook/    admission webhook/'
}
# v1_becomes FIELD VALUE
v1_becomes() {
  kubectl -n parcels wait servicecontract parcels --for=jsonpath="{.status.versions[0].$1}=$2" --timeout=90s >/dev/null ||
    die "v1 is not $1=$2: $(kubectl -n parcels get servicecontract parcels -o jsonpath='{.status.versions[0]}')"
  note "$(date +%T) v1: $1=$2"
}

say "11/12 failover: the node that leads is killed while messages flow; what clients saw, and whether one is lost"
cargo build "${CARGO_FLAGS[@]}" --quiet --bin chaos
ROUNDS=1 NEMESIS=kill WORKLOAD=quorum target/release/chaos | sed 's/^/    /'
say "12/12 contract evolution: v2 honours v1; v1 is deprecated, left, and retired, while a consumer runs"
kubectl apply -f examples/contract-evolution | sed 's/^/    /'
for object in servicecontract/parcels client/parcel-service; do wait_ready "${object%/*}" "${object#*/}" parcels 60; done
for object in subscription/deliveries client/tracking-service; do wait_ready "${object%/*}" "${object#*/}" tracking 60; done
step 04-live.yaml
completed parcels-v1 parcels
note "a v2 that readers of v1 cannot read:"
refused 05-incompatible.yaml
note "and one that they can:"
step 06-v2.yaml
for object in servicecontract/parcels client/parcel-service; do wait_ready "${object%/*}" "${object#*/}" parcels 60; done
step 07-live-v2.yaml
completed parcels-v2 parcels
sunset=$(date -u -d '+12 seconds' +%FT%TZ)
note "v1 ends at $sunset:"
step 08-deprecate.yaml
kubectl -n tracking wait subscription deliveries --for=condition=ContractDeprecated --timeout=10s >/dev/null
kubectl -n tracking get subscription deliveries -o json | jq -r '.status.conditions[] | select(.type == "ContractDeprecated") | "    its subscriber is told: \(.message)"'
note "who comes now is warned:"
step 09-newcomer.yaml --dry-run=server
step 10-move.yaml
v1_becomes state Sunset
note "who comes now is refused:"
refused 09-newcomer.yaml --dry-run=server
v1_becomes retirable true
step 11-retire.yaml
v1_becomes state Retired
step 12-live-again.yaml
completed parcels-v2-only parcels
completed tracking tracking

# The status follows the broker; it may be a moment behind the last message.
for _ in $(seq 20); do
  if kubectl -n shop get queue orders -o json | jq -e '.status.backlog | .ready == 0 and .unacknowledged == 0' >/dev/null; then break; fi
  sleep 0.5
done
echo
kubectl get brokers,queues -A
echo
kubectl get topics,servicecontracts,subscriptions,clients -A
cat <<END

It took $((SECONDS - begin)) s. Look around:
  . $ENV_FILE                     # kubectl and helm for this cluster
  kubectl get entente -A -o wide
  kubectl -n shop describe queue orders
  kubectl -n $SYSTEM logs -l app.kubernetes.io/component=operator --prefix --tail=20
  kubectl -n shop patch queue orders --type=merge -p '{"spec":{"maxLength":5000}}'
  e2e/cluster/node.sh cut 2                              # one node less: messages go on; heal 2 brings it back
Remove it: make cluster-down
END
