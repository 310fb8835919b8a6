//go:build tools

// Package addons pins the programs around Kubernetes in one module, so that they share client-go and its compiled packages.
package addons

import (
	_ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "helm.sh/helm/v4/cmd/helm"
)
