#!/usr/bin/env bash
# Generates the Python of KEDA's external scaler protocol from its .proto, into OUT (default: the checkout).
set -euo pipefail
cd "$(dirname "$0")/.."
"$(hack/venv.sh)/bin/python" -m grpc_tools.protoc -I operator --python_out "${1:-operator}" --pyi_out "${1:-operator}" \
  operator/recmodel/controller/keda/externalscaler.proto
