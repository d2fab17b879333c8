# shellcheck shell=bash
# Where everything is and which addresses it has. Sourced by every script; sets variables only.
# shellcheck disable=SC2034  # read by the scripts that source this

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=versions.env
. "$CLUSTER_DIR/versions.env"

CLUSTER=${CLUSTER:-packages} # packages | kind

# All machine state is under these two, whichever clone made it, so that any clone can clean it up.
STATE=/var/lib/entente-e2e
RUN=/run/entente-e2e
ENV_FILE=$STATE/env
# Folders that the kubelet and CNI plugins write to whatever we configure; removed afterwards if they were not there before.
SHARED_DIRS=(/var/lib/kubelet /var/lib/cni)
LOCK=/run/lock/entente-e2e.lock
# Kept by down.sh: what takes minutes to build.
CACHE=${ENTENTE_CACHE:-$HOME/.cache/entente}
BIN=$CACHE/bin
IMAGES=$CACHE/images

NODE_COUNT=3
ZONES=(zone-a zone-b zone-c)

# 198.18.0.0/15 is reserved for test networks: no real peer can have such an address, and none is ever sent to.
TEST_NET=198.18.0.0/15
NODE_NET=198.18.255   # node N is .N+1
POD_CIDR=198.18.0.0/20 # node N's pods are 198.18.N.0/24
SERVICE_CIDR=198.19.0.0/16
DNS_IP=198.19.0.10
API=https://$NODE_NET.1:6443
PORTS=(2379 2380 6443 10248 10249 10250 10256 10257 10259) # on the host

# Names of what we create outside our directories: they are what clean.sh looks for.
NODE_BRIDGE=ent-nodes
FORWARD_CHAIN=ENTENTE-E2E
LOSS_CHAIN=$FORWARD_CHAIN-LOSS # clean.sh finds it by its beginning
CNI_NETWORK=entente-e2e
CGROUP=entente-e2e

node_ip() { echo "$NODE_NET.$(($1 + 1))"; }
node_netns() { echo "ent-node$1"; }
node_veth() { echo "ent-node$1"; }

# packages | kind | nothing, as the env file says.
running_cluster() { sed -n 's/^export CLUSTER=//p' "$ENV_FILE" 2>/dev/null || true; }
