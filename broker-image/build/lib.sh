# shellcheck shell=bash
# Building one image, with docker or with buildah.

die() { echo "error: $*" >&2; exit 1; }

# need COMMAND PACKAGE
need() {
  command -v "$1" >/dev/null && return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    die "$1 is missing. Install it (Debian: apt-get install $2), or start a Docker daemon"
  fi
  echo "installing $2"
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$2" >/dev/null 2>&1 ||
    { apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$2" >/dev/null; } ||
    die "apt-get cannot install $2: see above"
}

choose_builder() {
  if [ -z "${BUILDER:-}" ]; then
    if command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1; then BUILDER=docker; else BUILDER=buildah; fi
  fi
  case $BUILDER in
    docker) ;;
    buildah)
      need buildah buildah
      need debootstrap debootstrap
      # chroot: neither a runtime nor a network name space is needed, so that it works in a container too.
      export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}
      if [ -z "${STORAGE_DRIVER:-}" ]; then
        export STORAGE_DRIVER=overlay
        # overlay does not work on top of overlay; vfs works everywhere, and takes more space.
        buildah images -q >/dev/null 2>&1 || export STORAGE_DRIVER=vfs
      fi
      ;;
    *) die "BUILDER=$BUILDER: docker and buildah are known" ;;
  esac
}

# tree_hash DIR PATH…: of names, modes and contents.
tree_hash() {
  local dir=$1
  shift
  (cd "$dir" && find "$@" -type f -printf '%p %m\n' | LC_ALL=C sort && find "$@" -type f -print0 | LC_ALL=C sort -z | xargs -0 cat) |
    sha256sum | cut -c1-16
}

# cached NAME KEY COMMAND…: runs COMMAND with the file to write, unless the archive was made from KEY.
cached() {
  local name=$1 key=$2 file=$IMAGES/$1.tar begin
  shift 2
  if [ -z "${REBUILD:-}" ] && [ -s "$file" ] && [ "$(cat "$file.key" 2>/dev/null)" = "$key" ]; then
    echo "$name: unchanged ($file)"
    return 0
  fi
  begin=$SECONDS
  rm -f "$file.key" "$file.part"
  "$@" "$file.part"
  # Renamed over: whoever reads the old archive goes on reading it.
  mv "$file.part" "$file"
  echo "$key" >"$file.key"
  echo "$name: built in $((SECONDS - begin)) s, $(($(stat -c %s "$file") / 1048576)) MiB ($file)"
}

# build_from NAME CONTAINERFILE CONTEXT FILE
build_from() {
  local name=$1 containerfile=$2 context=$3 file=$4 tag=localhost/entente-$1:dev base log
  base=$(base_image "$name") || return 1
  log=$(mktemp)
  local -a build=(buildah bud --pull-never --format docker --layers=false)
  # --pull-never would be taken for the official base too, which docker has to fetch.
  if [ "$BUILDER" = docker ]; then build=(docker build); fi
  if ! "${build[@]}" --build-arg "BASE=$base" -f "$containerfile" -t "$tag" "$context" >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    rm -f "$log"
    echo "error: $tag cannot be built: see above" >&2
    return 1
  fi
  rm -f "$log"
  if [ "$BUILDER" = docker ]; then
    docker save -o "$file" "$tag"
  else
    buildah push -q "$tag" "docker-archive:$file:$tag"
    # The archive is what is used. Left in buildah's storage, each build would leave an image behind.
    buildah rmi "$tag" >/dev/null
  fi
}
