# shellcheck shell=bash
# What the machine must have. Missing Debian packages are installed; nothing is installed when nothing is missing.

declare -A NEEDED=(
  [containerd]=containerd [containerd-shim-runc-v2]=containerd [ctr]=containerd [runc]=runc
  [iptables]=iptables [conntrack]=conntrack [ip]=iproute2 [nsenter]=util-linux [findmnt]=util-linux
  [openssl]=openssl [jq]=jq [sysctl]=procps [curl]=curl [gcc]=gcc
)

deps() {
  local packages=() command
  [ "$(id -u)" = 0 ] || die "must run as root: it makes network namespaces, mounts and cgroups"
  for command in "${!NEEDED[@]}"; do
    command -v "$command" >/dev/null || packages+=("${NEEDED[$command]}")
  done
  [ -x /usr/lib/cni/bridge ] || [ -x /opt/cni/bin/bridge ] || packages+=(containernetworking-plugins)
  [ ! -f /usr/include/stdio.h ] && packages+=(libc6-dev)
  if [ ${#packages[@]} -gt 0 ]; then install_packages "${packages[@]}"; fi
  # Go's own command fetches the release that a go.mod asks for, if it is at least 1.21.
  command -v go >/dev/null || die "Go is needed (1.21 or later): https://go.dev/doc/install"
}

install_packages() {
  command -v apt-get >/dev/null || die "please install: $*"
  note "installing $*"
  # Debian starts a service when its package is installed. Ours brings its own containerd; one that nobody asked for must not run beside it.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && made=1
  fi
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600) failed=
  "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 ||
    { "${apt[@]}" update >/dev/null && "${apt[@]}" install -y --no-install-recommends "$@"; } >&2 || failed=1
  if [ -n "$made" ]; then rm -f $policy; fi
  [ -z "$failed" ]
}

cni_bin() { if [ -x /usr/lib/cni/bridge ]; then echo /usr/lib/cni; else echo /opt/cni/bin; fi; }
