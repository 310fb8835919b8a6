module recmodel.dev/hack/cluster/addons

go 1.26.7

require (
	github.com/coredns/coredns v1.15.0
	github.com/envoyproxy/gateway v1.9.1
	github.com/prometheus/prometheus v0.316.0
	helm.sh/helm/v4 v4.3.1
)
