//go:build tools

// Package kubernetes pins Kubernetes' own programs. k8s.io/kubernetes cannot be `go install`ed, since its go.mod has replace
// directives for the modules that it stages; this go.mod replaces each by the published module of the same release.
package kubernetes

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
