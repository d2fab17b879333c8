# shellcheck shell=bash
# Is a cluster up, and is it the one this clone wants?

take_lock() {
  exec 9>"$LOCK"
  flock -n 9 || { note "waiting for another up.sh or down.sh"; flock 9; }
}

# What the running cluster was made of. The text of the scripts is not part of it: editing one must not cost anybody a running cluster.
cluster_key() { echo "1 $NODE_COUNT $(cat "$BIN/hyperkube.key" "$IMAGES/coredns.tar.key" "$IMAGES/local-path-provisioner.tar.key" | tr '\n' ' ')"; }

daemons() {
  local n
  echo etcd apiserver controller-manager scheduler
  for ((n = 0; n < NODE_COUNT; n++)); do echo "containerd$n kubelet$n proxy$n"; done
}

# A test that was interrupted may have left a node cut off or the API server stopped: that is put right. Anything worse wants a new cluster.
healthy() {
  local daemon n
  if [ ! -s "$ENV_FILE" ]; then return 1; fi
  if [ "$(cat "$STATE/key" 2>/dev/null)" != "$(cluster_key)" ]; then note "the running cluster is of other versions: it is made anew"; return 1; fi
  for daemon in $(daemons); do
    if ! alive "$daemon" && [ "$daemon" != apiserver ]; then note "$daemon is not running: the cluster is made anew"; return 1; fi
  done
  if ! alive apiserver; then note "starting the API server"; start_apiserver; fi
  for ((n = 1; n < NODE_COUNT; n++)); do
    if is_cut "$n"; then note "reconnecting node$n"; heal_node "$n"; fi
  done
  # A machine busy with builds may be slow to answer; that alone is no reason to throw a cluster away.
  wait_for 60 "API server ready" apiserver_ready && wait_for 60 "all nodes Ready" nodes_ready && wait_for 60 "add-ons Ready" addons_ready
}

ports_free() {
  local port taken
  for port in "${PORTS[@]}"; do
    taken=$(ss -Hltnp "sport = :$port")
    if [ -n "$taken" ]; then
      echo "error: port $port is taken: $taken" >&2
      return 1
    fi
  done
}

write_env() {
  local n names=
  for ((n = 0; n < NODE_COUNT; n++)); do names+="${names:+ }node$n"; done
  {
    echo "# The running test cluster. Source it: . $ENV_FILE"
    printf 'export %s=%q\n' CLUSTER packages KUBECONFIG "$STATE/admin.kubeconfig" AUDIT_LOG "$STATE/log/audit.log"
    echo "export NODES=\"$names\""
    for ((n = 0; n < NODE_COUNT; n++)); do printf 'export %s=%q\n' "NODE${n}_CONTAINERD" "$RUN/node$n/containerd.sock" "NODE${n}_IP" "$(node_ip "$n")"; done
    # shellcheck disable=SC2016  # for the shell that reads the file
    printf 'case ":$PATH:" in *:%q:*) ;; *) export PATH=%q:$PATH ;; esac\n' "$BIN" "$BIN"
  } >"$ENV_FILE.part"
  cluster_key >"$STATE/key"
  mv "$ENV_FILE.part" "$ENV_FILE"
}
