# etcd and the control plane of the local cluster, as processes.

control_plane() {
  local pki=$RUN/pki
  # etcd need not survive a crash of the machine, so it need not wait for the disk.
  start etcd "$ETCD_BIN/etcd" --data-dir "$RUN/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380
  wait_for 20 'etcd is healthy' curl -sf -m 2 http://127.0.0.1:2379/health
  # It listens on every address, since pods reach it at the bridge's and clients at loopback; each call needs a token.
  start kube-apiserver "$K8S_BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --bind-address=0.0.0.0 --secure-port=6443 --advertise-address="$BRIDGE_ADDRESS" --service-cluster-ip-range="$SERVICE_CIDR" \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
    --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --authorization-mode=Node,RBAC --token-auth-file="$pki/tokens.csv" --allow-privileged=true --anonymous-auth=false \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" \
    --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy --requestheader-username-headers=X-Remote-User \
    --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key" \
    --profiling=false --event-ttl=1h
  wait_for 60 'the API server is ready' kubectl get --raw /readyz   # before that its rules lack the two below, and they would leave
  start kube-controller-manager "$K8S_BIN/kube-controller-manager" --bind-address=127.0.0.1 --leader-elect=false \
    --kubeconfig="$RUN/controller-manager.kubeconfig" --authentication-kubeconfig="$RUN/controller-manager.kubeconfig" \
    --authorization-kubeconfig="$RUN/controller-manager.kubeconfig" --use-service-account-credentials=true \
    --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/sa.key"
  start kube-scheduler "$K8S_BIN/kube-scheduler" --bind-address=127.0.0.1 --leader-elect=false \
    --kubeconfig="$RUN/scheduler.kubeconfig" --authentication-kubeconfig="$RUN/scheduler.kubeconfig" --authorization-kubeconfig="$RUN/scheduler.kubeconfig"
}

# CoreDNS as a process on the bridge's address: pods and the machine itself can ask it.
dns() {
  cat >"$RUN/Corefile" <<DNS
.:53 {
  bind $BRIDGE_ADDRESS
  errors
  ready $BRIDGE_ADDRESS:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $RUN/coredns.kubeconfig
    ttl 5
  }
  cache 5
}
DNS
  kubectl apply -f "$HERE/manifests/coredns-rbac.yaml" >/dev/null
  start coredns "$COREDNS_BIN/coredns" -conf "$RUN/Corefile"
}
