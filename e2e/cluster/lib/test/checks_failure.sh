# shellcheck shell=bash
# shellcheck disable=SC2016  # what eval gets is expanded there
# Checks of test.sh in which something breaks: the API server, then node 2.

failure_checks() {
  local victim ip
  ip=$(pod_ip web-0)
  SERVICE_IP=$(k get service web -o 'jsonpath={.spec.clusterIP}')
  check "API server stops" eval '"$CLUSTER_DIR/apiserver.sh" stop && not kubectl get nodes --request-timeout=2s'
  check "pods go on without it" fetch "$ip" web-0
  check "Services go on without it" service_without nobody
  check "names go on without it" eval '"$BIN/busybox" nslookup "web.$NS.svc.cluster.local" "$DNS_IP"'
  check "API server starts" eval '"$CLUSTER_DIR/apiserver.sh" start && kubectl get nodes'

  within 30 node_is True >/dev/null
  victim=$(k get pods -l app=web -o 'jsonpath={.items[?(@.spec.nodeName=="node2")].metadata.name}')
  ip=$(pod_ip "$victim")
  check "node2 is cut off: its pod is not reached" eval '"$CLUSTER_DIR/node.sh" cut 2 && not fetch "$ip" "$victim"'
  check "it is not Ready then" within 45 node_is Unknown
  check "the Service no longer leads there" within 20 service_without "$victim"
  check "node2 is reconnected: its pod is reached" eval '"$CLUSTER_DIR/node.sh" heal 2 && within 10 fetch "$ip" "$victim"'
  check "it is Ready again" within 45 node_is True

  check "node2 loses power: its containers are dead" eval '"$CLUSTER_DIR/node.sh" kill 2 && [ -z "$(cgroup_pids "$CGROUP/node2")$(cgroup_pids "$CGROUP/node2-system")" ]'
  check "it is not Ready then" within 45 node_is Unknown
  check "node2 is restarted and Ready" eval '"$CLUSTER_DIR/node.sh" restart 2 && within 60 node_is True'
  check "its pod runs again and is reached" within 60 eval 'fetch "$(pod_ip "$victim")" "$victim"'
  check "node 0, the host, refuses to be cut off" not "$CLUSTER_DIR/node.sh" cut 0
  kubectl delete namespace "$NS" --wait=false >/dev/null
  check "the test's namespace goes, volume and all" within 60 gone
}

node_is() { [ "$(kubectl get node node2 -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' --request-timeout=5s)" = "$1" ]; }
service_without() {
  local ip i answer
  ip=$SERVICE_IP
  for i in {1..15}; do
    answer=$(curl -sS -m 1 "http://$ip:8080/who") || { echo "no answer at try $i"; return 1; }
    [ "$answer" != "$1" ] || return 1
  done
}
gone() { ! kubectl get namespace "$NS" >/dev/null 2>&1 && [ -z "$(kubectl get pv -o name)" ]; }
