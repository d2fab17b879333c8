#!/usr/bin/env bash
# install.sh [VALUES…]: loads the images into the cluster that runs, installs or upgrades the chart, and waits until the Broker is Ready.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_cluster

say "images into the nodes"
e2e/cluster/load-image.sh "$CACHE"/images/{broker,operator,apps}.tar | sed 's/^/    /'

# The tag stays the same when the image changes: an annotation that follows the image restarts the pods.
image=$(tar -xOf "$CACHE/images/operator.tar" manifest.json | sha256sum | cut -c1-16)
values=()
for file in "$@"; do values+=(--values "$file"); done
say "chart"
if ! helm upgrade --install entente charts/entente --namespace "$SYSTEM" --create-namespace "${values[@]}" \
  --set-string "operator.podAnnotations.image-archive=$image" --wait --timeout 3m >/dev/null; then
  kubectl -n "$SYSTEM" get pods -o wide >&2 || true
  kubectl -n "$SYSTEM" logs -l app.kubernetes.io/instance=entente --tail=30 --prefix >&2 || true
  die "the chart could not be installed"
fi
say "Broker"
wait_ready broker main "$SYSTEM" 300
