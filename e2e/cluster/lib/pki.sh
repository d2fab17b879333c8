# shellcheck shell=bash
# Certificates and kubeconfigs, made anew for each cluster. Elliptic curve keys: a dozen take a fraction of a second.

pki() (
  set -e
  d=$STATE/pki
  mkdir -p "$d" && chmod 700 "$d" && cd "$d"
  openssl ecparam -name prime256v1 -genkey -noout -out ca.key
  openssl req -x509 -new -key ca.key -sha256 -days 365 -subj /CN=entente-e2e-ca -out ca.crt \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
  openssl ecparam -name prime256v1 -genkey -noout -out sa.key
  openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
  certificate apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$NODE_NET.1,IP:198.19.0.1"
  certificate admin /O=system:masters/CN=admin DNS:admin
  certificate apiserver-kubelet-client /O=system:masters/CN=apiserver-kubelet-client DNS:apiserver
  certificate front-proxy /CN=front-proxy DNS:front-proxy
  certificate controller-manager /CN=system:kube-controller-manager DNS:controller-manager
  certificate scheduler /CN=system:kube-scheduler DNS:scheduler
  certificate proxy /CN=system:kube-proxy DNS:proxy
  for ((i = 0; i < NODE_COUNT; i++)); do
    certificate "node$i" "/O=system:nodes/CN=system:node:node$i" "DNS:node$i,IP:$(node_ip "$i")"
    kubeconfig "node$i"
  done
  for i in admin controller-manager scheduler proxy; do kubeconfig "$i"; done
)

# certificate NAME SUBJECT ALTERNATIVE_NAMES
certificate() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -sha256 -out "$1.crt" \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3") 2>/dev/null
  rm "$1.csr"
}

# kubeconfig NAME: self-contained, so that it can be copied elsewhere.
kubeconfig() {
  cat >"$STATE/$1.kubeconfig" <<CFG
apiVersion: v1
kind: Config
clusters: [{name: entente-e2e, cluster: {server: "$API", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: entente-e2e, context: {cluster: entente-e2e, user: $1}}]
current-context: entente-e2e
CFG
  chmod 600 "$STATE/$1.kubeconfig"
}
