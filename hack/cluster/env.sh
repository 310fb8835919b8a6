#!/usr/bin/env bash
# Prints the shell settings of the running cluster: KUBECONFIG, PATH with kubectl and helm, PROMETHEUS_URL, GATEWAY_ADDRESS, CLUSTER.
#   eval "$(hack/cluster/env.sh)"
set -euo pipefail
file=${RECMODEL_CACHE:-$HOME/.cache/recmodel}/run/env
if [ ! -s "$file" ]; then
  echo 'no cluster is up: run hack/cluster/up.sh' >&2
  echo 'false'
  exit 1
fi
cat "$file"
