# shellcheck shell=bash
# What runs on one node: containerd, kubelet, kube-proxy. A node's daemons (with containerd's shims) are in the cgroup node<N>-system,
# its containers in node<N>.

start_containerd() {
  local n=$1 d=$STATE/node$1 r=$RUN/node$1
  mkdir -p "$d/cni" "$d/containerd" "$r"
  # ptp, not bridge: every pod has a cable and a route of its own, so a Service works whatever bridges show to iptables.
  cat >"$d/cni/10-pods.conflist" <<CFG
{"cniVersion": "0.4.0", "name": "$CNI_NETWORK", "plugins": [{"type": "ptp", "ipMasq": false,
  "ipam": {"type": "host-local", "dataDir": "$d/ipam", "ranges": [[{"subnet": "198.18.$n.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
CFG
  cat >"$d/containerd.toml" <<CFG
version = 2
root = "$d/containerd"
state = "$r/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "$r/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/entente-pause:1"
disable_tcp_service = true
# A container may not have CAP_SYS_RESOURCE: then nothing may ask for a lower OOM score than it has.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$(cni_bin)"
conf_dir = "$d/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "$r/runc"
CFG
  spawn_on "$n" containerd containerd -c "$d/containerd.toml"
}

# spawn_on NODE NAME COMMAND…
spawn_on() {
  local n=$1 name=$2; shift 2
  if [ "$n" != 0 ]; then set -- nsenter --net="/run/netns/$(node_netns "$n")" "$@"; fi
  spawn "$name$n" "node$n-system" "$@"
}

containerd_ready() { ctr -a "$RUN/node$1/containerd.sock" --timeout 2s version; }

start_kubelet() {
  local n=$1 d=$STATE/node$1
  make_cgroup "$CGROUP/node$n"
  cat >"$d/kubelet.yaml" <<CFG
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $STATE/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $STATE/pki/node$n.crt
tlsPrivateKeyFile: $STATE/pki/node$n.key
containerRuntimeEndpoint: unix://$RUN/node$n/containerd.sock
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: ""
podLogsDir: $STATE/node$n/pod-logs
volumePluginDir: $STATE/node$n/volume-plugins
nodeLeaseDurationSeconds: 16 # renewed four times as often
serializeImagePulls: false
makeIPTablesUtilChains: false
failSwapOn: false
# A container that dies is started again as after its first death, however often a test kills it. The back-off, from 10 s to 5 minutes, would be what is measured.
crashLoopBackOff: {maxContainerRestartPeriod: 1s}
# Images are loaded, not pulled: the kubelet must not delete those that no pod uses at the moment.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
# Works with cgroup v1 and without CAP_SYS_RESOURCE. With cgroups per pod, containers are below cgroupRoot; without, they are in
# containerd's default place, where down.sh could not know them for ours.
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP/node$n
failCgroupV1: false
cgroupsPerQOS: true
enforceNodeAllocatable: [pods]
oomScoreAdj: 0
localStorageCapacityIsolation: true
CFG
  spawn_on "$n" kubelet "$BIN/hyperkube" kubelet --config "$d/kubelet.yaml" --kubeconfig "$STATE/node$n.kubeconfig" \
    --hostname-override "node$n" --node-ip "$(node_ip "$n")" --root-dir "$d/kubelet" --cert-dir "$d/kubelet/pki" \
    --node-labels "topology.kubernetes.io/zone=${ZONES[$((n % ${#ZONES[@]}))]},topology.kubernetes.io/region=local"
}

start_proxy() {
  local n=$1
  # The sysctls of connection tracking are the host's, and left as they are.
  spawn_on "$n" proxy "$BIN/hyperkube" kube-proxy --kubeconfig "$STATE/proxy.kubeconfig" --hostname-override "node$n" \
    --proxy-mode iptables --cluster-cidr "$POD_CIDR" --oom-score-adj 0 --iptables-localhost-nodeports=false --iptables-sync-period 10s \
    --iptables-min-sync-period 200ms --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0s --conntrack-tcp-timeout-close-wait 0s
}

start_containerds() {
  local n
  for ((n = 0; n < NODE_COUNT; n++)); do start_containerd "$n"; done
  for ((n = 0; n < NODE_COUNT; n++)); do wait_for 30 "containerd of node$n" containerd_ready "$n" || return 1; done
}

start_nodes() {
  local n
  for ((n = 0; n < NODE_COUNT; n++)); do start_kubelet "$n"; start_proxy "$n"; done
}

# kill_node N: as if its power failed. First the cable: a dead machine does not even refuse a connection.
kill_node() {
  if [ "$1" != 0 ]; then cut_node "$1"; fi
  kill_cgroup "$CGROUP/node$1-system" "$CGROUP/node$1"
}

# boot_node N: after kill_node. As after a reboot, mounts and what was in memory are gone; images, volumes and the kubelet's files are not.
boot_node() {
  local n=$1 link
  unmount_below "$RUN/node$n" "$STATE/node$n" || return 1
  rm -rf --one-file-system "$RUN/node$n"
  remove_cgroup "$CGROUP/node$n"
  clean_shim_sockets
  for link in $(in_node "$n" ip -o -4 addr show | awk -v a="198.18.$n.1/" 'index($4, a) == 1 {print $2}'); do
    in_node "$n" ip link del "$link" 2>/dev/null || true
  done
  rm -rf "$STATE/node$n/ipam"
  if [ "$n" != 0 ]; then heal_node "$n"; fi
  start_containerd "$n"
  wait_for 30 "containerd of node$n" containerd_ready "$n" || return 1
  start_kubelet "$n"
  start_proxy "$n"
}
