"""The example's files for ``recmodel optimise``: the data's three splits, the trained full model, the light designs.

    python demo/paper/prepare.py DIR [--seed 7] [--rows N]

Writes DIR/{full,narrow,small,two-tower}.onnx, training.npz, movietweetings.npz, movietweetings-later.npz and recipes.json. The full
model is a DLRM with the top MLP of MLPerf's (1024-1024-512-256), trained on MovieTweetings under a global time cut: about a minute on
one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import movietweetings
import onnx
from movietweetings import Films

from recmodel.variants import data, designs, graph
from recmodel.variants.command import DEFAULT_ADAPTER
from recmodel.variants.training import Recipe, load_adapter

Progress = Callable[[str], None]

HERE = Path(__file__).resolve().parent
EMBEDDING, TOP = 16, (1024, 1024, 512, 256)
# Chosen on the evaluation rows (tune.py), never on the later ones that report.
RECIPES = HERE / "recipes.json"


def light_designs(films: Films, seed: int) -> dict[str, onnx.ModelProto]:
    """The untrained lighter designs by name."""
    return {
        "narrow": designs.dlrm(films.user, films.item, embedding=EMBEDDING, top=(64, 32), seed=seed),
        "small": designs.dlrm(films.user, films.item, embedding=4, top=(32,), seed=seed),
        "two-tower": designs.two_tower(films.user, films.item, embedding=EMBEDDING, tower=(64, 16), seed=seed),
    }


def trained_full(
    start: onnx.ModelProto, training: Path, inner: Sequence[str], recipes: Path, seed: int, progress: Progress
) -> Path:
    """The file with the full model, trained unless it was trained from the same things before."""
    recipe = Recipe(**{"seed": seed, **json.loads(recipes.read_text(encoding="utf-8"))["full"]})
    rows = data.read(training, graph.inputs(graph.session(start)), "training", frozenset(inner))
    words = json.dumps([recipe.as_dict(), graph.sha256(start), rows.sha256])
    path = training.parent / f"full-{hashlib.sha256(words.encode()).hexdigest()[:12]}.onnx"
    if not path.exists():
        progress(f"training the full model, {start.ByteSize() / 1e6:.1f} MB")
        adapter = load_adapter(DEFAULT_ADAPTER)
        graph.write(adapter.train(start, rows, recipe, None, lambda words: progress(f"full: {words}")), path)
    return path


def prepare(out: Path, seed: int, progress: Progress, rows: int | None = None) -> tuple[Films, Path, dict[str, Path]]:
    """The data, the full model's file, and the light designs' files, all in ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    films = movietweetings.prepare(out, rows=rows)
    start = designs.dlrm(films.user, films.item, embedding=EMBEDDING, top=TOP, seed=seed)
    files = {}
    for name, model in light_designs(films, seed).items():
        files[name] = out / f"{name}.onnx"
        graph.write(model, files[name])
    return films, trained_full(start, films.training, movietweetings.INNER, RECIPES, seed, progress), files


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="the example's files for recmodel optimise")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", type=int, metavar="N", help="only the earliest ratings, to try things out")
    options = parser.parse_args()
    _, full, _ = prepare(options.out, options.seed, lambda words: print(words, flush=True), options.rows)
    shutil.copyfile(full, options.out / "full.onnx")
    shutil.copyfile(RECIPES, options.out / "recipes.json")


if __name__ == "__main__":
    main()
