#!/usr/bin/env bash
# KEDA itself, built from its Go module, in the cluster that up.sh brought up. Only tests/cluster/test_keda.py needs it.
#   keda.sh up     builds what the cache lacks (long: it has the libraries of every cloud), and waits until KEDA serves its metrics
#   keda.sh down   takes it away, with every ScaledObject
# With CLUSTER=kind or current it takes KEDA's own public images instead of building any.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/parts.sh"
CONFIG=$RECMODEL_CACHE/charts/keda-$KEDA_VERSION   # KEDA's manifests, and ours above them
SOURCE=$WORK/keda-$KEDA_VERSION

keda_module() { # prints its folder
  local found; found=$(cd / && go mod download -json "github.com/kedacore/keda/v2@v$KEDA_VERSION")
  [ "$(sed -n 's/^\t"Sum": "\(.*\)",$/\1/p' <<<"$found")" = "$KEDA_SUM" ] || { echo "KEDA's module is not the one that is pinned" >&2; return 1; }
  sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$found"
}

# Its go.mod has replace directives, so it cannot be built as a dependency of a module of ours.
keda_programs() {
  present "$KEDA_BIN/keda" "$KEDA_BIN/keda-adapter" && return 0
  mkdir -p "$KEDA_BIN" "$WORK"
  rm -rf "$SOURCE"
  cp -r "$1" "$SOURCE"
  chmod -R u+w "$SOURCE"
  (cd "$SOURCE" && go mod download && mkdir -p out && go build -v -mod=readonly -buildvcs=false -trimpath -gcflags all=-dwarf=false -ldflags '-s -w' \
    -o out/ ./cmd/operator ./cmd/adapter) 2>"$BUILD_LOG" || { tail -20 "$BUILD_LOG" >&2; return 1; }
  mv "$SOURCE/out/adapter" "$KEDA_BIN/keda-adapter"
  mv "$SOURCE/out/operator" "$KEDA_BIN/keda"
  rm -rf "$SOURCE"
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

keda_images() {
  local archive=$RECMODEL_CACHE/images/keda-$KEDA_VERSION.tar names=("localhost/keda:$KEDA_VERSION" "localhost/keda-adapter:$KEDA_VERSION")
  [ -s "$archive" ] || timed "KEDA's images" python3 "$HERE/docker_archive.py" "$archive" "$BASE_IMAGE_TAR" \
    "${names[0]}=$KEDA_BIN/keda,base" "${names[1]}=$KEDA_BIN/keda-adapter,base"
  local name listed; listed=$($CTR images ls -q)
  for name in "${names[@]}"; do
    grep -qxF "$name" <<<"$listed" || { with_heartbeat "importing KEDA's images" $CTR images import "$archive" >>"$RUN/log/import.log"; break; }
  done
}

# An API server that was started before it had the flags for that cannot hand requests on to KEDA's.
aggregates() {
  [ -n "$(kubectl get configmap -n kube-system extension-apiserver-authentication -o 'jsonpath={.data.requestheader-client-ca-file}')" ] ||
    { echo 'the API server hands on no requests: run hack/cluster/down.sh and hack/cluster/up.sh' >&2; return 1; }
}

keda_up() {
  aggregates
  local module; module=$(keda_module)
  export BUILD_LOG=$WORK/go-build.log
  if [ "$CLUSTER" = local ]; then timed 'KEDA' keda_programs "$module"; keda_images; fi
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
  *) sed -n 2,7p "$0" >&2; exit 2 ;;
esac
