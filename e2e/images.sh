#!/usr/bin/env bash
# images.sh: compiles and builds the images of broker, operator and example apps. What did not change is not built again.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cargo build "${CARGO_FLAGS[@]}" --bins
BIN_DIR=$ROOT/target/release broker-image/build/images.sh broker operator apps
