#!/usr/bin/env bash
# down.sh [purge]: ends what up.sh started and takes back its changes to the machine. `purge` also deletes the cluster's data; the cached parts stay.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"
for piece in progress process network node accelerator; do . "$HERE/$piece.sh"; done

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
    # Nothing of somebody else's cluster is removed but what up.sh made there; Envoy Gateway may serve others by now.
    [ "$(current_server)" = "$(cat "$RUN/server")" ] ||
      { echo "the kubeconfig means $(current_server), but up.sh was at work on $(cat "$RUN/server"): nothing is deleted" >&2; exit 1; }
    kubectl delete namespace -l "$OURS"
    accelerators 0
    ;;
esac
rm -f "$RUN/env" "$RUN/cluster" "$RUN/server"
[ "${1:-}" != purge ] || rm -rf "$RUN"
