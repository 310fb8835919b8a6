"""Trains the demo's ranker on real film ratings and writes it as ONNX (fp32 and int8) with a report of its quality.

    python demo/ranker/train.py --out DIR [--hidden 1024 512] [--seed 7] [--epochs 3]

The question is "will this user rate this film 8 or better?". The last tenth of the ratings by time validates. The number of epochs
and the settings in ``network.Training`` were chosen on the tenth before that (``--tune`` prints that choice again).
Writes DIR/{ranker-fp32.onnx, ranker-int8.onnx, report.json}; about 20 s on one core. The same seed gives the same weights on the
same machine (one BLAS thread).
"""

from __future__ import annotations

import os

# One thread: the same order of additions every time, and the demo's other core stays free. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import time
from pathlib import Path
from typing import Any

import dataset
import export
import network
import numpy as np

DATA = Path(__file__).resolve().parent.parent / "data"
# onnxruntime and numpy add in different orders; a probability may differ in its last digits.
AGREEMENT = 2e-5
INT8_MAX_LOSS = 0.005


def fit(
    data: dataset.Dataset, shape: network.Shape, training: network.Training, epochs: int
) -> tuple[network.Parameters, list[float]]:
    """The parameters after ``epochs`` passes over the training rows, and the validation AUC after each (shown, not used)."""
    generator = np.random.default_rng(training.seed)
    parameters = network.initial(data, shape, generator)
    adam = network.Adam(parameters, training)
    history = []
    for number in range(1, epochs + 1):
        started = time.monotonic()
        network.epoch(parameters, adam, data, data.train, training, generator)
        history.append(auc(parameters, data))
        print(f"epoch {number}/{epochs}: AUC {history[-1]:.4f} ({time.monotonic() - started:.1f} s)", flush=True)
    return parameters, history


def auc(parameters: network.Parameters, data: dataset.Dataset) -> float:
    """Validation AUC of the numpy network."""
    rows = data.valid
    score = network.logits(parameters, data.genres, rows.user, rows.item, network.stats_of(rows, data))
    return dataset.area_under_curve(score, rows.liked)


def write(out: Path, data: dataset.Dataset, parameters: network.Parameters) -> dict[str, float]:
    """Writes both ONNX files and returns their validation AUC as onnxruntime computes it.

    Raises RuntimeError when onnxruntime and numpy disagree, or when 8 bits lose more than ``INT8_MAX_LOSS`` of AUC.
    """
    out.mkdir(parents=True, exist_ok=True)
    full, int8 = out / "ranker-fp32.onnx", out / "ranker-int8.onnx"
    full.write_bytes(export.graph(parameters, data).SerializeToString())
    export.quantised(full, int8)
    rows = data.valid
    expected = network.logits(parameters, data.genres, rows.user, rows.item, network.stats_of(rows, data))
    score = export.scores(full, rows.user, rows.item)
    gap = float(np.abs(score - 1.0 / (1.0 + np.exp(-expected))).max())
    if gap > AGREEMENT:
        raise RuntimeError(f"onnxruntime and numpy differ by {gap:.2e} in a score, more than {AGREEMENT:.0e}")
    measured = {
        "fp32": dataset.area_under_curve(score, rows.liked),
        "int8": dataset.area_under_curve(export.scores(int8, rows.user, rows.item), rows.liked),
    }
    if measured["fp32"] - measured["int8"] > INT8_MAX_LOSS:
        raise RuntimeError(f"int8 loses too much AUC: {measured}")
    return measured


def table(baselines: dict[str, float], models: dict[str, float]) -> str:
    """The report's table: AUC of each baseline and model on the same validation rows."""
    lines = [f"{'rating >= 8, last 10 % by time':<42} AUC"]
    lines += [f"{name:<42} {value:.4f}" for name, value in baselines.items()]
    lines += [f"{'ranker ' + name:<42} {value:.4f}" for name, value in models.items()]
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="train the demo's ranker")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--hidden", type=int, nargs=2, default=(1024, 512), help="width of the two layers: the cost of a request"
    )
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=network.Training.seed)
    parser.add_argument(
        "--tune", action="store_true", help="train before the last but one tenth, to choose the epochs; writes nothing"
    )
    arguments = parser.parse_args()
    started = time.monotonic()
    data = dataset.load(arguments.data)
    if arguments.tune:
        data = dataset.load(arguments.data, rows=len(data.train.liked))
    shape = network.Shape(hidden=tuple(arguments.hidden))
    training = network.Training(seed=arguments.seed)
    parameters, history = fit(data, shape, training, arguments.epochs)
    if arguments.tune:
        best = int(np.argmax(history)) + 1
        print(f"best after {best} epochs; baselines {dataset.baselines(data)}")
        return
    models = write(arguments.out, data, parameters)
    baselines = dataset.baselines(data)
    report: dict[str, Any] = {
        "task": "rating >= 8",
        "split": "global time cut, last 10 % validate",
        "rows": {"train": len(data.train.liked), "valid": len(data.valid.liked)},
        "ids": {"users": len(data.user_table) - 1, "items": len(data.item_table) - 1},
        "hidden": list(shape.hidden),
        "seed": training.seed,
        "epochs": arguments.epochs,
        "auc": {"baselines": baselines, "models": models},
        "seconds": round(time.monotonic() - started, 1),
    }
    (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print(table(baselines, models))
    print(f"wrote {arguments.out} in {report['seconds']} s")


if __name__ == "__main__":
    main()
