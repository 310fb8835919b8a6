#!/usr/bin/env bash
# Images of the cluster. Sourced by up.sh, or:
#   images.sh product   builds what changed of the product's images (/Dockerfile, demo/ranker/Dockerfile) and gives them to the cluster
#   images.sh optimiser builds the model optimiser's image, which is large and which no cluster needs to run, in the same way
#   images.sh system    makes and imports the local cluster's system images
# Names: ${IMAGE_PREFIX}recmodel:dev and ${IMAGE_PREFIX}recmodel-ranker:dev. With CLUSTER=current set IMAGE_PREFIX to a registry that the
# cluster pulls from and this machine may push to, for instance IMAGE_PREFIX=registry.example/team/ (log in beforehand).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"
. "$HERE/progress.sh"
IMAGES=$RECMODEL_CACHE/images
SYSTEM_IMAGES=$IMAGES/system-$(echo "$K8S_VERSION $ENVOY_VERSION $ENVOY_GATEWAY_VERSION $PROMETHEUS_VERSION $BASE_VERSION" |
  cat - "$HERE/docker_archive.py" | sha256sum | cut -c1-12).tar

in_containerd() { local name; for name in "$@"; do $CTR images ls -q | grep -qxF "$name" || return 1; done; }

system_images() {
  local names=(localhost/pause:1 localhost/python:3.11 "$ENVOY_IMAGE" "$ENVOY_GATEWAY_IMAGE" "$PROMETHEUS_IMAGE")
  mkdir -p "$IMAGES" "$RUN/images" "$RUN/log"
  if [ ! -s "$SYSTEM_IMAGES" ]; then
    rm -f "$IMAGES"/system-*.tar
    timed 'system images' python3 "$HERE/docker_archive.py" "$SYSTEM_IMAGES" "$BASE_IMAGE_TAR" localhost/python:3.11 "localhost/pause:1=$PAUSE_BIN/pause" \
      "$ENVOY_IMAGE=$ENVOY_BIN/envoy,base" "$ENVOY_GATEWAY_IMAGE=$ENVOY_GATEWAY_BIN/envoy-gateway,base" "$PROMETHEUS_IMAGE=$PROMETHEUS_BIN/prometheus,base"
  fi
  if [ "$(cat "$RUN/images/system" 2>/dev/null)" != "$SYSTEM_IMAGES" ] || ! in_containerd "${names[@]}"; then
    with_heartbeat 'importing the system images' $CTR images import "$SYSTEM_IMAGES" >"$RUN/log/import.log"
    echo "$SYSTEM_IMAGES" >"$RUN/images/system"
  fi
}

# inputs_hash DOCKERFILE: of the Dockerfile and of all that its COPY lines name, as far as git does not ignore it.
inputs_hash() {
  local inputs; mapfile -t inputs < <(awk '$1 == "COPY" && !/--from=/ { for (i = 2; i < NF; i++) if ($i !~ /^--/) print $i }' "$ROOT/$1")
  (cd "$ROOT" && { echo "$BASE_VERSION"; git ls-files -z --cached --others --exclude-standard -- "$1" "${inputs[@]}" | sort -zu | xargs -0 sha256sum 2>/dev/null; } |
    sha256sum | cut -c1-16)
}

# Settings of this machine that a build needs to reach the package registries: certificates, pip's configuration, a folder of wheels.
network_settings() {
  local name file
  for name in $(compgen -e | grep -E '^(PIP_|SSL_CERT_|REQUESTS_CA_BUNDLE$|CURL_CA_BUNDLE$)' || true); do printf -- '--build-arg\n%s=%s\n' "$name" "${!name}"; done
  for file in /etc/ssl/certs /etc/pip.conf "${PIP_FIND_LINKS:-}"; do [ -z "$file" ] || [ ! -e "$file" ] || printf -- '-v\n%s:%s:ro\n' "$file" "$file"; done
}

storage() { buildah --root "$RECMODEL_CACHE/buildah" --runroot "$RECMODEL_CACHE/buildah-run" "$@"; }
buildah_build() { # NAME DOCKERFILE
  local settings; mapfile -t settings < <(network_settings)
  export BUILDAH_ISOLATION=chroot
  if [ "$(cat "$IMAGES/buildah-base" 2>/dev/null)" != "$SYSTEM_IMAGES" ]; then
    storage pull -q "docker-archive:$SYSTEM_IMAGES:localhost/python:3.11" >/dev/null
    echo "$SYSTEM_IMAGES" >"$IMAGES/buildah-base"
  fi
  storage bud -q --layers --network host --pull-never --format docker "${settings[@]}" --build-arg BASE=localhost/python:3.11 -t "$1" -f "$ROOT/$2" "$ROOT"
}

# deliver NAME: to the cluster, in the way that it takes images.
deliver() {
  local archive=$IMAGES/product.tar
  case $CLUSTER in
    local)
      rm -f "$archive"
      if docker_runs; then docker save -o "$archive" "$1"; else storage push -q "$1" "docker-archive:$archive:$1"; fi
      $CTR images import "$archive" >>"$RUN/log/import.log"
      rm -f "$archive" ;;
    kind) kind load docker-image --name "$KIND_CLUSTER" "$1" ;;
    current)
      if [ "$IMAGE_PREFIX" = localhost/ ]; then log "  set IMAGE_PREFIX to a registry that the cluster pulls from; $1 is not delivered"; return 1; fi
      if docker_runs; then docker push -q "$1"; else storage push -q "$1"; fi ;;
  esac
}

product_image() { # NAME DOCKERFILE
  local name=$IMAGE_PREFIX$1 dockerfile=$2 hash mark
  if [ ! -e "$ROOT/$dockerfile" ]; then log "  no $dockerfile: $name is not built"; return 0; fi
  hash=$(inputs_hash "$dockerfile")
  mark=$RUN/images/$(tr '/:' '__' <<<"$name")
  mkdir -p "$RUN/images" "$IMAGES" "$RUN/log"
  if [ "$(cat "$mark" 2>/dev/null)" = "$hash" ] && { [ "$CLUSTER" != local ] || in_containerd "$name"; }; then log "  $name is up to date"; return 0; fi
  log "  building $name"
  if docker_runs; then timed "image $1" docker build -q -t "$name" -f "$ROOT/$dockerfile" "$ROOT" >"$RUN/log/build-${1%%:*}.log" 2>&1
  else timed "image $1" buildah_build "$name" "$dockerfile" >"$RUN/log/build-${1%%:*}.log" 2>&1; fi ||
    { tail -20 "$RUN/log/build-${1%%:*}.log" >&2; return 1; }
  with_heartbeat "delivering $name" deliver "$name"
  echo "$hash" >"$mark"
}
product_images() {
  product_image recmodel:dev Dockerfile
  product_image recmodel-ranker:dev demo/ranker/Dockerfile
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  exec 8>"$RECMODEL_CACHE/images.lock"
  flock 8
  case ${1:-product} in
    product) product_images ;;
    optimiser) product_image recmodel-optimiser:dev operator/recmodel/variants/Dockerfile ;;
    system) system_images ;;
    *) sed -n 2,7p "$0"; exit 2 ;;
  esac
fi
