#!/usr/bin/env bash
# Makes a Python environment from its locks, outside the checkout, keyed by the locks' hash; prints its path.
#   venv.sh            development
#   venv.sh variants   development and the model optimiser's libraries, which are large
#   venv.sh openvino   the same and NNCF, one more quantiser
#   venv.sh bench      development and the forecasters that only the benchmark compares with
#   venv.sh ranker     MLServer, as in the demo's image
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${RECMODEL_CACHE:-$HOME/.cache/recmodel}
kind=${1:-}
case $kind in
  '') locks=(requirements-dev.lock) ;;
  variants) locks=(requirements-dev.lock requirements-variants.lock) ;;
  openvino) locks=(requirements-dev.lock requirements-variants.lock requirements-openvino.lock) ;;
  bench) locks=(requirements-dev.lock requirements-bench.lock) ;;
  ranker) locks=(demo/ranker/requirements.lock) ;;
  *) sed -n 2,7p "$0" >&2; exit 2 ;;
esac
venv=$cache/venv-${kind:+$kind-}$(cat "${locks[@]}" hack/venv.sh | sha256sum | cut -c1-12)
if [ ! -e "$venv/ready" ]; then
  echo "making the Python environment $venv" >&2
  rm -rf "$venv"
  "${PYTHON:-python3.11}" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
  "$venv/bin/uv" pip sync --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes "${locks[@]}"
  # The checkout itself, without a build: the console script and imports work from any folder.
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  printf '#!%s/bin/python\nimport sys\nfrom recmodel.cli import main\nsys.exit(main())\n' "$venv" >"$venv/bin/recmodel"
  chmod +x "$venv/bin/recmodel"
  : >"$site/recmodel-checkout.pth"
  touch "$venv/ready"
fi
# Several checkouts may share one environment: the last one that asked is the one that runs.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
[ "$(cat "$site/recmodel-checkout.pth")" = "$PWD/operator" ] || echo "$PWD/operator" >"$site/recmodel-checkout.pth"
echo "$venv"
