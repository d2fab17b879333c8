# shellcheck shell=bash
# Runs nodes of the broker image without a container runtime: each in its own network, process and mount name space,
# with a read-only root, as uid 999 and without capabilities, as its pod would. For tests.
#
# The nodes' network is closed: a bridge in a name space of its own, with no way to this machine's networks.

NET=198.18.250 # node N is .N+10
STATEFUL_SET=b-broker
DOMAIN=b-nodes.test.svc.cluster.local
ADMIN=admin:test

node_host() { echo "$STATEFUL_SET-$1.$DOMAIN"; }
node_name() { echo "rabbit@$(node_host "$1")"; }
node_ip() { echo "$NET.$(($1 + 10))"; }
hub() { nsenter --net="/run/netns/$PREFIX-hub" "$@"; }

# What a run left that was killed: its nodes would go on using the machine.
nodes_sweep() {
  local name pid
  for name in $(ip netns list | awk '/^ebt[0-9]+-/ {print $1}'); do
    pid=${name#ebt}
    pid=${pid%%-*}
    [ ! -d "/proc/$pid" ] || continue
    # Some end with their parents before it is their turn.
    ip netns pids "$name" | xargs -r kill -KILL 2>/dev/null || true
    ip netns delete "$name"
    buildah rm "ebt$pid" >/dev/null 2>&1 || true
    rm -rf --one-file-system "${TMPDIR:-/tmp}/entente-broker-test.$pid"
  done
}

# nodes_setup COUNT: makes WORK, the image's root in it, and the network.
nodes_setup() {
  local count=$1 n
  COUNT=$count
  PREFIX=ebt$$
  nodes_sweep
  WORK=${TMPDIR:-/tmp}/entente-broker-test.$$
  mkdir -m 755 "$WORK"
  # shellcheck disable=SC2153  # of test.sh
  CONTAINER=$(buildah from -q --name "$PREFIX" --pull-never "docker-archive:$IMAGES/broker.tar")
  IMAGE=$(buildah inspect --type container --format '{{.FromImageID}}' "$CONTAINER")
  ROOTFS_DIR=$(buildah mount "$CONTAINER")
  ip netns add "$PREFIX-hub"
  hub ip link set lo up
  hub ip link add br0 type bridge
  hub ip addr add "$NET.1/24" dev br0
  hub ip link set br0 up
  printf '127.0.0.1 localhost\n' >"$WORK/hosts"
  for ((n = 0; n < count; n++)); do
    echo "$(node_ip "$n") $(node_host "$n") $STATEFUL_SET-$n" >>"$WORK/hosts"
    ip netns add "$PREFIX-$n"
    hub ip link add "v$n" type veth peer name eth0 netns "/run/netns/$PREFIX-$n"
    hub ip link set "v$n" master br0 up
    nsenter --net="/run/netns/$PREFIX-$n" sh -c \
      "ip link set lo up; ip addr add $(node_ip "$n")/24 dev eth0; ip link set eth0 up"
    node_blank "$n"
  done
  mkdir -p "$WORK/mnt" "$WORK/conf.d" "$WORK/cookie" "$WORK/cluster"
  head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$WORK/cookie/cookie"
  cat >"$WORK/conf.d/10-entente.conf" <<'CONF'
cluster_name = test/b
default_user = admin
default_pass = test
default_user_tags.administrator = true
loopback_users = none
event_exchange.protocol = amqp_1_0
management.rates_mode = basic
disk_free_limit.absolute = 1MB
vm_memory_high_watermark.absolute = 512MiB
CONF
  chmod -R a+rX "$WORK/conf.d" "$WORK/cookie" "$WORK/cluster"
}

# Empties the disk of node N.
node_blank() {
  rm -rf "$WORK/data$1"
  mkdir -p "$WORK/data$1"
  chown 999:999 "$WORK/data$1"
}

# node_start N [NAME=VALUE…]
node_start() {
  local n=$1
  shift
  # shellcheck disable=SC2016  # variables of the inner shell
  nsenter --net="/run/netns/$PREFIX-$n" unshare --mount --pid --uts --ipc --fork --kill-child=KILL sh -c '
    set -e
    hostname "$3"
    root=$1 work=$2 data=$4
    shift 4
    mount --make-rprivate /
    mount --bind "$root" "$work/mnt"; root=$work/mnt
    mount --bind -o ro "$work/hosts" "$root/etc/hosts"
    mount --bind -o ro "$work/conf.d" "$root/etc/rabbitmq/conf.d"
    mount --bind -o ro "$work/cookie" "$root/etc/entente/cookie"
    mount --bind -o ro "$work/cluster" "$root/etc/entente/cluster"
    mount --bind "$data" "$root/var/lib/rabbitmq"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero random urandom; do : >"$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
    ln -s /proc/self/fd "$root/dev/fd"
    mount -o remount,bind,ro "$root"
    exec env -i "$@" chroot "$root" setpriv --reuid 999 --regid 999 --clear-groups --no-new-privs \
      --bounding-set=-all --inh-caps=-all /usr/local/bin/entente-broker
  ' sh "$ROOTFS_DIR" "$WORK" "$STATEFUL_SET-$n" "$WORK/data$n" \
    POD_NAME="$STATEFUL_SET-$n" POD_NAMESPACE=test ENTENTE_HEADLESS=b-nodes ENTENTE_CLUSTER_DOMAIN=cluster.local \
    ENTENTE_REPLICAS="$COUNT" HOME=/tmp/rabbitmq LANG=C.UTF-8 LC_ALL=C.UTF-8 \
    PATH=/opt/rabbitmq/sbin:/opt/erlang/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" \
    >>"$WORK/log$n" 2>&1 </dev/null &
  UNSHARE[n]=$!
}

# The entrypoint's process, process 1 of its name space.
node_pid() { pgrep -P "${UNSHARE[$1]}"; }
node_kill() { kill -KILL "$(node_pid "$1")" 2>/dev/null || true; node_wait "$1"; }
node_term() { kill -TERM "$(node_pid "$1")" 2>/dev/null || true; }
node_wait() { wait "${UNSHARE[$1]}" 2>/dev/null; }
node_running() { [ -n "${UNSHARE[$1]:-}" ] && kill -0 "${UNSHARE[$1]}" 2>/dev/null; }

# node_exec N COMMAND…: as `kubectl exec` does.
node_exec() {
  local n=$1
  shift
  nsenter --target "$(node_pid "$n")" --mount --pid --uts --ipc --net --root --wd --setuid 999 --setgid 999 \
    env -i POD_NAME="$STATEFUL_SET-$n" POD_NAMESPACE=test ENTENTE_HEADLESS=b-nodes ENTENTE_CLUSTER_DOMAIN=cluster.local \
    HOME=/tmp/rabbitmq LANG=C.UTF-8 PATH=/opt/rabbitmq/sbin:/opt/erlang/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# eval_on N EXPRESSION: has RabbitMQ evaluate Erlang.
eval_on() { node_exec "$1" rabbitmqctl --quiet eval "$2"; }

# api N METHOD PATH [BODY]: prints the answer; fails on a status of 400 or more.
api() {
  local n=$1 method=$2 path=$3
  hub curl -sS --fail-with-body --max-time 20 -u "$ADMIN" -X "$method" -H 'content-type: application/json' ${4:+--data "$4"} \
    "http://$(node_ip "$n"):15672/api/$path"
}

nodes_teardown() {
  local n
  for ((n = 0; n < ${COUNT:-0}; n++)); do
    if node_running "$n"; then node_kill "$n" || true; fi
    ip netns delete "$PREFIX-$n" 2>/dev/null || true
  done
  [ -z "${PREFIX:-}" ] || ip netns delete "$PREFIX-hub" 2>/dev/null || true
  if [ -n "${CONTAINER:-}" ]; then
    buildah rm "$CONTAINER" >/dev/null 2>&1 || true
    # Taken out of the archive by `buildah from`; each image tested would stay on disk. In use by another test: kept.
    buildah rmi "$IMAGE" >/dev/null 2>&1 || true
  fi
  [ -z "${WORK:-}" ] || rm -rf --one-file-system "$WORK"
}
