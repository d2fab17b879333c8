# shellcheck shell=bash
# Checks of test.sh that take the cluster down: what is left on the machine?

machine_checks() {
  local before after; before=$(mktemp -d) after=$(mktemp -d)
  check "down.sh" "$CLUSTER_DIR/down.sh"
  check "nothing of ours is left" nothing_left
  snapshot "$before"
  check "up.sh ends although its output is a pipe, and its lock is free" up_in_pipe
  check "down.sh again" "$CLUSTER_DIR/down.sh"
  sleep 1
  snapshot "$after"
  check "links, routes, mounts, cgroups, iptables and sysctls are as before" diff -r "$before" "$after"
  check "down.sh without a cluster" "$CLUSTER_DIR/down.sh"
  check "up.sh" "$CLUSTER_DIR/up.sh"
  rm -rf "$before" "$after"
}

snapshot() {
  ip -o link | sed -E 's/^[0-9]+: //' >"$1/link"
  ip route >"$1/route"
  ip netns >"$1/netns"
  findmnt -rn -o TARGET | sort >"$1/mount"
  { find /sys/fs/cgroup -type d -name '*entente*' || true; } >"$1/cgroup" # other cgroups may vanish meanwhile
  iptables-save | sed -E '/^#/d; s/\[[0-9:]+\]$//' >"$1/iptables"
  ip6tables-save | sed -E '/^#/d; s/\[[0-9:]+\]$//' >"$1/ip6tables"
  { sysctl -a 2>/dev/null || true; } | grep -E '^(vm\.(over|panic)|kernel\.(panic|keys)|net\.ipv4\.(ip_forward|conf\.(all|default))|fs\.inotify)' >"$1/sysctl"
  ls -d /var/lib/{kubelet,cni,containerd} /var/log/{pods,containers} /run/{containerd,netns,runc} /etc/{cni,kubernetes} /usr/libexec/kubernetes >"$1/folders" 2>/dev/null || true
}

nothing_left() {
  local found=
  found+=$(ip -o link | grep -oE ' ent-[a-z0-9]+' || true)
  found+=$(ip netns | grep ent- || true)
  found+=$(findmnt -rn -o TARGET | grep entente-e2e || true)
  found+=$(find /sys/fs/cgroup -type d -name '*entente*')
  found+=$(iptables-save | grep -E "KUBE-|$FORWARD_CHAIN" || true)
  found+=$(ls -d "$STATE" "$RUN" 2>/dev/null || true)
  # By command line: a process that escaped its cgroup would be seen here.
  found+=$(pgrep -af "entente-e2e/|containerd-shim.*entente-e2e" | grep -v test.sh || true)
  [ -z "$found" ] || { echo "$found"; return 1; }
}

# A daemon that kept the pipe open would keep cat, and with it a CI step, waiting.
up_in_pipe() { timeout 180 bash -c "'$CLUSTER_DIR/up.sh' | cat" && flock -n "$LOCK" true; }
