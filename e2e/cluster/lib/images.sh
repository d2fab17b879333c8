# shellcheck shell=bash
# Images: made here without a container engine, and loaded into the nodes.

# make_image NAME ROOT_DIR ENTRYPOINT FILE: a docker-archive with one layer, written by hand. The same files give the same image id.
make_image() {
  local name=$1 root=$2 entrypoint=$3 file=$4 work layer config
  work=$(mktemp -d)
  tar --numeric-owner --owner=0 --group=0 --sort=name --mtime=@0 -C "$root" -cf "$work/layer.tar" .
  layer=$(sha256sum <"$work/layer.tar" | cut -d' ' -f1)
  jq -nc --arg e "$entrypoint" --arg l "sha256:$layer" '{architecture: "amd64", os: "linux", created: "1970-01-01T00:00:00Z",
    config: {Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], Entrypoint: ($e | split(" ")), WorkingDir: "/"},
    rootfs: {type: "layers", diff_ids: [$l]}, history: [{created: "1970-01-01T00:00:00Z", created_by: "e2e/cluster"}]}' >"$work/config.json"
  config=$(sha256sum <"$work/config.json" | cut -d' ' -f1)
  mv "$work/config.json" "$work/$config.json"
  jq -nc --arg c "$config.json" --arg n "$name" '[{Config: $c, RepoTags: [$n], Layers: ["layer.tar"]}]' >"$work/manifest.json"
  tar --numeric-owner --owner=0 --group=0 --sort=name --mtime=@0 -C "$work" -cf "$file" manifest.json "$config.json" layer.tar
  rm -rf "$work"
}

# image_of_binary NAME BINARY ENTRYPOINT FILE
image_of_binary() {
  local root; root=$(mktemp -d)
  chmod 755 "$root"
  mkdir -p "$root/etc" "$root/tmp" "$root/bin"
  chmod 1777 "$root/tmp"
  install -m 755 "$BIN/$2" "$root/bin/$2"
  if [ "$2" = busybox ]; then
    local applet
    for applet in $("$BIN/busybox" --list); do if [ "$applet" != busybox ]; then ln -s busybox "$root/bin/$applet"; fi; done
    printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
  fi
  make_image "$1" "$root" "$3" "$4"
  rm -rf "$root"
}

build_images() {
  local format=3 # changes when the functions above make something else of the same binary
  cached "$IMAGES/pause.tar" "$format $(cat "$BIN/pause.key")" image_of_binary localhost/entente-pause:1 pause /bin/pause || return 1
  cached "$IMAGES/coredns.tar" "$format $(cat "$BIN/coredns.key")" \
    image_of_binary "localhost/coredns:$COREDNS_VERSION" coredns /bin/coredns || return 1
  cached "$IMAGES/local-path-provisioner.tar" "$format $(cat "$BIN/local-path-provisioner.key")" \
    image_of_binary "localhost/local-path-provisioner:$LOCAL_PATH_VERSION" local-path-provisioner /bin/local-path-provisioner || return 1
  cached "$IMAGES/busybox.tar" "$format $(cat "$BIN/busybox.key")" image_of_binary localhost/busybox:1 busybox /bin/sh
}

node_ctr() { local n=$1; shift; ctr -a "$RUN/node$n/containerd.sock" -n k8s.io "$@"; }

image_digest() { node_ctr "$1" images ls 2>/dev/null | awk -v n="$2" '$1 == n {print $3}'; }

# load_image NODE FILE: nothing is copied when the node already has this very image under this very name.
load_image() {
  local n=$1 file=$2 manifest name id have old
  manifest=$(tar -xOf "$file" manifest.json) || die "$file is not a docker-archive"
  name=$(jq -r '.[0].RepoTags[0]' <<<"$manifest")
  id=$(jq -r '.[0].Config | sub("^blobs/sha256/"; "") | sub("\\.json$"; "")' <<<"$manifest")
  have=$(image_digest "$n" "$name")
  if [ -n "$have" ] && [ "$have" = "$(image_digest "$n" "sha256:$id")" ]; then
    echo "node$n has $name"
    return 0
  fi
  # What the name stood for before would stay on disk for ever: the kubelet collects images only when the disk is nearly full.
  old=$(node_ctr "$n" images ls | awk -v d="$have" -v i="sha256:$id" 'd != "" && $3 == d && $1 ~ /^sha256:/ && $1 != i {print $1}')
  node_ctr "$n" images import --digests=false "$file" >/dev/null || return 1
  # containerd's CRI plugin knows an image by its id, and takes a name with this label for one it has dealt with: without the label it
  # looks again, and finds that the name now stands for something else.
  if [ -n "$have" ]; then node_ctr "$n" images label "$name" io.cri-containerd.image= >/dev/null || return 1; fi
  wait_for 20 "node$n knows $name" image_known "$n" "$name" "sha256:$id" || return 1
  if [ -n "$old" ]; then
    # shellcheck disable=SC2086  # one or several
    node_ctr "$n" images rm $old >/dev/null 2>&1 || true
  fi
  echo "node$n loaded $name"
}
image_known() { [ -n "$(image_digest "$1" "$3")" ] && [ "$(image_digest "$1" "$2")" = "$(image_digest "$1" "$3")" ]; }
