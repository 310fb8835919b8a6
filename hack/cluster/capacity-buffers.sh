#!/usr/bin/env bash
# The CRD of CapacityBuffers, as Karpenter's Go module brings it, in the cluster that up.sh brought up. No node autoscaler comes with it.
# Only tests/cluster/test_node_buffers.py needs it.
#   capacity-buffers.sh up     installs it, and waits until the API server serves it
#   capacity-buffers.sh down   takes it away, with every CapacityBuffer
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/parts.sh"
NAME=capacitybuffers.autoscaling.x-k8s.io

karpenter_module() { # prints its folder
  local found; found=$(cd / && go mod download -json "sigs.k8s.io/karpenter@v$KARPENTER_VERSION")
  [ "$(sed -n 's/^\t"Sum": "\(.*\)",$/\1/p' <<<"$found")" = "$KARPENTER_SUM" ] ||
    { echo "Karpenter's module is not the one that is pinned" >&2; return 1; }
  sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$found"
}

case ${1:-} in
  up)
    module=$(karpenter_module)
    kubectl apply --server-side -f "$module/pkg/apis/crds/autoscaling.x-k8s.io_capacitybuffers.yaml" >/dev/null
    kubectl wait --for=condition=Established "crd/$NAME" --timeout=60s >/dev/null ;;
  down) kubectl delete crd "$NAME" --ignore-not-found --timeout=60s >/dev/null ;;
  *) sed -n 2,5p "$0" >&2; exit 2 ;;
esac
