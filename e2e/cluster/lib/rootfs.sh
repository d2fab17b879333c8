#!/usr/bin/env bash
# rootfs.sh SUITE OUTFILE [PACKAGE,PACKAGE…]
#
# Makes a tar of a minimal Debian root file system, the base of every image built where no image registry can be reached.
# Does nothing when OUTFILE already is what was asked for; REBUILD=1 makes it anew (for newer packages).
#
#   lib/rootfs.sh bookworm ~/.cache/entente/rootfs/bookworm.tar
#   lib/rootfs.sh sid      ~/.cache/entente/rootfs/sid.tar erlang-base,ca-certificates
set -euo pipefail

usage() { echo "usage: rootfs.sh SUITE OUTFILE [PACKAGE,PACKAGE...]" >&2; exit 2; }

# The mirror this machine already uses: its own apt configuration knows which one can be reached from here.
mirror() {
  local found
  # shellcheck disable=SC2016  # apt's variables, not the shell's
  found=$(apt-get indextargets --format '$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)' |
    awk '$1 == "Packages" && $2 == "main" && $3 !~ /-/ && !seen { print $4; seen = 1 }')
  [ -n "$found" ] || { echo "rootfs.sh: no Debian mirror in this machine's apt configuration" >&2; return 1; }
  echo "$found"
}

# Documentation is three quarters of a small image's files; the licences (copyright files) stay.
slim() {
  local dir=$1
  cat >"$dir/etc/dpkg/dpkg.cfg.d/no-documentation" <<'CFG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
CFG
  find "$dir/usr/share/doc" -type f ! -name copyright -delete
  find "$dir/usr/share/doc" -type l -delete
  rm -rf "$dir"/usr/share/{man,info,locale}/* "$dir"/var/cache/apt/archives/*.deb "$dir"/var/lib/apt/lists/* \
    "$dir"/var/log/{bootstrap.log,dpkg.log,alternatives.log} "$dir"/var/cache/debconf/*-old
}

build() {
  local suite=$1 out=$2 packages=$3 dir
  dir=$(mktemp -d "${TMPDIR:-/tmp}/rootfs.XXXXXX")
  # shellcheck disable=SC2064  # the directory of now, not of exit time
  trap "umount -q '$dir/proc' '$dir/sys' 2>/dev/null || true; rm -rf --one-file-system '$dir'; rm -f '$out.part'" EXIT
  chmod 755 "$dir"
  if ! debootstrap --variant=minbase ${packages:+--include="$packages"} "$suite" "$dir" "$(mirror)" >"$out.log" 2>&1; then
    tail -n 30 "$out.log" "$dir/debootstrap/debootstrap.log" >&2 2>/dev/null || true
    echo "rootfs.sh: debootstrap of $suite failed" >&2
    return 1
  fi
  slim "$dir"
  # Written aside and renamed, so that whoever reads OUTFILE never sees half of one. No device nodes: runtimes make their own.
  tar --numeric-owner --sort=name --one-file-system --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' -C "$dir" -cf "$out.part" .
  mv "$out.part" "$out"
}

if [ $# -lt 2 ] || [ $# -gt 3 ]; then usage; fi
suite=$1 out=$2 packages=${3:-}
command -v debootstrap >/dev/null || { echo "rootfs.sh: debootstrap is missing (apt-get install debootstrap)" >&2; exit 1; }
mkdir -p "$(dirname "$out")"

# What the tar is made from. FORMAT changes when slim() or the tar does, so that every clone makes its base anew then.
FORMAT=1
key="$FORMAT $suite ${packages:-none}"
exec 9>"$out.lock"
flock 9 # two callers may want the same base at the same time: the second takes what the first has made
if [ -z "${REBUILD:-}" ] && [ -s "$out" ] && [ "$(cat "$out.key" 2>/dev/null)" = "$key" ]; then
  exit 0
fi
rm -f "$out.key"
build "$suite" "$out" "$packages"
echo "$key" >"$out.key"
