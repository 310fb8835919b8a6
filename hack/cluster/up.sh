#!/usr/bin/env bash
# up.sh: a Kubernetes cluster with Envoy Gateway and Prometheus, ready for the operator. CLUSTER=local|kind|current (see versions.sh).
# It may be interrupted and run again at any time: what is made is kept, what runs is left alone. down.sh takes it all back.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"
for piece in progress process parts network certificates control-plane node images gateway prometheus accelerator; do . "$HERE/$piece.sh"; done

check_machine() {
  local tool
  for tool in go python3 git; do command -v "$tool" >/dev/null || { echo "'$tool' is needed" >&2; exit 1; }; done
  [ "$CLUSTER" = local ] || return 0
  [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] ||
    { echo 'the local cluster needs root on a Debian machine; start Docker for CLUSTER=kind, or use CLUSTER=current' >&2; exit 1; }
  for tool in ip openssl curl; do command -v "$tool" >/dev/null || { echo "'$tool' is needed" >&2; exit 1; }; done
}

cluster() {
  case $CLUSTER in
    local)
      network_up
      certificates
      front_proxy
      container_runtime
      system_images & IMPORT=$!                     # beside the control plane, which waits mostly for itself
      control_plane
      ;;
    kind)
      kind get clusters 2>/dev/null | grep -qx "$KIND_CLUSTER" ||
        with_heartbeat 'kind' kind create cluster --name "$KIND_CLUSTER" --kubeconfig "$KUBECONFIG" --config "$HERE/manifests/kind.yaml" --wait 120s
      ;;
    current) kubectl get --raw /readyz >/dev/null; current_server >"$RUN/server" ;;
  esac
}

node() {
  [ "$CLUSTER" = local ] || return 0
  kubelet
  kube_proxy
  dns
  wait "$IMPORT"
  node_ready
}

# ours NAMESPACE: on somebody else's cluster one that is there already is theirs, and is neither written to nor, later, deleted.
ours() {
  [ "$CLUSTER" = current ] && kubectl get namespace "$1" >/dev/null 2>&1 || return 0
  kubectl get namespace -l "$OURS" -o name | grep -qx "namespace/$1" ||
    { echo "the namespace '$1' of $(cat "$RUN/server") is there already and not ours: CLUSTER=current needs a cluster that may be thrown away" >&2; exit 1; }
}

# Everything is applied before anything is waited for.
add_ons() {
  ours demo
  ours monitoring
  prometheus
  envoy_gateway
  gateway
  accelerators "${ACCELERATORS:-4}"
}
wait_for_add_ons() {
  prometheus_ready
  gateway_ready
  prometheus_scrapes
}

addresses() {
  local prometheus_url
  prometheus_url=http://$(kubectl get service -n monitoring prometheus -o 'jsonpath={.spec.clusterIP}'):9090
  {
    echo "export CLUSTER=$CLUSTER"
    [ "$CLUSTER" = current ] || echo "export KUBECONFIG=$KUBECONFIG"
    echo "export PATH=$K8S_BIN:$HELM_BIN:$KIND_BIN:\$PATH"
    echo "export PROMETHEUS_URL=$prometheus_url"
    echo "export GATEWAY_ADDRESS=$(gateway_address)"
    echo "export IMAGE_PREFIX=$IMAGE_PREFIX"
  } >"$RUN/env.tmp"
  mv "$RUN/env.tmp" "$RUN/env"
  sed 's/^export /  /' "$RUN/env" >&2
  [ "$CLUSTER" = local ] || log "from this machine: kubectl port-forward -n monitoring service/prometheus 9090"
}

main() {
  local name number=0 steps=(parts cluster node add_ons wait_for_add_ons addresses)
  check_machine
  mkdir -p "$RECMODEL_CACHE"
  exec 9>"$RECMODEL_CACHE/cluster.lock"
  flock -n 9 || { log "waiting: another up.sh or down.sh is at work on this machine"; flock 9; }
  mkdir -p "$RUN/log" "$RUN/pids" "$BIN" "$WORK"
  echo "$CLUSTER" >"$RUN/cluster"
  for name in "${steps[@]}"; do
    number=$((number + 1))
    log "step $number of ${#steps[@]}: ${name//_/ }"
    "$name"
  done
  log "the cluster is up ($CLUSTER); eval \"\$(hack/cluster/env.sh)\" gives a shell kubectl, helm and the addresses"
}

main
