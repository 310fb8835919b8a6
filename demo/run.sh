#!/usr/bin/env bash
# run.sh: the whole of it in one command. A cluster, the images, the operator by its Helm chart, a RecModel, and beside it the same pods
# under an HPA; a replayed trace, sent to both at once; a report.
# Settings (environment): DEMO_MINUTES=9 length of the replay, of which the first sixth is a warm-up that no figure counts; PEAK=75 the
# highest load that each of the two gets, in requests/s; FLASH_FACTOR=1.8 how often the load its flash crowd is (1: none), for
# FLASH_SECONDS=45; CLUSTER=local|kind|current; OUT=DIR where the report goes; KEEP=0 takes away what the demo installed (1, the
# default, leaves everything to look at).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. hack/cluster/progress.sh

CACHE=${RECMODEL_CACHE:-$HOME/.cache/recmodel}
SECONDS_OF_REPLAY=$(awk -v m="${DEMO_MINUTES:-9}" 'BEGIN { printf "%d", m * 60 }')
TRACE_MINUTES=90  # of the recorded trace
WARM_UP_SECONDS=$((SECONDS_OF_REPLAY / 6))  # both begin with one replica and know nothing, as no deployment of some days does
PEAK=${PEAK:-75}
FLASH_FACTOR=${FLASH_FACTOR:-1.8}
FLASH_SECONDS=${FLASH_SECONDS:-45}
RUN_DIR=${OUT:-$CACHE/demo/report-$(date +%Y%m%d-%H%M%S)}
NAMESPACE=demo
OPERATOR_NAMESPACE=recmodel-system
MADE_BY_DEMO=recmodel.dev/made-by=demo  # label of what goes with KEEP=0
JOB=load
BESIDE=ranker-hpa BESIDE_JOB=load-beside  # as demo/beside.py and demo/watch name them
GENERATOR=/app/load/generator.py  # in the ranker's image
FORWARD=
OUTCOME=0

# step WHAT COMMAND...: numbered, timed, and written down for the report.
NUMBER=0
step() {
  local what=$1 began=$SECONDS; shift
  NUMBER=$((NUMBER + 1))
  log "demo, step $NUMBER of 9: $what"
  "$@" 9>&-
  printf '%s\t%s\n' "$what" "$((SECONDS - began))" >>"$RUN_DIR/steps.tsv"
}

# A namespace's objects of an earlier demo go first: a RecModel that has learned already would show nothing.
clear_earlier() {
  kubectl delete job "$JOB" "$BESIDE_JOB" -n "$NAMESPACE" --ignore-not-found --wait >/dev/null
  delete_recmodels
  wait_for 90 'nothing is left of an earlier RecModel' no_pods_of_pools
}
no_pods_of_pools() { [ -z "$(kubectl get pods -n "$NAMESPACE" -l "recmodel.dev/model in (ranker, $BESIDE)" -o name)" ]; }
delete_recmodels() {
  kubectl delete hpa "$BESIDE-cpu" -n "$NAMESPACE" --ignore-not-found >/dev/null
  kubectl get crd recmodels.recmodel.dev >/dev/null 2>&1 || return 0
  kubectl delete recmodel ranker "$BESIDE" -n "$NAMESPACE" --ignore-not-found --wait --timeout=90s >/dev/null
}

recmodels() {
  sed "s|localhost/|$IMAGE_PREFIX|" manifests/samples/ranker.yaml | kubectl apply -f - >&2
  PYTHONPATH=demo:demo/load "$PYTHON" -m beside --prefix "$IMAGE_PREFIX" | kubectl apply -f - >&2
  with_heartbeat 'waiting until both are Ready' \
    kubectl wait --for=condition=Ready recmodel/ranker "recmodel/$BESIDE" -n "$NAMESPACE" --timeout=180s >&2
  with_heartbeat 'waiting until the HPA scales' \
    kubectl wait --for=condition=ScalingActive "hpa/$BESIDE-cpu" -n "$NAMESPACE" --timeout=180s >&2
}

# generator NAME HOST ARGUMENT...: the load generator as a Job in the cluster. It talks to the gateway only.
generator() {
  local name=$1 host=$2 arguments; shift 2
  arguments=$(printf '"%s",' --url "http://$GATEWAY_ADDRESS/v2/models/ranker/infer" --host "$host" "$@")
  kubectl apply -f - >/dev/null <<MANIFEST
apiVersion: batch/v1
kind: Job
metadata: {name: $name, namespace: $NAMESPACE}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      containers:
      - name: generator
        image: ${IMAGE_PREFIX}recmodel-ranker:dev
        imagePullPolicy: IfNotPresent
        command: [python, $GENERATOR]
        args: [${arguments%,}]
        resources: {requests: {cpu: 100m, memory: 128Mi}}
        volumeMounts: [{name: schedule, mountPath: /schedule}]
      volumes:
      - {name: schedule, configMap: {name: schedule, optional: true}}
MANIFEST
}

# A few requests before the replay: a route that does not answer is found now, and the gateway's counters begin to exist.
first_traffic() {
  local host
  for host in ranker.example hpa.ranker.example; do
    kubectl delete job first-traffic -n "$NAMESPACE" --ignore-not-found --wait >/dev/null
    generator first-traffic "$host" --rps 5 --seconds 5 --seed 2
    wait_for 90 "the first requests to $host have been sent" kubectl wait --for=condition=Complete job/first-traffic -n "$NAMESPACE" --timeout=1s
    kubectl logs -n "$NAMESPACE" job/first-traffic | "$PYTHON" -c '
import json, sys
result = json.loads(sys.stdin.read().splitlines()[-1])
print("  {ok} of {due} requests answered through the gateway, p95 {p95_ms} ms".format(**result), file=sys.stderr)
sys.exit(0 if result["ok"] else "no request was answered through the gateway")'
  done
}

schedule() {
  "$PYTHON" demo/load/schedule.py --out "$RUN_DIR/schedule.csv" --window-minutes "$TRACE_MINUTES" --seconds "$SECONDS_OF_REPLAY" --peak "$PEAK" \
    --warm-up-seconds "$WARM_UP_SECONDS" --flash-factor "$FLASH_FACTOR" --flash-seconds "$FLASH_SECONDS" 2>"$RUN_DIR/schedule.txt" || { cat "$RUN_DIR/schedule.txt" >&2; return 1; }
  cat "$RUN_DIR/schedule.txt" >&2
  kubectl create configmap schedule -n "$NAMESPACE" --from-file="$RUN_DIR/schedule.csv" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
}

replay() {
  schedule
  generator "$BESIDE_JOB" hpa.ranker.example --schedule /schedule/schedule.csv
  generator "$JOB" ranker.example --schedule /schedule/schedule.csv
  # A replay that did not end well is still reported on.
  PYTHONPATH=demo "$PYTHON" -m watch --run "$RUN_DIR" --job "$JOB" --namespace "$NAMESPACE" --name ranker \
    --beside "$BESIDE" || OUTCOME=1
}

report() { PYTHONPATH=demo "$PYTHON" -m report --run "$RUN_DIR" --namespace "$NAMESPACE" --name ranker || OUTCOME=1; }

# The report reads Prometheus from this machine. Where its Service has no route from here, kubectl forwards a port until the demo ends.
reach_prometheus() {
  eval "$(hack/cluster/env.sh)"
  [ "$CLUSTER" != local ] || return 0
  kubectl port-forward -n monitoring service/prometheus :9090 >"$RUN_DIR/port-forward.log" 2>&1 9>&- &
  FORWARD=$!
  wait_for 20 'Prometheus answers through kubectl port-forward' grep -q 'Forwarding from 127' "$RUN_DIR/port-forward.log"
  PROMETHEUS_URL=http://127.0.0.1:$(sed -n 's/^Forwarding from 127[.]0[.]0[.]1:\([0-9]*\).*/\1/p' "$RUN_DIR/port-forward.log")
  export PROMETHEUS_URL
}

finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM  # what starts here ends here
  if [ -n "$FORWARD" ]; then kill "$FORWARD" 2>/dev/null || true; fi
  # Interrupted or failed, the load must not go on alone.
  if [ "$status" != 0 ]; then delete_jobs; fi
  if [ "${KEEP:-1}" != 1 ]; then take_away || log 'not everything could be taken away'; fi
  exit "$status"
}

how_to_look() {
  cat >&2 <<WORDS

Everything is still running. To look at it:
  eval "\$(hack/cluster/env.sh)"
  kubectl get recmodels -A
  kubectl describe recmodel ranker -n $NAMESPACE
  kubectl get pods -n $NAMESPACE -w
  make demo     once more, in under two minutes to the first request
  make down     ends it all
WORDS
}

delete_jobs() { kubectl delete job "$JOB" "$BESIDE_JOB" first-traffic -n "$NAMESPACE" --ignore-not-found --wait=false >/dev/null 2>&1 || true; }

take_away() {
  kubectl get namespace "$NAMESPACE" >/dev/null 2>&1 || return 0  # it did not come to that
  log 'taking away the RecModels, the HPA and the operator'
  delete_jobs
  kubectl delete configmap schedule -n "$NAMESPACE" --ignore-not-found >/dev/null
  delete_recmodels
  wait_for 90 'no pod of the demo is left' no_pods_of_demo || return 1
  hack/cluster/metrics-server.sh down
  helm uninstall recmodel -n "$OPERATOR_NAMESPACE" --ignore-not-found --wait >/dev/null 2>&1
  kubectl delete lease recmodel -n "$OPERATOR_NAMESPACE" --ignore-not-found >/dev/null
  kubectl delete lease recmodel.dev -n "$NAMESPACE" --ignore-not-found >/dev/null
  kubectl delete lease all.recmodel.dev -n default --ignore-not-found >/dev/null
  kubectl delete namespace -l "$MADE_BY_DEMO" --ignore-not-found --timeout=90s >/dev/null
  log 'the RecModel and the operator are gone; the CRD stays and the cluster runs on (make down ends it)'
}
no_pods_of_demo() { no_pods_of_pools && [ -z "$(kubectl get pods -n "$NAMESPACE" -l "job-name in ($JOB, $BESIDE_JOB, first-traffic)" -o name)" ]; }

# Two demos at once would delete each other's RecModel. What is started here must not inherit the lock: daemons outlive the demo.
one_at_a_time() {
  command -v flock >/dev/null || return 0
  mkdir -p "$CACHE/demo"
  exec 9>"$CACHE/demo/lock"
  flock -n 9 || { echo 'another demo is running on this machine' >&2; exit 1; }
}

main() {
  one_at_a_time
  mkdir -p "$RUN_DIR"
  : >"$RUN_DIR/steps.tsv"
  trap finish EXIT
  trap 'exit 130' INT TERM
  step 'the Python environment' hack/venv.sh >/dev/null
  PYTHON=$(hack/venv.sh)/bin/python
  step 'the cluster, the gateway and Prometheus' hack/cluster/up.sh
  reach_prometheus
  step 'the images of the operator and of the ranker' hack/cluster/images.sh product
  step 'metrics-server: an HPA needs it' hack/cluster/metrics-server.sh up
  step 'the operator, by its Helm chart' demo/operator.sh 5 "$RUN_DIR/helm.log"
  clear_earlier
  step 'the RecModel: two pools of a ranker; and beside it one under an HPA' recmodels
  step 'the first requests through the gateway' first_traffic
  step "the replay: $TRACE_MINUTES minutes of a recorded trace in ${DEMO_MINUTES:-9}, to both at once" replay
  step 'the report' report
  if [ "${KEEP:-1}" = 1 ]; then how_to_look; fi
  return "$OUTCOME"
}

main
