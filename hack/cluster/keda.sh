#!/usr/bin/env bash
# KEDA itself, built from its Go module, in the cluster that up.sh brought up. Only tests/cluster/test_keda.py and
# `make compare` need it.
#   keda.sh up     builds what the cache lacks (long: it has the libraries of every cloud), and waits until KEDA serves its metrics
#   keda.sh down   takes it away, with every ScaledObject
# With CLUSTER=kind or current it takes KEDA's own public images instead of building any.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/parts.sh"
. "$HERE/add_on.sh"
CONFIG=$RECMODEL_CACHE/charts/keda-$KEDA_VERSION   # KEDA's manifests, and ours above them

keda_programs() { # MODULE
  present "$KEDA_BIN/keda" "$KEDA_BIN/keda-adapter" && return 0
  local built; built=$(module_programs "$1" ./cmd/operator ./cmd/adapter)
  mkdir -p "$KEDA_BIN"
  mv "$built/adapter" "$KEDA_BIN/keda-adapter"
  mv "$built/operator" "$KEDA_BIN/keda"
  rm -rf "$(dirname "$built")"
}

# KEDA's own manifests without its webhooks. Of the local images the programs lie elsewhere, and no user is named.
keda_manifests() {
  rm -rf "$CONFIG"
  mkdir -p "$CONFIG/ours"
  cp -r "$1/config" "$CONFIG/config"
  chmod -R u+w "$CONFIG/config"
  {
    echo 'resources: [../config/minimal]'
    if [ "$CLUSTER" = local ]; then
      cat <<YAML
images:
- {name: ghcr.io/kedacore/keda, newName: localhost/keda, newTag: "$KEDA_VERSION"}
- {name: ghcr.io/kedacore/keda-metrics-apiserver, newName: localhost/keda-adapter, newTag: "$KEDA_VERSION"}
patches:
- target: {kind: Deployment}
  patch: |-
    - {op: replace, path: /spec/template/spec/containers/0/imagePullPolicy, value: IfNotPresent}
    - {op: add, path: /spec/template/spec/securityContext/runAsUser, value: 65532}
- target: {kind: Deployment, name: keda-operator}
  patch: '[{"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": ["/usr/local/bin/keda"]}]'
- target: {kind: Deployment, name: keda-metrics-apiserver}
  patch: '[{"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": ["/usr/local/bin/keda-adapter"]}]'
YAML
    else
      cat <<YAML
images:
- {name: ghcr.io/kedacore/keda, newTag: "$KEDA_VERSION"}
- {name: ghcr.io/kedacore/keda-metrics-apiserver, newTag: "$KEDA_VERSION"}
YAML
    fi
  } >"$CONFIG/ours/kustomization.yaml"
}

keda_up() {
  aggregates
  local module; module=$(pinned_module github.com/kedacore/keda/v2 "$KEDA_VERSION" "$KEDA_SUM")
  export BUILD_LOG=$WORK/go-build.log
  if [ "$CLUSTER" = local ]; then
    timed 'KEDA' keda_programs "$module"
    add_on_images "keda-$KEDA_VERSION" "localhost/keda:$KEDA_VERSION=$KEDA_BIN/keda,base" "localhost/keda-adapter:$KEDA_VERSION=$KEDA_BIN/keda-adapter,base"
  fi
  unset BUILD_LOG
  keda_manifests "$module"
  kubectl apply --server-side --force-conflicts -k "$CONFIG/ours" >/dev/null
  kubectl rollout status -n keda deployment/keda-operator --timeout=300s >/dev/null
  kubectl rollout status -n keda deployment/keda-metrics-apiserver --timeout=300s >/dev/null
  kubectl wait --for=condition=Available apiservice/v1beta1.external.metrics.k8s.io --timeout=120s >/dev/null
  log "  KEDA $KEDA_VERSION serves its metrics"
}

# The ScaledObjects first: KEDA itself takes their finalizers away.
keda_down() {
  [ -e "$CONFIG/ours/kustomization.yaml" ] || return 0
  kubectl delete scaledobjects,scaledjobs -A --all --timeout=60s >/dev/null 2>&1 || true
  kubectl delete -k "$CONFIG/ours" --ignore-not-found --timeout=120s >/dev/null
}

case ${1:-} in
  up) keda_up ;;
  down) keda_down ;;
  *) sed -n 2,8p "$0" >&2; exit 2 ;;
esac
