#!/usr/bin/env bash
# Copies into the chart what lies outside of it: the CustomResourceDefinition, the alerts and the dashboard. `--check` only compares.
set -euo pipefail
cd "$(dirname "$0")/.."
pairs=(
  crds/recmodels.recmodel.dev.yaml=recmodels.recmodel.dev.yaml
  manifests/rules/alerts.yaml=alerts.yaml
  manifests/dashboards/recmodel.json=dashboard.json
)
for pair in "${pairs[@]}"; do
  from=${pair%%=*} to=charts/recmodel/files/${pair#*=}
  if [ "${1:-}" = --check ]; then cmp -s "$from" "$to" || { echo "$to is stale: run hack/chart-files.sh" >&2; exit 1; }
  else cp "$from" "$to"; fi
done
