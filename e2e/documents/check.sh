#!/usr/bin/env bash
# check.sh [PLUGIN]: whether AsyncAPI's own parser takes the documents that the plugin writes, as JSON and as YAML.
# The parser comes from npm, in the version of the lock file; it is kept in the cache.
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
HERE=$ROOT/e2e/documents
plugin=${1:-${CARGO_TARGET_DIR:-$ROOT/target}/release/kubectl-entente}
need nodejs node
need npm npm

home=$CACHE/documents/$({ cat "$HERE"/package{,-lock}.json; node --version; } | sha256sum | cut -c1-16)
if [ ! -e "$home/complete" ]; then
  say "AsyncAPI's parser"
  rm -rf "$home"
  mkdir -p "$home"
  cp "$HERE"/package{,-lock}.json "$home/"
  npm ci --prefix "$home" --ignore-scripts --no-audit --no-fund --loglevel=error >&2 ||
    die "npm cannot install e2e/documents/package-lock.json; is its registry reached? 'npm ping' tells"
  touch "$home/complete"
fi

passed=0 failed=0
for form in json yaml; do
  if answer=$("$plugin" contract document "$HERE/contract.yaml" --format asyncapi -o "$form" | NODE_PATH=$home/node_modules node "$HERE/check.js" 2>&1); then
    passed=$((passed + 1))
    echo "ok    $form: $answer"
  else
    failed=$((failed + 1))
    echo "FAIL  $form"
    echo "      ${answer//$'\n'/$'\n      '}"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
