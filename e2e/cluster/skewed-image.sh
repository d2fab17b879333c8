#!/usr/bin/env bash
# skewed-image.sh: makes localhost/entente-broker:skewed of the broker's image, in which each node's clock of day can be set apart from the
# others', and loads it into every node. A file /tmp/faketimerc in the container says by how many seconds: +3600. Without it, the clock is right.
# Clocks that count time since the start are left alone, as no correction of the time moves them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
images=${ENTENTE_CACHE:-$HOME/.cache/entente}/images
# shellcheck source-path=SCRIPTDIR source=../../broker-image/build/lib.sh
. "$here/../../broker-image/build/lib.sh"
# Of what was sourced.
export IMAGES=$images BUILDER=buildah

library() { find /usr/lib -name libfaketime.so.1 -print -quit; }

make() {
  local file=$1 container
  container=$(buildah from -q --pull-never "docker-archive:$images/broker.tar")
  buildah copy -q "$container" "$(library)" /usr/local/lib/libfaketime.so.1 >/dev/null
  buildah config -e LD_PRELOAD=/usr/local/lib/libfaketime.so.1 -e FAKETIME_TIMESTAMP_FILE=/tmp/faketimerc \
    -e FAKETIME_DONT_FAKE_MONOTONIC=1 -e DONT_FAKE_MONOTONIC=1 -e FAKETIME_CACHE_DURATION=1 "$container"
  buildah commit -q --format docker "$container" localhost/entente-broker:skewed >/dev/null
  buildah push -q localhost/entente-broker:skewed "docker-archive:$file:localhost/entente-broker:skewed" >/dev/null
  buildah rm "$container" >/dev/null
}

choose_builder
need faketime faketime
cached skewed "$(cat "$images/broker.tar.key") $(sha256sum "$(library)" "${BASH_SOURCE[0]}" | cut -c1-16 | tr -d '\n')" make
"$here/load-image.sh" "$images/skewed.tar"
