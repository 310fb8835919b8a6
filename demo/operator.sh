#!/usr/bin/env bash
# operator.sh TICK_SECONDS LOG: the operator in the cluster, by its Helm chart, with this checkout's image, deciding so often.
# Scrapes come every 5 s here, and a recording passes ten times as fast: shorter windows than the chart's defaults.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
CACHE=${RECMODEL_CACHE:-$HOME/.cache/recmodel}
NAMESPACE=recmodel-system
MADE_BY_DEMO=recmodel.dev/made-by=demo  # label of what demo/run.sh takes away with KEEP=0

if ! kubectl get namespace "$NAMESPACE" >/dev/null 2>&1; then
  kubectl create namespace "$NAMESPACE" >/dev/null
  kubectl label namespace "$NAMESPACE" "$MADE_BY_DEMO" >/dev/null
fi
helm upgrade --install recmodel charts/recmodel -n "$NAMESPACE" --take-ownership --force-conflicts --wait --timeout 180s \
  --set "image.repository=${IMAGE_PREFIX}recmodel" --set image.tag=dev --set prometheus.url=http://prometheus.monitoring:9090 \
  --set prometheus.scrapeIntervalSeconds=5 --set prometheus.rateWindowSeconds=20 --set "tickSeconds=$1" >"$2" 2>&1 ||
  { tail -20 "$2" >&2; exit 1; }
# The tag stays `dev` when the image behind it changes, so the Deployment would keep the old one.
image=$(cat "$CACHE/run/images/"*recmodel_dev 2>/dev/null || true)
kubectl patch deployment -n "$NAMESPACE" recmodel -p "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"recmodel.dev/image\":\"$image\"}}}}}" >/dev/null
kubectl rollout status -n "$NAMESPACE" deployment/recmodel --timeout=180s >/dev/null
