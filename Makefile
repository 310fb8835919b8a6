# One target for each chore. Everything a target needs is installed or built by it, and cached outside the checkout.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
V = $$(hack/venv.sh)
# Most of what the start of a test costs is compiling Python; what was compiled is kept, whatever the surroundings say.
export PYTHONDONTWRITEBYTECODE :=

help: ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

check: ## format, lint, types, layers, generated files
	@v=$(V); $$v/bin/ruff format --check operator tests demo hack
	@v=$(V); $$v/bin/ruff check operator tests demo hack
	@v=$(V); $$v/bin/mypy
	@v=$(V); $$v/bin/lint-imports
	@v=$(V); diff -u crds/recmodels.recmodel.dev.yaml <($$v/bin/recmodel crds) || { echo 'crds/ is stale: run `make crds`'; exit 1; }
	@v=$(V); hack/chart-files.sh --check; $$v/bin/python hack/api-docs.py --check

crds: ## write the CustomResourceDefinition from the API models
	@v=$(V); $$v/bin/recmodel crds > crds/recmodels.recmodel.dev.yaml
	@v=$(V); hack/chart-files.sh; $$v/bin/python hack/api-docs.py

test-unit: ## unit and property tests, without a cluster; T=tests/unit/test_x.py[::test_y] runs only that
	@v=$(V); $$v/bin/pytest $(or $(T),tests/unit -n $$(($$(nproc) + 1)) --dist worksteal)

# What is timed on a busy machine may miss once: it is tried again, and the summary lists it (R).
test-cluster: up ## the tests on the real cluster
	@v=$(V); eval "$$(hack/cluster/env.sh)"; $$v/bin/pytest tests/cluster -m 'not slow' --reruns 1 -rR --durations 25 --durations-min 20

test-slow: up ## what takes long: the Job that makes lighter models, KEDA by the decisions, ten minutes at a steady load
	@v=$(V); eval "$$(hack/cluster/env.sh)"; STEADY_MINUTES=10 $$v/bin/pytest tests/cluster/test_optimise.py tests/cluster/test_keda.py tests/cluster/test_steady.py

try: ## a minute, no cluster: the sample on a recorded half day against an HPA and the best KEDA setting; verdict, table, picture
	@v=$(V); $$v/bin/python -m recmodel.lab.trial $(ARGS)

# It keeps what was run: an interrupted comparison goes on where it was.
compare: ## the real HPA, the real KEDA and RecModel on one recorded load, in turn: docs/comparison.md (SEEDS=3, 55 min a seed)
	@hack/cluster/up.sh; hack/cluster/images.sh product; v=$(V); eval "$$(hack/cluster/env.sh)"; \
	  PYTHONPATH=demo:demo/load $$v/bin/python -m compare --seeds $(or $(SEEDS),3)

demo: ## a RecModel served end to end: cluster, operator, real traffic, live view, report
	@demo/run.sh

test: check test-unit test-paper test-cluster ## everything

test-paper: ## tests of the model optimiser that need its libraries, which are large, and the real model server
	@v=$$(hack/venv.sh openvino); server=$$(hack/venv.sh ranker)/bin/mlserver; \
	  RECMODEL_MLSERVER=$$server $$v/bin/python -m pytest tests/paper

paper: ## lighter models within an accuracy budget, on real data: each technique's row, and all together
	@v=$$(hack/venv.sh variants); server=$$(hack/venv.sh ranker)/bin/mlserver; \
	  $$v/bin/python demo/paper/run.py --out "$${RECMODEL_CACHE:-$$HOME/.cache/recmodel}/paper" --server-program $$server

gallery: ## the optimiser on recommenders of many kinds, what is made of each and what is not: a table in docs/models.md
	@v=$$(hack/venv.sh variants); $$v/bin/python tests/builders/gallery.py --page docs/models.md

# It keeps what was run: an interrupted run goes on where it was.
bench: ## the engine against HPA, KEDA and a clairvoyant, and what each part of it is worth: docs/benchmark.md (hours)
	@v=$$(hack/venv.sh bench); $$v/bin/python -m recmodel.lab.benchmark --out docs
	@v=$$(hack/venv.sh bench); $$v/bin/python -m recmodel.lab.benchmark.drawn --told --page docs/benchmark.md
	@v=$$(hack/venv.sh bench); $$v/bin/python -m recmodel.lab.benchmark.worth --page docs/benchmark.md

bench-short: ## the same on drawn plants only, three hours and one seed each: for daily work
	@v=$(V); $$v/bin/python -m recmodel.lab.benchmark.drawn --hours 3 --seeds 1

up: ## a real Kubernetes cluster (CLUSTER=local|kind|current), the gateway, Prometheus, the images
	@hack/cluster/up.sh

down: ## end what `make up` started
	@hack/cluster/down.sh

images: ## build the product's images again and load them
	@hack/cluster/images.sh product

.PHONY: try compare bench bench-short paper gallery test-paper help check crds demo test-unit test-cluster test-slow test up down images
