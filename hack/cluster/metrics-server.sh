#!/usr/bin/env bash
# metrics-server, built from its Go module, in the cluster that up.sh brought up: a HorizontalPodAutoscaler on CPU needs it.
#   metrics-server.sh up     builds what the cache lacks, and waits until it serves the CPU of pods
#   metrics-server.sh down   takes it away
# With CLUSTER=kind or current it takes the project's own public image instead of building any.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/parts.sh"
. "$HERE/add_on.sh"
CONFIG=$RECMODEL_CACHE/charts/metrics-server-$METRICS_SERVER_VERSION   # its manifests, and ours above them
SERVES=v1beta1.metrics.k8s.io

program() { # MODULE
  present "$METRICS_SERVER_BIN/metrics-server" && return 0
  local built; built=$(module_programs "$1" ./cmd/metrics-server)
  mkdir -p "$METRICS_SERVER_BIN"
  mv "$built/metrics-server" "$METRICS_SERVER_BIN/metrics-server"
  rm -rf "$(dirname "$built")"
}

# Many clusters' kubelets sign their own certificates, so they are not checked, as Prometheus does not check them here.
manifests() { # MODULE
  local image=registry.k8s.io/metrics-server/metrics-server tag=v$METRICS_SERVER_VERSION
  if [ "$CLUSTER" = local ]; then image=localhost/metrics-server tag=$METRICS_SERVER_VERSION; fi
  rm -rf "$CONFIG"
  mkdir -p "$CONFIG"
  cp "$1"/manifests/base/{apiservice,deployment,rbac,service}.yaml "$CONFIG"
  chmod u+w "$CONFIG"/*
  cat >"$CONFIG/kustomization.yaml" <<YAML
resources: [apiservice.yaml, deployment.yaml, rbac.yaml, service.yaml]
labels: [{includeSelectors: true, pairs: {k8s-app: metrics-server}}]
images: [{name: gcr.io/k8s-staging-metrics-server/metrics-server, newName: $image, newTag: "$tag"}]
patches:
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--kubelet-insecure-tls"}]'
YAML
}

up() {
  if kubectl get apiservice "$SERVES" >/dev/null 2>&1 && [ ! -e "$CONFIG/kustomization.yaml" ]; then
    log '  the cluster has a metrics-server of its own'
    return 0
  fi
  aggregates
  local module; module=$(pinned_module sigs.k8s.io/metrics-server "$METRICS_SERVER_VERSION" "$METRICS_SERVER_SUM")
  export BUILD_LOG=$WORK/go-build.log
  if [ "$CLUSTER" = local ]; then
    timed 'metrics-server' program "$module"
    add_on_images "metrics-server-$METRICS_SERVER_VERSION" "localhost/metrics-server:$METRICS_SERVER_VERSION=$METRICS_SERVER_BIN/metrics-server"
  fi
  unset BUILD_LOG
  manifests "$module"
  kubectl apply --server-side --force-conflicts -k "$CONFIG" >/dev/null
  kubectl rollout status -n kube-system deployment/metrics-server --timeout=180s >/dev/null
  kubectl wait --for=condition=Available "apiservice/$SERVES" --timeout=120s >/dev/null
  wait_for 90 'the CPU of pods is known' pods_have_cpu
}
pods_have_cpu() { kubectl top pods -A --no-headers | grep -q .; }

down() {
  [ -e "$CONFIG/kustomization.yaml" ] || return 0
  kubectl delete -k "$CONFIG" --ignore-not-found --timeout=120s >/dev/null
  rm -rf "$CONFIG"
}

case ${1:-} in
  up) up ;;
  down) down ;;
  *) sed -n 2,6p "$0" >&2; exit 2 ;;
esac
