# shellcheck shell=bash
# Builds what the cluster runs, into the cache. Each thing has a key of what it was built from: another clone, or a next run, finds it there.

# cached FILE KEY COMMAND… : runs COMMAND, which must write FILE.part, unless FILE was made from KEY.
cached() {
  local file=$1 key=$2; shift 2
  mkdir -p "$(dirname "$file")"
  if [ -s "$file" ] && [ "$(cat "$file.key" 2>/dev/null)" = "$key" ]; then return 0; fi
  local begin; begin=$(now_ms)
  note "building $(basename "$file") (once)"
  rm -f "$file.key" "$file.part"
  "$@" "$file.part" || return 1
  # Renamed over: a running program keeps its old file, and nobody runs half of a new one.
  mv "$file.part" "$file" && echo "$key" >"$file.key"
  note "built $(basename "$file") in $(seconds $(($(now_ms) - begin)))"
}

hash_of() { cat "$@" | sha256sum | cut -c1-16; }

build_all() {
  local h=$CLUSTER_DIR/hyperkube
  mkdir -p "$BIN" "$IMAGES"
  # One build at a time: two clones that start together would do the same work on the same cores.
  exec 8>"$CACHE/build.lock"
  flock 8
  cached "$BIN/hyperkube" "$KUBERNETES_VERSION $(hash_of "$h"/main.go "$h"/go.mod "$h"/go.sum)" build_hyperkube || return 1
  ln -sf hyperkube "$BIN/kubectl"
  cached "$BIN/coredns" "$COREDNS_VERSION" go_install github.com/coredns/coredns "$COREDNS_VERSION" || return 1
  cached "$BIN/local-path-provisioner" "$LOCAL_PATH_VERSION" \
    go_install github.com/rancher/local-path-provisioner "$LOCAL_PATH_VERSION" || return 1
  cached "$BIN/helm" "$HELM_VERSION" go_install helm.sh/helm/v4/cmd/helm "$HELM_VERSION" || return 1
  cached "$BIN/pause" "$(hash_of "$CLUSTER_DIR/pause/pause.c")" build_pause || return 1
  cached "$BIN/busybox" 1 fetch_busybox || return 1
  build_images || return 1
  exec 8>&-
}

build_hyperkube() {
  local version=k8s.io/component-base/version
  (cd "$CLUSTER_DIR/hyperkube" && GOFLAGS=-buildvcs=false go build -mod=readonly -trimpath -o "$1" -ldflags \
    "-s -w -X $version.gitVersion=$KUBERNETES_VERSION -X $version.gitMajor=1 -X $version.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION")" .)
}

# go_install PACKAGE VERSION FILE. Static, since CoreDNS and the provisioner run in images with nothing else in them.
go_install() {
  local dir; dir=$(mktemp -d)
  GOBIN=$dir CGO_ENABLED=0 GOFLAGS=-buildvcs=false go install -trimpath -ldflags '-s -w' "$1@$2" &&
    mv "$dir/$(basename "$1")" "$3"
  local rc=$?
  rm -rf "$dir"
  return $rc
}

build_pause() { gcc -Os -static -s -Wall -Wextra -Werror -o "$1" "$CLUSTER_DIR/pause/pause.c"; }

# One static file with a shell and network tools. Taken out of its package, not installed: the package would replace the machine's own busybox.
fetch_busybox() {
  local dir; dir=$(mktemp -d)
  (cd "$dir" && { apt-get -q download busybox-static || { apt-get -q update && apt-get -q download busybox-static; }; } &&
    dpkg-deb -x busybox-static_*.deb . && cp bin/busybox "$1") >"$CACHE/busybox.log" 2>&1
  local rc=$?
  rm -rf "$dir"
  return $rc
}
