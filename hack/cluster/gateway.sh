# Envoy Gateway, the GatewayClass `recmodel` and the Gateway `edge`: the same steps on every kind of cluster.

envoy_gateway() {
  local crds=$GATEWAY_CHART/charts/crds/crds images=()
  if kubectl get deployment -A -o name -l app.kubernetes.io/name=gateway-helm 2>/dev/null | grep -q . &&
    kubectl get crd httproutes.gateway.networking.k8s.io >/dev/null 2>&1; then
    log '  Envoy Gateway is installed already'
    return 0
  fi
  kubectl apply --server-side --force-conflicts -f "$crds/gatewayapi-crds.yaml" -f "$crds/generated" >"$RUN/log/gateway-crds.log" 2>&1 ||
    { tail -5 "$RUN/log/gateway-crds.log" >&2; return 1; }
  if [ "$ENVOY_GATEWAY_IMAGE" != "envoyproxy/gateway:v$ENVOY_GATEWAY_VERSION" ]; then images=(--set "global.images.envoyGateway.image=$ENVOY_GATEWAY_IMAGE"); fi
  helm upgrade --install eg "$GATEWAY_CHART" -n envoy-gateway-system --create-namespace --set crds.enabled=false "${images[@]}" \
    --set deployment.envoyGateway.resources.requests.cpu=50m --timeout 120s >"$RUN/log/helm.log" 2>&1 ||
    { tail -5 "$RUN/log/helm.log" >&2; return 1; }
}

# A GatewayClass with an EnvoyProxy of its own does not take the chart's Envoy image, so the EnvoyProxy names it (or leaves Envoy Gateway's default).
gateway() {
  if [ -n "$ENVOY_IMAGE" ]; then sed "s|ENVOY_IMAGE|$ENVOY_IMAGE|" "$HERE/manifests/gateway-class.yaml"
  else sed '/image: ENVOY_IMAGE/d' "$HERE/manifests/gateway-class.yaml"; fi | kubectl apply -f - >/dev/null
}
gateway_ready() {
  kubectl rollout status -n envoy-gateway-system deployment/envoy-gateway --timeout=120s >/dev/null
  kubectl wait --for=condition=Programmed gateway/edge -n demo --timeout=180s >/dev/null
  log '  the Gateway demo/edge is Programmed'
}

# Address of the Envoys behind demo/edge, as pods (and, with the local cluster, this machine) reach it.
gateway_address() {
  kubectl get service -n envoy-gateway-system -l gateway.envoyproxy.io/owning-gateway-name=edge,gateway.envoyproxy.io/owning-gateway-namespace=demo \
    -o 'jsonpath={.items[0].spec.clusterIP}'
}
