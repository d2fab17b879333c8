#!/usr/bin/env bash
# test.sh [all|check|lint]: runs the parts one after another, goes on after a failure, and ends with the sum of all counts.
# all (default): everything, on a fresh cluster. check: what needs no cluster. lint: no tests either.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

what=${1:-all}
case $what in all|check|lint) ;; *) echo "usage: test.sh [all|check|lint]" >&2; exit 2 ;; esac
LOGS=$ROOT/target/test
mkdir -p "$LOGS"
passed=0 failed=0 summary=() failures=()

# part NAME COMMAND…: counts what the command's output counts; one that counts nothing counts as one. A part that fails without naming
# a failed test crashed: that is a failure too.
part() {
  local name=$1 begin=$SECONDS status=0 ok bad log
  shift
  log=$LOGS/${name// /-}.log
  say "$name"
  "$@" </dev/null 2>&1 | tee "$log" || status=$?
  read -r ok bad < <(awk '
    /^test result: / { for (i = 1; i < NF; i++) { if ($(i + 1) == "passed;") ok += $i; if ($(i + 1) == "failed;") bad += $i } }
    /^[0-9]+ passed, [0-9]+ failed$/ { ok += $1; bad += $3 }
    END { print ok + 0, bad + 0 }' "$log")
  if [ "$status" = 0 ] && [ $((ok + bad)) = 0 ]; then ok=1; fi
  if [ "$status" != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
  passed=$((passed + ok)) failed=$((failed + bad))
  summary+=("$(printf '%-28s %5d passed %3d failed %5d s' "$name" "$ok" "$bad" $((SECONDS - begin)))")
  note "$name: $ok passed, $bad failed, $((SECONDS - begin)) s"
  [ "$bad" = 0 ] || mapfile -t -O "${#failures[@]}" failures < <(told "$log")
  [ "$bad" = 0 ]
}

# told LOG: each failed test with the error that it ended with, as far as the log tells.
told() {
  awk '
    /^test [^ ]+ \.\.\. / { test = $2; error = "" }
    /Error: / { error = substr($0, index($0, "Error: ")) }
    /(^|\.\.\. )FAILED$/ { print test ": " error }
    /^FAIL |^error/ { print }' "$1" | cut -c1-400 | head -n 30
}

finish() {
  echo
  if [ "${#failures[@]}" != 0 ]; then printf 'failed: %s\n' "${failures[@]}"; echo; fi
  printf '%s\n' "${summary[@]}"
  echo
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}

# Scripts of the image have no ending: there they are commands.
shell_scripts() {
  git ls-files -z --cached --others --exclude-standard -- '*.sh' .ci/run broker-image/image/entrypoint broker-image/image/install broker-image/image/compile |
    xargs -0 shellcheck -x -P SCRIPTDIR -P e2e/cluster -P broker-image/image
}
crd_drift() { cargo build "${CARGO_FLAGS[@]}" --quiet --bin crdgen && target/release/crdgen --check crds/yaml && diff -r crds/yaml charts/entente/crds; }

# Advisories need a database from the network; licences, duplicates and sources need what is here already.
licences() {
  local tool
  tool=$(command -v cargo-deny || true)
  if [ -z "$tool" ]; then
    tool=$CACHE/cargo-tools/bin/cargo-deny
    [ -x "$tool" ] || cargo install --quiet --locked --root "$CACHE/cargo-tools" cargo-deny || return 1
  fi
  cargo fetch --locked --quiet && "$tool" --offline check bans licenses sources
}

lints() {
  part "format" cargo fmt --all --check || true
  part "clippy" cargo clippy "${CARGO_FLAGS[@]}" --all-targets --all-features -- -D warnings || true
  part "shellcheck" shell_scripts || true
  part "drift of the CRDs" crd_drift || true
  part "licences and sources" licences || true
}

unit_tests() {
  part "unit tests" cargo test "${CARGO_FLAGS[@]}" || true
}

if [ "$(id -u)" = 0 ]; then
  need shellcheck shellcheck
  need jq jq
fi

if [ "$what" != all ]; then
  lints
  if [ "$what" = check ]; then
    unit_tests
    part "chart tests" charts/entente/tests/render.sh || true
  fi
  finish
  exit
fi

# In the order of what fails fast last: the cluster's daemons start while nothing else wants the cores.
part "cluster" e2e/cluster/up.sh --fresh || finish
part "images" e2e/images.sh || finish
use_cluster
lints
unit_tests
part "documents of contracts" e2e/documents/check.sh || true
if part "installation" e2e/install.sh e2e/values.yaml; then
  # With the CRDs there, the API server judges the chart's Broker and the examples too.
  part "chart tests" charts/entente/tests/render.sh || true
  part "end to end" e2e/run.sh || true
  part "upgrade and uninstallation" e2e/upgrade.sh || true
fi
# Needs no cluster; last, as it takes minutes in which three more nodes run.
part "broker image" env ROUNDS=3 broker-image/build/test.sh || true
finish
