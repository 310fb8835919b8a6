"""Compares recipes on the evaluation rows, which choose variants too: the later rows that report stay unseen.

    python demo/paper/tune.py --out DIR KIND JSON...

KIND is full, narrow, small, two-tower, or a share of units to keep such as 0.25 (which needs the full model's recipe, and trains that
first). Each JSON object is laid over the kind's recipe in recipes.json: '{"epochs": 3}' '{"epochs": 5}'. Prints the AUC of each.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import movietweetings
import numpy as np
import onnx
import prepare
from sklearn.metrics import roc_auc_score

from recmodel.variants import data, designs, graph
from recmodel.variants.data import Rows
from recmodel.variants.graph import Floats, with_inner_inputs
from recmodel.variants.surgery import prune
from recmodel.variants.training import JaxAdapter, Recipe
from recmodel.variants.workshop import SAMPLE_ROWS


def scores(model: onnx.ModelProto, rows: Rows) -> Floats:
    """[rows]: with each row's features of its own time, where it brings them."""
    return graph.scores(with_inner_inputs(model, [n for n in movietweetings.INNER if n in rows.columns]), rows.columns)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("kind")
    parser.add_argument("changes", nargs="+", type=json.loads)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    films = movietweetings.prepare(options.out)
    start = designs.dlrm(films.user, films.item, embedding=prepare.EMBEDDING, top=prepare.TOP, seed=options.seed)
    wanted = graph.inputs(graph.session(start))
    train = data.read(films.training, wanted, "training", frozenset(movietweetings.INNER))
    valid = data.read(films.evaluation, wanted, "evaluation")
    recipes = json.loads(prepare.RECIPES.read_text())
    adapter = JaxAdapter()

    def trained(model: onnx.ModelProto, recipe: dict[str, object], teacher: Floats | None) -> onnx.ModelProto:
        return adapter.train(model, train, Recipe(**{"seed": options.seed, **recipe}), teacher, lambda _: None)

    full = options.out / f"tune-full-{options.seed}.onnx"
    if not full.exists():
        graph.write(trained(start, recipes["full"], None), full)
    teacher = graph.read(full)
    print(f"full: AUC {roc_auc_score(valid.label, scores(teacher, valid)):.4f}", flush=True)
    light = prepare.light_designs(films, options.seed)
    for change in options.changes:
        if options.kind == "full":
            model, recipe = start, recipes["full"] | change
        elif options.kind in light:
            model, recipe = (
                light[options.kind],
                recipes["fromScratch"] | recipes["designs"].get(options.kind, {}) | change,
            )
        else:
            sample = {name: train.columns[name][-SAMPLE_ROWS:] for name in ("user", "item")}
            model, recipe = prune(teacher, float(options.kind), sample), recipes["fineTune"] | change
        soft = scores(teacher, train) if recipe.get("soft_ratio") else None
        done = [trained(model, recipe | {"seed": options.seed + more}, soft) for more in range(2)]
        found = [roc_auc_score(valid.label, scores(one, valid)) for one in done]
        print(f"{options.kind} {change}: AUC {np.mean(found):.4f} {[round(float(a), 4) for a in found]}", flush=True)


if __name__ == "__main__":
    main()
