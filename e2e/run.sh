#!/usr/bin/env bash
# run.sh [TEST]: the end-to-end tests against the cluster that runs, and the installation in it. One after another: they kill what others need.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_cluster
# Beforehand, where their progress is seen: tests would wait for them without a word.
e2e/clients/install.sh >/dev/null
# A test says what does not hold; where in its code says nothing more.
export RUST_BACKTRACE=0
status=0
cargo test "${CARGO_FLAGS[@]}" --features entente-e2e/cluster --test cluster -- --test-threads=1 --nocapture "$@" || status=$?

# Tests go on while their namespaces go; nobody waited for the last ones.
left() { kubectl get namespaces -l entente.dev/e2e=true -o name; }
for _ in $(seq 60); do
  [ -n "$(left)" ] || exit "$status"
  sleep 1
done
echo "FAIL namespaces that do not go: $(left | tr '\n' ' ')"
exit 1
