# Daemons of the local cluster: their pids are written down, and only those are ever stopped. Sourced by up.sh and down.sh.

# A zombie only waits for process 1 to collect it: it runs no more. The start time guards against a pid that was given to another process.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{ print $1 == "Z" ? "" : $20 }'; }
running() { # running NAME
  local pid time
  [ -s "$RUN/pids/$1" ] && read -r pid time <"$RUN/pids/$1" && [ -n "$time" ] && [ "$(start_time "$pid")" = "$time" ]
}

start() { # start NAME COMMAND...
  local name=$1 pid; shift
  running "$name" && return 0
  mkdir -p "$RUN/pids" "$RUN/log"
  setsid "$@" >>"$RUN/log/$name.log" 2>&1 </dev/null 9>&- &   # 9: up.sh's lock
  pid=$!
  echo "$pid $(start_time "$pid")" >"$RUN/pids/$name"
}

stop() { # stop NAME: TERM, up to 4 s, then KILL
  local name=$1 pid
  if running "$name"; then
    read -r pid _ <"$RUN/pids/$name"
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 40); do running "$name" || break; sleep 0.1; done
    if running "$name"; then kill -9 "$pid" 2>/dev/null || true; fi
    log "stopped $name"
  fi
  rm -f "$RUN/pids/$name"
}

# all_run: says which of the daemons that were started runs no more, and where it wrote why.
all_run() {
  local file name status=0
  for file in "$RUN"/pids/*; do
    name=$(basename "$file")
    running "$name" || { log "$name has ended: $(tail -1 "$RUN/log/$name.log" | cut -c1-300)"; status=1; }
  done
  return $status
}
