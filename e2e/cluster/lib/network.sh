# shellcheck shell=bash
# The wires between the nodes. Node 0 is the host itself; every other node is a network namespace with one cable to a bridge on the host.

network() {
  local i j
  set_sysctl net.ipv4.ip_forward 1
  # Where bridges show their packets to iptables, Docker's default of dropping what is forwarded would cut nodes and pods off.
  iptables -w -N "$FORWARD_CHAIN"
  iptables -w -A "$FORWARD_CHAIN" -s "$TEST_NET" -j ACCEPT
  iptables -w -A "$FORWARD_CHAIN" -d "$TEST_NET" -j ACCEPT
  iptables -w -I FORWARD -j "$FORWARD_CHAIN"

  ip link add "$NODE_BRIDGE" type bridge
  ip addr add "$NODE_NET.1/24" dev "$NODE_BRIDGE"
  ip link set "$NODE_BRIDGE" up
  # With this route the host talks to a Service from an address that pods can answer to.
  ip route add "$SERVICE_CIDR" dev "$NODE_BRIDGE"
  for ((i = 1; i < NODE_COUNT; i++)); do node_network "$i"; done
  for ((i = 0; i < NODE_COUNT; i++)); do
    for ((j = 0; j < NODE_COUNT; j++)); do
      if [ "$i" != "$j" ]; then in_node "$i" ip route add "198.18.$j.0/24" via "$(node_ip "$j")"; fi
    done
  done
}

node_network() {
  local n=$1 ns veth; ns=$(node_netns "$n") veth=$(node_veth "$n")
  ip netns add "$ns"
  ip link add "$veth" type veth peer name eth0 netns "$ns"
  ip link set "$veth" master "$NODE_BRIDGE" up
  in_node "$n" ip link set lo up
  in_node "$n" ip addr add "$(node_ip "$n")/24" dev eth0
  in_node "$n" ip link set eth0 up
  in_node "$n" ip route add default via "$NODE_NET.1"
  in_node "$n" sysctl -qw net.ipv4.ip_forward=1
}

# in_node N COMMAND…. Not "ip netns exec", which hides the cgroup mounts.
in_node() { local n=$1; shift; if [ "$n" = 0 ]; then "$@"; else nsenter --net="/run/netns/$(node_netns "$n")" "$@"; fi; }

cut_node() { ip link set "$(node_veth "$1")" down; }
heal_node() { ip link set "$(node_veth "$1")" up; }
is_cut() { [ "$1" != 0 ] && ! ip -o link show "$(node_veth "$1")" up 2>/dev/null | grep -q .; }

# Loss in one direction alone: the node's own firewall drops the packets, those of its pods included.
mute_node() { lose "$1" POSTROUTING -o eth0; }
deafen_node() { lose "$1" PREROUTING -i eth0; }
# block N FROM TO…: what pods of node N send from one address to the others is lost.
block() {
  local n=$1 from=$2 to; shift 2
  for to in "$@"; do lose "$n" FORWARD -s "$from" -d "$to"; done
}

# lose N CHAIN MATCH…
lose() {
  local n=$1 chain=$2; shift 2
  if in_node "$n" iptables -w -t mangle -N "$LOSS_CHAIN" 2>/dev/null; then in_node "$n" iptables -w -t mangle -A "$LOSS_CHAIN" -j DROP; fi
  in_node "$n" iptables -w -t mangle -A "$chain" "$@" -j "$LOSS_CHAIN"
}
loses() { in_node "$1" iptables-save -t mangle 2>/dev/null | grep -q -- "-j $LOSS_CHAIN\$"; }
lose_nothing() {
  local rule
  in_node "$1" iptables-save -t mangle | sed -n "s/^-A \(.*-j $LOSS_CHAIN\)\$/\1/p" | while read -r -a rule; do
    in_node "$1" iptables -w -t mangle -D "${rule[@]}"
  done
}

# remember_sysctl KEY…, set_sysctl KEY VALUE: down.sh gives every key its former value.
remember_sysctl() {
  local key value
  for key in "$@"; do
    if value=$(sysctl -n "$key" 2>/dev/null); then echo "$key=$value" >>"$STATE/sysctl"; fi
  done
}
set_sysctl() {
  if [ "$(sysctl -n "$1")" = "$2" ]; then return 0; fi
  remember_sysctl "$1"
  sysctl -qw "$1=$2"
}
raise_sysctl() { if [ "$(sysctl -n "$1")" -lt "$2" ]; then set_sysctl "$1" "$2"; fi; }

kernel_settings() {
  # Three kubelets and many pods watch files; the default of 128 watchers per user ends in "too many open files".
  raise_sysctl fs.inotify.max_user_instances 1024
  raise_sysctl fs.inotify.max_user_watches 262144
  # The kubelet sets these itself.
  remember_sysctl vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes
}
