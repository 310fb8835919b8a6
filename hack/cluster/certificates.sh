# A small certificate authority, the service accounts' key, and a token and kubeconfig for every component under its own user.

sign() { # sign NAME SUBJECT EXTENSIONS
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" -extfile <(printf '%b' "$3") 2>/dev/null
}

kubeconfig() { # kubeconfig NAME USER TOKEN
  (
    umask 077
    cat >"$RUN/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: local, cluster: {server: "$API", certificate-authority: "$RUN/pki/ca.crt"}}]
users: [{name: "$2", user: {token: "$3"}}]
contexts: [{name: local, context: {cluster: local, user: "$2"}}]
current-context: local
YAML
  )
}

certificates() {
  [ -e "$RUN/pki/ready" ] && return 0
  (
    umask 077
    mkdir -p "$RUN/pki"
    cd "$RUN/pki"
    local names=kubernetes,kubernetes.default,kubernetes.default.svc,kubernetes.default.svc.cluster.local,localhost name user group token
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=recmodel-ca -keyout ca.key -out ca.crt \
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
    sign apiserver /CN=kube-apiserver "subjectAltName=DNS:${names//,/,DNS:},IP:127.0.0.1,IP:$BRIDGE_ADDRESS,IP:${SERVICE_CIDR%.*}.1\nextendedKeyUsage=serverAuth\n"
    sign kubelet-client /O=system:masters/CN=kube-apiserver 'extendedKeyUsage=clientAuth\n'
    sign kubelet "/CN=$NODE" "subjectAltName=DNS:$NODE,IP:$BRIDGE_ADDRESS\nextendedKeyUsage=serverAuth\n"
    openssl genrsa -out sa.key 2048 2>/dev/null
    openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
    : >tokens.csv
    while read -r name user group; do
      token=$(openssl rand -hex 24)
      echo "$token,$user,$name,\"$group\"" >>tokens.csv
      kubeconfig "$name" "$user" "$token"
    done <<USERS
admin admin system:masters
controller-manager system:kube-controller-manager system:authenticated
scheduler system:kube-scheduler system:authenticated
kubelet system:node:$NODE system:nodes
kube-proxy system:kube-proxy system:node-proxier
coredns system:coredns system:authenticated
USERS
    touch ready
  )
}

# With it the API server hands requests on to API servers of others, such as KEDA's for external metrics. On its own, since a cluster
# that was made before this lacks it.
front_proxy() {
  [ -e "$RUN/pki/front-proxy.crt" ] && return 0
  (
    umask 077
    cd "$RUN/pki"
    sign front-proxy /CN=front-proxy 'extendedKeyUsage=clientAuth\n'
  )
}
