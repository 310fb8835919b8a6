#!/usr/bin/env bash
# down.sh [purge]: ends what up.sh started and takes back its changes to the machine. `purge` also deletes the cluster's data; the cached parts stay.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"
for piece in progress process network node; do . "$HERE/$piece.sh"; done

[ -d "$RUN" ] || exit 0
exec 9>"$RECMODEL_CACHE/cluster.lock"
flock 9
case $CLUSTER in
  local)
    for name in kube-scheduler kube-controller-manager coredns; do stop "$name"; done
    node_down
    for name in kube-apiserver etcd; do stop "$name"; done
    network_down
    ;;
  kind) kind delete cluster --name "$KIND_CLUSTER" --kubeconfig "$KUBECONFIG" ;;
  current)
    # Nothing of somebody else's cluster is removed but what is only for the demo; Envoy Gateway may serve others by now.
    kubectl delete namespace demo monitoring --ignore-not-found
    ;;
esac
rm -f "$RUN/env" "$RUN/cluster"
[ "${1:-}" != purge ] || rm -rf "$RUN"
