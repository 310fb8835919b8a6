#!/usr/bin/env bash
# Writes the locks from pyproject.toml, in the order in which they bind each other.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(hack/venv.sh)/bin/uv
compile() { "$uv" pip compile --quiet --no-header --python-version 3.11 --generate-hashes pyproject.toml "$@"; }
compile -o requirements.lock
compile --extra lab --extra demo --extra dev -c requirements.lock -o requirements-dev.lock
compile --extra variants -c requirements-dev.lock -o requirements-variants.lock
compile --extra openvino -c requirements-variants.lock -o requirements-openvino.lock
compile --extra bench -c requirements-dev.lock -o requirements-bench.lock
