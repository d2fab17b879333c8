#!/usr/bin/env bash
# images.sh [broker] [operator] [apps]
#
# Builds the images localhost/entente-<name>:dev and writes each as a docker-archive to the cache, images/<name>.tar.
# An image whose sources did not change is not built again; REBUILD=1 builds it all the same.
#
#   BIN_DIR        directory with the binaries entente-operator and entente-apps (default: target/release)
#   ENTENTE_CACHE  cache (default: ~/.cache/entente)
#   BROKER_BASE    base image of the broker, where a registry can be reached (default: docker.io/library/rabbitmq:4.3)
#   BUILDER        docker or buildah (default: docker if its daemon answers, else buildah)
#
# With buildah no registry is needed: the base images are made of Debian packages.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
CACHE=${ENTENTE_CACHE:-$HOME/.cache/entente}
IMAGES=$CACHE/images
ROOTFS=$CACHE/rootfs
BIN_DIR=${BIN_DIR:-$ROOT/target/release}
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$HERE/lib.sh"
# shellcheck source-path=SCRIPTDIR source=base.sh
. "$HERE/base.sh"

usage() { echo "usage: images.sh [broker] [operator] [apps]" >&2; exit 2; }

build_broker() {
  local key
  key="broker $(base_key broker) $(tree_hash "$ROOT/broker-image" Containerfile image plugins)"
  cached broker "$key" build_from broker "$ROOT/broker-image/Containerfile" "$ROOT/broker-image"
}

# build_binary NAME: an image of one binary.
build_binary() {
  local name=$1 binary=entente-$1 key
  [ -x "$BIN_DIR/$binary" ] ||
    die "$BIN_DIR/$binary is missing. Build it with 'cargo build --release --bins', or set BIN_DIR to where it is"
  key="$name $(base_key minimal) $(sha256sum <"$BIN_DIR/$binary" | cut -c1-16) $(sha256sum <"$HERE/$name.Containerfile" | cut -c1-16)"
  cached "$name" "$key" build_one_binary "$name"
}

# Its own context with that binary alone: target/release holds gigabytes that a builder would copy.
build_one_binary() {
  local name=$1 context
  context=$(mktemp -d)
  cp "$BIN_DIR/entente-$name" "$context/"
  local rc=0
  build_from "$name" "$HERE/$name.Containerfile" "$context" "$2" || rc=$?
  rm -rf "$context"
  return "$rc"
}

if [ $# -eq 0 ]; then set -- broker operator apps; fi
for name; do
  case $name in broker | operator | apps) ;; *) usage ;; esac
done
mkdir -p "$IMAGES" "$ROOTFS"
# One build at a time: two that start together would do the same work on the same cores.
exec 8>"$CACHE/image-build.lock"
flock 8
choose_builder
for name; do
  if [ "$name" = broker ]; then build_broker; else build_binary "$name"; fi
done
