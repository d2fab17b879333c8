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
cargo test "${CARGO_FLAGS[@]}" --features entente-e2e/cluster --test cluster -- --test-threads=1 --nocapture "$@"
