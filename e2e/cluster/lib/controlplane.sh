# shellcheck shell=bash
# etcd, API server, controller manager and scheduler, on the host's network.

K="$BIN/hyperkube"

start_etcd() {
  # No fsync: this data dies with the machine anyway, and a disk shared with builds would make every write slow.
  spawn etcd control-plane "$K" etcd --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
}

start_apiserver() {
  local p=$STATE/pki
  # The two default tolerations: pods leave a node that is cut off after 20 s, not after 5 min.
  # One audit file without rotation: tests count lines in it.
  spawn apiserver control-plane "$K" kube-apiserver \
    --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --advertise-address="$NODE_NET.1" --secure-port=6443 \
    --service-cluster-ip-range="$SERVICE_CIDR" --allow-privileged=true \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --client-ca-file="$p/ca.crt" --tls-cert-file="$p/apiserver.crt" --tls-private-key-file="$p/apiserver.key" \
    --service-account-key-file="$p/sa.pub" --service-account-signing-key-file="$p/sa.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --kubelet-preferred-address-types=InternalIP --kubelet-certificate-authority="$p/ca.crt" \
    --kubelet-client-certificate="$p/apiserver-kubelet-client.crt" --kubelet-client-key="$p/apiserver-kubelet-client.key" \
    --requestheader-client-ca-file="$p/ca.crt" --requestheader-allowed-names=front-proxy \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$p/front-proxy.crt" --proxy-client-key-file="$p/front-proxy.key" \
    --default-not-ready-toleration-seconds=20 --default-unreachable-toleration-seconds=20 \
    --audit-policy-file="$STATE/audit-policy.yaml" --audit-log-path="$STATE/log/audit.log" \
    --audit-log-maxsize=2000 --audit-log-maxbackup=1
}

start_controllers() {
  local kc=$STATE/controller-manager.kubeconfig sc=$STATE/scheduler.kubeconfig
  # No leader election: there is one of each, and it would write a lease every two seconds.
  # A node counts as lost after 16 s without a heartbeat (the kubelets send one every 4 s).
  spawn controller-manager control-plane "$K" kube-controller-manager --kubeconfig="$kc" \
    --authentication-kubeconfig="$kc" --authorization-kubeconfig="$kc" --leader-elect=false --use-service-account-credentials \
    --service-account-private-key-file="$STATE/pki/sa.key" --root-ca-file="$STATE/pki/ca.crt" \
    --cluster-signing-cert-file="$STATE/pki/ca.crt" --cluster-signing-key-file="$STATE/pki/ca.key" \
    --node-monitor-period=2s --node-monitor-grace-period=16s
  spawn scheduler control-plane "$K" kube-scheduler --kubeconfig="$sc" \
    --authentication-kubeconfig="$sc" --authorization-kubeconfig="$sc" --leader-elect=false
}

kc() { "$BIN/kubectl" --kubeconfig "$STATE/admin.kubeconfig" "$@"; }

apiserver_ready() { [ "$(curl -s -m 5 --cacert "$STATE/pki/ca.crt" "$API/readyz")" = ok ]; }
wait_apiserver() { wait_for "${1:-60}" "API server ready" apiserver_ready || { tail -n 20 "$STATE/log/apiserver.log" >&2; return 1; }; }

nodes_ready() {
  local ready
  ready=$(kc get nodes -o 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' --request-timeout=5s | grep -c True)
  [ "$ready" = "$NODE_COUNT" ]
}
