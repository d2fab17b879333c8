#!/usr/bin/env bash
# demo.sh: from nothing to messages that flow. Starts by removing what an earlier run left; what it made stays, to look around.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin=$SECONDS

say "1/6 Kubernetes of three nodes"
e2e/cluster/up.sh
use_cluster
need jq jq
say "2/6 images"
e2e/images.sh
say "3/6 what an earlier run left is removed"
remove_installation
say "4/6 chart, and the Broker of three nodes that it brings"
e2e/install.sh
say "5/6 quickstart: Queues"
kubectl apply -f examples/quickstart/01-namespace.yaml -f examples/quickstart/02-queue.yaml | sed 's/^/    /'
wait_ready queue orders shop 60
wait_ready queue invoices shop 60
say "6/6 quickstart: 10,000 messages over AMQP 1.0"
kubectl apply -f examples/quickstart/03-producer.yaml -f examples/quickstart/04-consumer.yaml | sed 's/^/    /'
for job in orders-producer orders-consumer; do
  if ! kubectl -n "$SYSTEM" wait --for=condition=Complete "job/$job" --timeout=180s >/dev/null; then
    kubectl -n "$SYSTEM" describe "job/$job" >&2
    kubectl -n "$SYSTEM" logs "job/$job" --tail=30 >&2 || true
    die "the Job $job did not complete"
  fi
  echo "    $job: $(kubectl -n "$SYSTEM" logs "job/$job" --tail=1)"
done

# The status follows the broker; it may be a moment behind the last message.
for _ in $(seq 20); do
  if kubectl -n shop get queue orders -o json | jq -e '.status.backlog | .ready == 0 and .unacknowledged == 0' >/dev/null; then break; fi
  sleep 0.5
done
echo
kubectl get brokers,queues -A
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
