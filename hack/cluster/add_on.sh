# Programs of add-ons that a test or a comparison needs for some minutes: from a pinned Go module to an image of the local cluster.
# Sourced by keda.sh, metrics-server.sh and capacity-buffers.sh.

# pinned_module PATH VERSION SUM: prints the module's folder.
pinned_module() {
  local found; found=$(cd / && go mod download -json "$1@v$2")
  [ "$(sed -n 's/^\t"Sum": "\(.*\)",$/\1/p' <<<"$found")" = "$3" ] || { echo "the module $1 v$2 is not the one that is pinned in versions.sh" >&2; return 1; }
  sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$found"
}

# module_programs FOLDER PACKAGE...: builds them in a copy of the module, and prints the folder of the programs. A module whose go.mod
# has replace directives cannot be built as a dependency of a module of ours.
module_programs() {
  local source; source=$WORK/$(basename "$1"); local module=$1; shift
  mkdir -p "$WORK"
  rm -rf "$source"
  cp -r "$module" "$source"
  chmod -R u+w "$source"
  (cd "$source" && go mod download && mkdir -p out && go build -v -mod=readonly -buildvcs=false -trimpath -gcflags all=-dwarf=false -ldflags '-s -w' \
    -o out/ "$@") 2>"$BUILD_LOG" || { tail -20 "$BUILD_LOG" >&2; return 1; }
  echo "$source/out"
}

# add_on_images ARCHIVE IMAGE=PROGRAM[,base]...: packs them once, and gives them to the local cluster.
add_on_images() {
  local archive=$RECMODEL_CACHE/images/$1.tar image listed; shift
  [ -s "$archive" ] || timed "images of $(basename "$archive" .tar)" python3 "$HERE/docker_archive.py" "$archive" "$BASE_IMAGE_TAR" "$@"
  listed=$($CTR images ls -q)
  for image in "$@"; do
    grep -qxF "${image%%=*}" <<<"$listed" || { with_heartbeat "importing $(basename "$archive")" $CTR images import "$archive" >>"$RUN/log/import.log"; break; }
  done
}

# An API server that was started before it had the flags for that cannot hand requests on to an add-on's.
aggregates() {
  [ -n "$(kubectl get configmap -n kube-system extension-apiserver-authentication -o 'jsonpath={.data.requestheader-client-ca-file}')" ] ||
    { echo 'the API server hands on no requests: run hack/cluster/down.sh and hack/cluster/up.sh' >&2; return 1; }
}
