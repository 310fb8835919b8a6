# What the user sees while something takes long; sourced by the other scripts.
export STARTED=${STARTED:-$(date +%s)}

log() { printf '%s [%4d s] %s\n' "$(date +%H:%M:%S)" $(($(date +%s) - STARTED)) "$*" >&2; }

# with_heartbeat WHAT COMMAND...: runs it, and says every 15 s that it still runs (and how many Go packages it has compiled).
with_heartbeat() {
  local what=$1 status=0 beat nap began=$SECONDS compiled=''; shift
  (
    trap 'kill "$nap" 2>/dev/null; exit 0' TERM
    while :; do
      sleep 15 & nap=$!
      wait "$nap"
      kill -0 $$ 2>/dev/null || exit 0  # an interrupted script does not end what it has in the background
      [ -s "${BUILD_LOG:-}" ] && compiled=", $(wc -l <"$BUILD_LOG") packages compiled"
      log "  ... $what, $((SECONDS - began)) s$compiled"
    done
  ) &
  beat=$!
  "$@" || status=$?
  kill "$beat" 2>/dev/null || true
  wait "$beat" 2>/dev/null || true
  return $status
}

# timed NAME COMMAND...: with a heartbeat; its seconds go to the table of cold times if it took at least one.
timed() {
  local name=$1 began seconds; shift
  began=$(date +%s%N)
  with_heartbeat "$name" "$@" || return
  seconds=$(awk -v from="$began" -v to="$(date +%s%N)" 'BEGIN { printf "%.1f", (to - from) / 1e9 }')
  if [ "${seconds%.*}" -ge 1 ]; then
    printf '%s\t%s\n' "$name" "$seconds" >>"$TIMES"
    log "  $name: $seconds s"
  fi
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then log "gave up waiting: $what"; return 1; fi
    sleep 0.2
  done
  log "  $what"
}
