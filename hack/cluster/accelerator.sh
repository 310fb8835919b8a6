#!/usr/bin/env bash
# accelerator.sh N: makes every node say that it has N accelerators (nvidia.com/gpu), 0 takes them back. They are emulated: pods that ask
# for one are placed and counted as with a device plugin, and run on the CPU. The nodes carry the label recmodel.dev/accelerator=emulated.
# A restart of the kubelet forgets them.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"

accelerators() {
  local node value operation label=recmodel.dev/accelerator=emulated
  operation='[{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": "'$1'"}]'
  [ "$1" != 0 ] || label=recmodel.dev/accelerator-
  for node in $(kubectl get nodes -o name); do
    value=$(kubectl get "$node" -o 'jsonpath={.status.capacity.nvidia\.com/gpu}')
    if [ "$1" = 0 ]; then
      [ -n "$value" ] || continue
      operation='[{"op": "remove", "path": "/status/capacity/nvidia.com~1gpu"}]'
      kubectl patch "$node" --subresource=status --type=json -p '[{"op": "remove", "path": "/status/allocatable/nvidia.com~1gpu"}]' >/dev/null 2>&1 || true
    elif [ -n "$value" ] && ! kubectl get "$node" -o jsonpath='{.metadata.labels}' | grep -q '"recmodel.dev/accelerator":"emulated"'; then
      echo "$node has real accelerators: left as it is" >&2
      continue
    fi
    kubectl patch "$node" --subresource=status --type=json -p "$operation" >/dev/null
    kubectl label --overwrite "$node" "$label" >/dev/null
  done
}
if [ "${BASH_SOURCE[0]}" = "$0" ]; then accelerators "${1:?how many accelerators?}"; fi
