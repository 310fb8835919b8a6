# Prometheus in the namespace `monitoring`; a changed configuration rolls its pod.

prometheus() {
  local hash; hash=$(sha256sum "$HERE/manifests/prometheus.yaml" | cut -c1-16)
  sed "s|PROMETHEUS_IMAGE|$PROMETHEUS_IMAGE|; s|CONFIG_HASH|$hash|" "$HERE/manifests/prometheus.yaml" | kubectl apply -f - >/dev/null
}
prometheus_ready() {
  kubectl rollout status -n monitoring deployment/prometheus --timeout=180s >/dev/null
  log '  Prometheus is ready'
}

# targets_up JOB: at least one target of the job is scraped (asked through the API server, so from anywhere).
targets_up() {
  kubectl get --raw "/api/v1/namespaces/monitoring/services/prometheus:web/proxy/api/v1/query?query=sum(max_over_time(up%7Bjob%3D%22$1%22%7D%5B10s%5D))" | grep -q '"value":\[[0-9.]*,"[1-9]'
}
prometheus_scrapes() {
  wait_for 60 'Prometheus scrapes Envoy' targets_up envoy
  wait_for 60 'Prometheus scrapes the kubelet' targets_up cadvisor
}
