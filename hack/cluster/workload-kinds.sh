#!/usr/bin/env bash
# Kinds of workloads that have a scale: Argo Rollouts with its controller, built from its Go module, and the CRD of LeaderWorkerSets
# alone. Only tests/cluster/test_scaled_kinds.py needs them.
#   workload-kinds.sh up     builds what the cache lacks (minutes), and waits until the controller is ready
#   workload-kinds.sh down   takes both away, with every object of these kinds
# With CLUSTER=kind or current it takes the public image of Argo Rollouts instead of building one.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/parts.sh"
. "$HERE/add_on.sh"
NAMESPACE=argo-rollouts
CONFIG=$RECMODEL_CACHE/charts/argo-rollouts-$ROLLOUTS_VERSION   # its manifests, and ours above them
LWS_CRD=leaderworkersets.leaderworkerset.x-k8s.io

rollouts_program() { # MODULE
  present "$ROLLOUTS_BIN/rollouts-controller" && return 0
  local built; built=$(module_programs "$1" ./cmd/rollouts-controller)
  mkdir -p "$ROLLOUTS_BIN"
  mv "$built/rollouts-controller" "$ROLLOUTS_BIN/rollouts-controller"
  rm -rf "$(dirname "$built")"
}

rollouts_manifests() { # MODULE
  rm -rf "$CONFIG"
  mkdir -p "$CONFIG/ours"
  cp -r "$1/manifests" "$CONFIG/manifests"
  chmod -R u+w "$CONFIG/manifests"
  {
    printf 'namespace: %s\nresources: [namespace.yaml, ../manifests/cluster-install]\nimages:\n' "$NAMESPACE"
    if [ "$CLUSTER" = local ]; then
      cat <<YAML
- {name: quay.io/argoproj/argo-rollouts, newName: localhost/argo-rollouts, newTag: "$ROLLOUTS_VERSION"}
patches:
- target: {kind: Deployment}
  patch: |-
    - {op: replace, path: /spec/template/spec/containers/0/imagePullPolicy, value: IfNotPresent}
    - {op: add, path: /spec/template/spec/containers/0/command, value: [/usr/local/bin/rollouts-controller]}
    - {op: add, path: /spec/template/spec/securityContext/runAsUser, value: 65532}
YAML
    else
      echo "- {name: quay.io/argoproj/argo-rollouts, newTag: \"v$ROLLOUTS_VERSION\"}"
    fi
  } >"$CONFIG/ours/kustomization.yaml"
  printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n' "$NAMESPACE" >"$CONFIG/ours/namespace.yaml"
}

kinds_up() {
  local rollouts lws
  rollouts=$(pinned_module github.com/argoproj/argo-rollouts "$ROLLOUTS_VERSION" "$ROLLOUTS_SUM")
  lws=$(pinned_module sigs.k8s.io/lws "$LWS_VERSION" "$LWS_SUM")
  export BUILD_LOG=$WORK/go-build.log
  if [ "$CLUSTER" = local ]; then
    timed 'Argo Rollouts' rollouts_program "$rollouts"
    add_on_images "argo-rollouts-$ROLLOUTS_VERSION" "localhost/argo-rollouts:$ROLLOUTS_VERSION=$ROLLOUTS_BIN/rollouts-controller,base"
  fi
  unset BUILD_LOG
  rollouts_manifests "$rollouts"
  kubectl apply --server-side --force-conflicts -k "$CONFIG/ours" >/dev/null
  kubectl apply --server-side -f "$lws/config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml" >/dev/null
  kubectl rollout status -n "$NAMESPACE" deployment/argo-rollouts --timeout=180s >/dev/null
  kubectl wait --for=condition=Established "crd/$LWS_CRD" --timeout=60s >/dev/null
}

kinds_down() {
  [ -e "$CONFIG/ours/kustomization.yaml" ] || return 0
  kubectl delete crd "$LWS_CRD" --ignore-not-found --timeout=60s >/dev/null
  kubectl delete -k "$CONFIG/ours" --ignore-not-found --timeout=120s >/dev/null
}

case ${1:-} in
  up) kinds_up ;;
  down) kinds_down ;;
  *) sed -n 2,7p "$0" >&2; exit 2 ;;
esac
