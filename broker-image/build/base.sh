# shellcheck shell=bash
# Base images: official ones with docker; made of Debian packages with buildah.

BROKER_PACKAGES=rabbitmq-server,erlang-eunit,ca-certificates

# kind_of NAME: which base an image has.
kind_of() { if [ "$1" = broker ]; then echo broker; else echo minimal; fi; }

# base_key broker|minimal: what the base is made from.
base_key() {
  if [ "$BUILDER" = docker ]; then
    if [ "$1" = broker ]; then echo "${BROKER_BASE:-official}"; else echo official; fi
    return
  fi
  rootfs "$1" >&2
  cat "$(rootfs_file "$1").key" "$HERE/base.sh" | sha256sum | cut -c1-16
}

rootfs_file() { if [ "$1" = broker ]; then echo "$ROOTFS/sid-rabbitmq.tar"; else echo "$ROOTFS/bookworm.tar"; fi; }

rootfs() {
  local script=$ROOT/e2e/cluster/lib/rootfs.sh
  if [ "$1" = broker ]; then
    "$script" sid "$(rootfs_file broker)" "$BROKER_PACKAGES"
  else
    "$script" bookworm "$(rootfs_file minimal)"
  fi
}

# base_image NAME: prints the image to build from; with buildah it is made first.
base_image() {
  local kind
  kind=$(kind_of "$1")
  if [ "$BUILDER" = docker ]; then
    if [ "$kind" = broker ]; then
      echo "${BROKER_BASE:-docker.io/library/rabbitmq:4.3}"
    else
      echo "gcr.io/distroless/cc-debian12:nonroot"
    fi
    return
  fi
  local tag
  tag=localhost/entente-base-$kind:$(base_key "$kind")
  if ! buildah inspect --type image "$tag" >/dev/null 2>&1; then "import_$kind" "$tag" >&2 || return 1; fi
  echo "$tag"
}

import_broker() { import_tar "$1" "$(rootfs_file broker)"; }

# What a Rust program and glibc's resolver need, and nothing else: no shell, no package manager.
import_minimal() {
  local dir tar rc=0
  dir=$(mktemp -d)
  mkdir -p "$dir/root" "$dir/all"
  tar -C "$dir/all" -xf "$(rootfs_file minimal)" --wildcards './lib' './lib64' './usr/lib64' './etc/nsswitch.conf' \
    './usr/lib/*-linux-gnu/lib[cm].so.6' './usr/lib/*-linux-gnu/libgcc_s.so.1' './usr/lib/*-linux-gnu/libresolv.so.2' \
    './usr/lib/*-linux-gnu/ld-linux-*' './usr/lib/*-linux-gnu/libdl.so.2' \
    './usr/lib/*-linux-gnu/libpthread.so.0' './usr/lib/*-linux-gnu/librt.so.1' \
    './usr/lib/*-linux-gnu/libnss_dns.so.2' './usr/lib/*-linux-gnu/libnss_files.so.2' './usr/lib/ld-linux-*' './usr/share/doc/libc6/copyright' \
    './usr/share/doc/gcc-12-base/copyright' 2>/dev/null || true
  # The loader's place differs between architectures: tar complains of the patterns that match nothing.
  [ -e "$dir/all/etc/nsswitch.conf" ] || die "$(rootfs_file minimal) is not the root file system it should be: delete it and try again"
  mkdir -p "$dir/all/tmp" "$dir/all/etc/ssl/certs" "$dir/all/usr/local/bin"
  chmod 1777 "$dir/all/tmp"
  printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >"$dir/all/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' >"$dir/all/etc/group"
  if [ -r /etc/ssl/certs/ca-certificates.crt ]; then cp /etc/ssl/certs/ca-certificates.crt "$dir/all/etc/ssl/certs/"; fi
  tar=$dir/minimal.tar
  tar --numeric-owner --owner=0 --group=0 --sort=name -C "$dir/all" -cf "$tar" .
  import_tar "$1" "$tar" || rc=$?
  rm -rf "$dir"
  return "$rc"
}

# import_tar TAG TAR
import_tar() {
  local tag=$1 tar=$2 old
  # Bases of earlier keys would stay on disk for ever.
  old=$(buildah images --format '{{.Name}}:{{.Tag}}' | grep "^${tag%:*}:" || true)
  printf 'FROM scratch\nADD %s /\n' "$(basename "$tar")" |
    buildah bud -q --format docker -f - -t "$tag" "$(dirname "$tar")" >/dev/null || return 1
  if [ -n "$old" ]; then
    # shellcheck disable=SC2086  # one or several
    buildah rmi $old >/dev/null 2>&1 || true
  fi
}
