# shellcheck shell=bash
# shellcheck disable=SC2016  # what eval gets is expanded there
# Checks of test.sh that disturb nobody.

shell_checks() {
  if command -v shellcheck >/dev/null; then
    check "shellcheck finds nothing in the scripts" shellcheck -x "$CLUSTER_DIR"/*.sh "$CLUSTER_DIR"/lib/*.sh "$CLUSTER_DIR"/lib/test/*.sh
  else
    echo "skip  shellcheck is not installed"
  fi
}

basic_checks() {
  local n
  kubectl delete namespace "$NS" --ignore-not-found >/dev/null 2>&1
  kubectl create namespace "$NS" >/dev/null
  k apply -f "$CLUSTER_DIR/lib/test/pods.yaml" >/dev/null

  check "$NODE_COUNT nodes are Ready" eval '[ "$(kubectl get nodes --no-headers | grep -cw Ready)" = "$NODE_COUNT" ]'
  check "every node has a zone of its own" eval '[ "$(kubectl get nodes -o jsonpath="{.items[*].metadata.labels.topology\.kubernetes\.io/zone}" | tr " " "\n" | sort -u | wc -l)" = "$NODE_COUNT" ]'
  check "pods run, one in each zone" within 60 web_pods_spread
  web_pods_spread || die "nothing else can be tested without them (kubectl -n $NS describe pods)"
  for ((n = 0; n < NODE_COUNT; n++)); do
    check "host reaches web-$n by its address" fetch "$(pod_ip "web-$n")" "web-$n"
    check "web-$n reaches the pods of all nodes" reaches_all "web-$n"
    check "web-$n reaches the Service by its name" fetch_from "web-$n" web
    check "web-$n resolves a pod's name behind the headless Service" resolves "web-$n" "web-1.web-pods.$NS.svc.cluster.local" "$(pod_ip web-1)"
  done
  check "a pod reaches the Service that leads to itself" reaches_itself
  check "host reaches the Service by its address, and every pod behind it" service_spreads
  check "a name outside the cluster does not exist, at once" outside_name
  check "a pod reaches the API server" eval '[ "$(in_pod web-1 sh -c "echo | nc -w 2 kubernetes.default 443 && echo yes")" = yes ]'
  check "kubectl logs" eval 'k logs web-0'
  check "kubectl port-forward" port_forward

  check "a claim gets a volume; a pod without root writes to it" volume_pod writer "echo kept >/data/file"
  check "another pod finds there what was written" volume_pod reader "grep -q kept /data/file"

  check "a container over its memory limit is killed" within 30 ended too-much-memory OOMKilled
  check "a container below its memory limit is not" within 30 ended enough-memory Completed
  check "a CPU limit of 200m gives about 0.8 s of 4 s" cpu_limited

  check "the audit log has a write once, and no reads" audited
  check "an image that is there is not loaded again" eval '[ "$("$CLUSTER_DIR/load-image.sh" "$IMAGES/busybox.tar" | grep -c " has localhost/busybox:1")" = "$NODE_COUNT" ]'
  check "an image of the same name with other content takes its place" replaced_image
  check "up.sh leaves a healthy cluster as it is, in less than 5 s" up_again
}

web_pods_spread() {
  [ "$(k get pods -l app=web -o 'jsonpath={range .items[?(@.status.containerStatuses[0].ready==true)]}{.spec.nodeName}{"\n"}{end}' | sort -u | wc -l)" = "$NODE_COUNT" ]
}
# fetch_from POD ADDRESS: which pod answers there. Not wget: Debian's static one ends in a segmentation fault in an image without more files.
fetch_from() { in_pod "$1" sh -c "printf 'GET /who HTTP/1.0\r\n\r\n' | nc -w 3 $2 8080" | grep -x 'web-[0-9]'; }
reaches_all() {
  local n
  for ((n = 0; n < NODE_COUNT; n++)); do
    fetch_from "$1" "$(pod_ip "web-$n")" | grep -x "web-$n" || return 1
  done
}
resolves() { in_pod "$1" nslookup "$2" | grep -F "$3"; }
reaches_itself() {
  local i from=
  # kube-proxy chooses one of three pods by chance.
  for ((i = 0; i < 30; i++)); do
    from=$(fetch_from web-1 web) || return 1
    if [ "${from##*$'\n'}" = web-1 ]; then return 0; fi
  done
  return 1
}
service_spreads() {
  local ip
  ip=$(k get service web -o 'jsonpath={.spec.clusterIP}')
  [ "$(for _ in {1..30}; do curl -sS -m 3 "http://$ip:8080/who"; done | sort -u | wc -l)" = "$NODE_COUNT" ]
}
outside_name() {
  local begin; begin=$(now_ms)
  { in_pod web-1 nslookup example.com 2>&1 || true; } | grep NXDOMAIN && [ $(($(now_ms) - begin)) -lt 2000 ]
}
port_forward() {
  local pid rc=1
  k port-forward --address 127.0.0.1 pod/web-1 18080:8080 --request-timeout=0 >/dev/null 2>&1 &
  pid=$!
  if within 10 fetch_forwarded; then rc=0; fi
  kill $pid 2>/dev/null
  return $rc
}
fetch_forwarded() { [ "$(curl -sS -m 3 http://127.0.0.1:18080/who)" = web-1 ]; }
volume_pod() {
  sed "s|@NAME@|$1|; s|@COMMAND@|$2|" "$CLUSTER_DIR/lib/test/volume-pod.yaml" | k apply -f - && within 40 ended "$1" Completed && k delete pod "$1"
}
ended() { [ "$(k get pod "$1" -o 'jsonpath={.status.containerStatuses[0].state.terminated.reason}')" = "$2" ]; }
cpu_limited() {
  local user
  # The loop is ended by a signal, so the pod counts as failed; what counts here is the time it had.
  within 30 eval '[ -n "$(k get pod little-cpu -o "jsonpath={.status.containerStatuses[0].state.terminated.reason}")" ]' || return 1
  user=$(k logs little-cpu | awk '/^user/ {sub(/^.*m /, "", $0); print $NF + 0}')
  echo "user time: $user s"
  awk -v u="$user" 'BEGIN {exit !(u > 0.3 && u < 1.5)}'
}
audited() {
  local name=audited-$RANDOM
  k create configmap "$name" && k get configmap "$name" && sleep 1
  [ "$(grep -c "\"name\":\"$name\"" "$AUDIT_LOG")" = 1 ]
}
# Loads two images of one name; the pod must run the second, and loading that again must be recognised as needless.
replaced_image() {
  local dir content name=localhost/entente-cluster-test:1 n
  dir=$(mktemp -d)
  for content in first second; do
    mkdir -p "$dir/root"
    echo "$content" >"$dir/root/content"
    cp "$BIN/busybox" "$dir/root/"
    make_image "$name" "$dir/root" "/busybox cat /content" "$dir/$content.tar"
    "$CLUSTER_DIR/load-image.sh" "$dir/$content.tar" || return 1
  done
  [ "$("$CLUSTER_DIR/load-image.sh" "$dir/second.tar" | grep -c " has $name")" = "$NODE_COUNT" ] || return 1
  rm -rf "$dir"
  k run replaced --image="$name" --image-pull-policy=Never --restart=Never && within 20 ended replaced Completed || return 1
  for ((n = 0; n < NODE_COUNT; n++)); do node_ctr "$n" images rm "$name"; done
  k logs replaced | grep -x second
}
up_again() {
  local before begin
  before=$(kubectl get namespace kube-system -o 'jsonpath={.metadata.uid}') begin=$(now_ms)
  "$CLUSTER_DIR/up.sh" && [ $(($(now_ms) - begin)) -lt 5000 ] && [ "$(kubectl get namespace kube-system -o 'jsonpath={.metadata.uid}')" = "$before" ]
}
