# containerd, kubelet and kube-proxy of the local cluster, as processes; all of their data lies below $RUN.

container_runtime() {
  mkdir -p "$RUN/containerd"
  # restrict_oom_score_adj and oom_score: machines without CAP_SYS_RESOURCE cannot lower a score, and every sandbox would fail.
  cat >"$RUN/containerd/config.toml" <<TOML
version = 2
root = "$RUN/containerd/root"
state = "$RUN/containerd/state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "$RUN/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$RUN/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$RUN/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
TOML
  start containerd /usr/bin/containerd --config "$RUN/containerd/config.toml"
  # shellcheck disable=SC2086
  wait_for 20 'containerd answers' $CTR version
}

kubelet() {
  mkdir -p "$RUN/kubelet"
  # cpuCFSQuotaPeriod: with the default of 100 ms a container limited to a part of a core stands still for tens of milliseconds
  # at a time once its share is used up, which a latency objective of 100 ms would read as overload.
  cat >"$RUN/kubelet/config.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $BRIDGE_ADDRESS
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $RUN/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $RUN/pki/kubelet.crt
tlsPrivateKeyFile: $RUN/pki/kubelet.key
containerRuntimeEndpoint: unix://$RUN/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
featureGates: {CustomCPUCFSQuotaPeriod: true}
cpuCFSQuotaPeriod: 10ms
clusterDomain: cluster.local
clusterDNS: [$BRIDGE_ADDRESS]
resolvConf: ""
podLogsDir: $RUN/pod-logs
volumePluginDir: $RUN/kubelet/volume-plugins
registerWithTaints: []
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
shutdownGracePeriod: 0s
serializeImagePulls: true
YAML
  # --containerd is for cAdvisor, which else looks at containerd's usual socket and reports containers without their names.
  start kubelet "$K8S_BIN/kubelet" --config="$RUN/kubelet/config.yaml" --kubeconfig="$RUN/kubelet.kubeconfig" --containerd="$RUN/containerd/containerd.sock" \
    --root-dir="$RUN/kubelet" --cert-dir="$RUN/kubelet/pki" --hostname-override="$NODE" --node-ip="$BRIDGE_ADDRESS" --v=1
}

kube_proxy() {
  cat >"$RUN/kube-proxy.yaml.new" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $RUN/kube-proxy.kubeconfig}
mode: nftables
clusterCIDR: $POD_CIDR
hostnameOverride: $NODE
bindAddress: $BRIDGE_ADDRESS
metricsBindAddress: 127.0.0.1:10249
healthzBindAddress: 127.0.0.1:10256
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
  # It ends itself whenever the file is written, be it with the same words.
  cmp -s "$RUN/kube-proxy.yaml.new" "$RUN/kube-proxy.yaml" || cp "$RUN/kube-proxy.yaml.new" "$RUN/kube-proxy.yaml"
  start kube-proxy "$K8S_BIN/kube-proxy" --config="$RUN/kube-proxy.yaml"
}

node_ready() {
  wait_for 60 'the node has registered' kubectl get node "$NODE"
  kubectl wait --for=condition=Ready "node/$NODE" --timeout=90s >/dev/null
  log '  the node is Ready'
  all_run
}

# Ends pods with their processes, shims, mounts and namespaces: a plain SIGTERM to containerd would leave them running.
node_down() {
  local id pid mount cgroup
  stop kubelet
  stop kube-proxy
  if running containerd; then
    for id in $($CTR tasks ls -q 2>/dev/null); do $CTR tasks delete --force "$id" >/dev/null 2>&1 || true; done
    for id in $($CTR containers ls -q 2>/dev/null); do $CTR containers delete "$id" >/dev/null 2>&1 || true; done
  fi
  for pid in $(pgrep -f "containerd-shim-runc-v2.*-address $RUN/containerd/containerd.sock"); do kill "$pid" 2>/dev/null || true; done
  stop containerd
  sleep 0.5
  grep -o " $RUN/[^ ]*" /proc/self/mounts | sort -r | while read -r mount; do umount -l "$mount" 2>/dev/null || true; done
  for cgroup in /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods; do
    [ ! -d "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
  find /run/containerd -depth -type d -empty -delete 2>/dev/null || true
  # Two places that the kubelet has built in, whatever its flags say.
  find /var/log/containers -type l -lname "$RUN/*" -delete 2>/dev/null || true
  rm -f /var/lib/kubelet/device-plugins/kubelet.sock
  rmdir /var/log/containers /var/lib/kubelet/device-plugins /var/lib/kubelet 2>/dev/null || true
}
