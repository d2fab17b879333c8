# shellcheck shell=bash
# Removes what a cluster left, found by our names, so that a run that died half way or came from another clone is cleaned up too.

leftovers() {
  [ -e "$STATE" ] || [ -e "$RUN" ] || ip link show "$NODE_BRIDGE" >/dev/null 2>&1 || [ -n "$(cgroup_pids "$CGROUP")" ]
}

clean() {
  leftovers || return 0
  kill_cgroup "$CGROUP" || return 1
  unmount_below "$RUN" "$STATE" || return 1
  clean_network
  clean_iptables iptables
  clean_iptables ip6tables
  remove_cgroup "$CGROUP"
  clean_shim_sockets
  clean_log_links
  restore_sysctls
  rm -f /var/lib/cni/results/"$CNI_NETWORK"-*
  if [ -s "$STATE/made" ]; then xargs -d '\n' rm -rf --one-file-system <"$STATE/made"; fi
  rm -rf --one-file-system "$STATE" "$RUN"
}

# unmount_below DIR…: the innermost first; lazily, as a mount may be busy for a moment after its processes died.
unmount_below() {
  local dir target try
  for dir in "$@"; do
    for try in 1 2 3; do
      while read -r target; do
        umount -l "$target" 2>/dev/null || true
      done < <(findmnt -rn -o TARGET | awk -v d="$dir/" 'index($0, d) == 1' | tac)
    done
    if findmnt -rn -o TARGET | grep -q "^$dir/"; then
      echo "error: mounts below $dir that cannot be unmounted ($try tries)" >&2
      return 1
    fi
  done
}

clean_network() {
  local name
  for name in $(ip netns list | awk '$1 ~ /^ent-node[0-9]+$/ {print $1}'); do ip netns del "$name"; done
  # "ip netns" binds this folder to itself; others may use it too.
  if [ -d /run/netns ] && [ -z "$(ls -A /run/netns)" ]; then
    umount -l /run/netns 2>/dev/null || true
    rmdir /run/netns 2>/dev/null || true
  fi
  for name in $(ip -o link show | awk -F': ' '{sub(/@.*/, "", $2); print $2}' | grep -E '^ent-node[0-9]+$'); do ip link del "$name" || true; done
  # The host's ends of pods: the kernel removes them too, but only some time after the last process of a pod is gone.
  for name in $(ip -o -4 addr show | awk '$4 ~ /^198\.18\.0\.1\// {print $2}'); do ip link del "$name" 2>/dev/null || true; done
  ip link del "$NODE_BRIDGE" 2>/dev/null || true
  # A connection still tracked to an address of the old cluster would send a new cluster's packets there.
  for name in "$SERVICE_CIDR" "$POD_CIDR"; do conntrack -D -d "$name" >/dev/null 2>&1 || true; done
}

# clean_iptables iptables|ip6tables: our chain, kube-proxy's chains, and the rules that jump to them; nothing else is touched.
clean_iptables() {
  local cmd=$1 table ours="KUBE-|$FORWARD_CHAIN"
  command -v "$cmd-save" >/dev/null || return 0
  for table in $("$cmd-save" 2>/dev/null | sed -n 's/^\*//p'); do
    {
      echo "*$table"
      "$cmd-save" -t "$table" | sed -nE "s/^-A (.*-j ($ours).*)/-D \1/p" | grep -vE "^-D ($ours)" || true
      "$cmd-save" -t "$table" | sed -nE "s/^:(($ours)[^ ]*) .*/-F \1/p"
      "$cmd-save" -t "$table" | sed -nE "s/^:(($ours)[^ ]*) .*/-X \1/p"
      echo COMMIT
    } | "$cmd-restore" --noflush || echo "warning: $cmd, table $table: not all chains could be removed" >&2
    drop_empty_table "$cmd" "$table"
  done
}

# A table that holds nothing now came into being with our first rule in it.
drop_empty_table() {
  local family=ip
  if [ "$1" = ip6tables ]; then family=ip6; fi
  case $("$1" -V) in *nf_tables*) ;; *) return 0 ;; esac
  if ! "$1-save" -t "$2" | grep -vE '^(#|\*|COMMIT|:[A-Z]+ ACCEPT )' | grep -q .; then
    nft delete table "$family" "$2" 2>/dev/null || true
  fi
}

# containerd's shims listen in a folder whose place is compiled in; a shim that is killed leaves its socket.
clean_shim_sockets() {
  local socket
  for socket in /run/containerd/s/*; do
    if [ -S "$socket" ] && ! grep -qF "$socket" /proc/net/unix; then rm -f "$socket"; fi
  done
  rmdir /run/containerd/s /run/containerd 2>/dev/null || true
}

clean_log_links() {
  local link
  for link in /var/log/containers/*; do
    case $(readlink "$link" 2>/dev/null) in "$STATE"/*) rm -f "$link" ;; esac
  done
  rmdir /var/log/containers 2>/dev/null || true
}

restore_sysctls() {
  if [ -s "$STATE/sysctl" ]; then tac "$STATE/sysctl" | sysctl -q -p - 2>/dev/null || true; fi
}
