#!/usr/bin/env bash
# The CRD of CapacityBuffers, as Karpenter's Go module brings it, in the cluster that up.sh brought up. No node autoscaler comes with it.
# Only tests/cluster/test_node_buffers.py needs it.
#   capacity-buffers.sh up     installs it, and waits until the API server serves it
#   capacity-buffers.sh down   takes it away, with every CapacityBuffer
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/parts.sh"
. "$HERE/add_on.sh"
NAME=capacitybuffers.autoscaling.x-k8s.io

case ${1:-} in
  up)
    module=$(pinned_module sigs.k8s.io/karpenter "$KARPENTER_VERSION" "$KARPENTER_SUM")
    kubectl apply --server-side -f "$module/pkg/apis/crds/autoscaling.x-k8s.io_capacitybuffers.yaml" >/dev/null
    kubectl wait --for=condition=Established "crd/$NAME" --timeout=60s >/dev/null ;;
  down) kubectl delete crd "$NAME" --ignore-not-found --timeout=60s >/dev/null ;;
  *) sed -n 2,5p "$0" >&2; exit 2 ;;
esac
