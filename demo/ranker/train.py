"""Trains the demo's ranker on real film ratings and writes it as ONNX (fp32 and int8) with a report of its quality.

    python demo/ranker/train.py --out DIR [--hidden 1024 512] [--seed 7] [--epochs 3]

The question is "will this user rate this film 8 or better?". The last tenth of the ratings by time validates, once: the
number of epochs and the settings in ``network.Training`` were chosen on the three tenths before it (``--tune`` prints
that choice again). Writes DIR/{ranker-fp32.onnx, ranker-int8.onnx, report.json}; about 20 s on one core. The same seed
gives the same weights on the same machine (one BLAS thread).
"""

from __future__ import annotations

import os

# One thread: the same order of additions every time, and the other cores stay free. It is read when numpy is loaded.
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
BOTH_MEANS = "mean of the user + mean of the item"


def fit(
    data: dataset.Dataset, shape: network.Shape, training: network.Training, epochs: int
) -> tuple[network.Parameters, list[float]]:
    """The parameters after ``epochs`` passes over the training rows, and the validation AUC after each (only shown)."""
    generator = np.random.default_rng(training.seed)
    parameters = network.initial(data, shape, generator)
    adam = network.Adam(parameters, training)
    history = []
    for number in range(1, epochs + 1):
        started = time.monotonic()
        network.epoch(parameters, adam, data, data.train, training, generator)
        score = validation_logits(parameters, data)
        history.append(dataset.area_under_curve(score, data.valid.liked))
        print(f"epoch {number}/{epochs}: AUC {history[-1]:.4f} ({time.monotonic() - started:.1f} s)", flush=True)
    return parameters, history


def validation_logits(parameters: network.Parameters, data: dataset.Dataset) -> dataset.Floats:
    """[rows]: what numpy computes for the validation rows."""
    rows = data.valid
    return network.logits(parameters, data.genres, rows.user, rows.item, network.stats_of(rows, data))


def tune(folder: Path, shape: network.Shape, training: network.Training, epochs: int) -> list[float]:
    """AUC by epoch, averaged over three earlier cuts: the 9th, 8th and 7th tenth of the ratings validate in turn."""
    histories = []
    for tenths in (9, 8, 7):
        data = dataset.load(folder, rows=tenths * 10_000, train_share=1.0 - 1.0 / tenths)
        print(f"tenth {tenths} validates; {BOTH_MEANS}: AUC {dataset.baselines(data)[BOTH_MEANS]:.4f}", flush=True)
        histories.append(fit(data, shape, training, epochs)[1])
    return [round(float(mean), 4) for mean in np.mean(histories, axis=0)]


def write(out: Path, data: dataset.Dataset, parameters: network.Parameters) -> dict[str, dataset.Floats]:
    """Writes both ONNX files; returns onnxruntime's scores of the validation rows by each.

    Raises RuntimeError when onnxruntime and numpy disagree, or when 8 bits lose more than ``INT8_MAX_LOSS`` of AUC.
    """
    out.mkdir(parents=True, exist_ok=True)
    full, int8 = out / "ranker-fp32.onnx", out / "ranker-int8.onnx"
    full.write_bytes(export.graph(parameters, data).SerializeToString())
    export.quantised(full, int8)
    rows = data.valid
    scores = {name: export.scores(file, rows.user, rows.item) for name, file in (("fp32", full), ("int8", int8))}
    gap = float(np.abs(scores["fp32"] - 1.0 / (1.0 + np.exp(-validation_logits(parameters, data)))).max())
    if gap > AGREEMENT:
        raise RuntimeError(f"onnxruntime and numpy differ by {gap:.2e} in a score, more than {AGREEMENT:.0e}")
    loss = dataset.area_under_curve(scores["fp32"], rows.liked) - dataset.area_under_curve(scores["int8"], rows.liked)
    if loss > INT8_MAX_LOSS:
        raise RuntimeError(f"int8 loses {loss:.4f} of AUC, more than {INT8_MAX_LOSS}")
    return scores


def gain_interval(score: dataset.Floats, baseline: dataset.Floats, liked: dataset.Floats, seed: int) -> list[float]:
    """95 % interval of AUC(score) - AUC(baseline) over 400 resamples of the validation rows (paired bootstrap)."""
    generator = np.random.default_rng(seed)
    gains = []
    for _ in range(400):
        rows = generator.integers(0, len(liked), len(liked))
        gains.append(
            dataset.area_under_curve(score[rows], liked[rows]) - dataset.area_under_curve(baseline[rows], liked[rows])
        )
    return [round(float(edge), 4) for edge in np.percentile(gains, [2.5, 97.5])]


def table(report: dict[str, Any]) -> str:
    """The report's AUC table: every baseline and model on the same validation rows."""
    lines = [f"{'rating >= 8, last 10 % by time':<42} AUC"]
    lines += [f"{name:<42} {value:.4f}" for name, value in report["auc"]["baselines"].items()]
    lines += [f"{'ranker ' + name:<42} {value:.4f}" for name, value in report["auc"]["models"].items()]
    low, high = report["auc"]["gain_interval"]
    lines.append(f"ranker fp32 - best baseline: 95 % within [{low:+.4f}, {high:+.4f}]")
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="train the demo's ranker")
    parser.add_argument("--out", type=Path, help="folder for the models and the report")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--hidden", type=int, nargs=2, default=network.Shape.hidden, help="the two layers: cost of a request"
    )
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=network.Training.seed)
    parser.add_argument("--tune", action="store_true", help="AUC by epoch on three earlier cuts; writes nothing")
    arguments = parser.parse_args()
    if (arguments.out is None) != arguments.tune:
        parser.error("give either --out DIR or --tune")
    shape = network.Shape(hidden=tuple(arguments.hidden))
    training = network.Training(seed=arguments.seed)
    if arguments.tune:
        print(f"mean AUC by epoch: {tune(arguments.data, shape, training, arguments.epochs)}")
        return
    started = time.monotonic()
    data = dataset.load(arguments.data)
    parameters, _ = fit(data, shape, training, arguments.epochs)
    scores = write(arguments.out, data, parameters)
    both = data.valid.user_stats[:, 0] + data.valid.item_stats[:, 0]
    report: dict[str, Any] = {
        "task": "rating >= 8",
        "split": "global time cut, last 10 % validate",
        "rows": {"train": len(data.train.liked), "valid": len(data.valid.liked)},
        "ids": {"users": len(data.user_table) - 1, "items": len(data.item_table) - 1},
        "hidden": list(shape.hidden),
        "seed": training.seed,
        "epochs": arguments.epochs,
        "auc": {
            "baselines": dataset.baselines(data),
            "models": {name: dataset.area_under_curve(score, data.valid.liked) for name, score in scores.items()},
            "gain_interval": gain_interval(scores["fp32"], both, data.valid.liked, training.seed),
        },
        "seconds": round(time.monotonic() - started, 1),
    }
    (arguments.out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    print(table(report))
    print(f"wrote {arguments.out} in {report['seconds']} s")


if __name__ == "__main__":
    main()
