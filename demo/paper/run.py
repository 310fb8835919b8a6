"""``make paper``: the model half of the claim, on real data: each technique's own row, and all together.

    python demo/paper/run.py --out DIR --server-program MLSERVER

Trains the full model (a DLRM with the top MLP of MLPerf's, 1024-1024-512-256) on MovieTweetings under a global time cut, hands it with
three light designs to the optimiser, and holds the chosen variant to the three figures, on later rows that chose nothing. Ends with 1
where one is missed. Then the same at MLPerf's width on made-up clicks. What was made and measured before is not made again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import synthetic
from movietweetings import Films
from prepare import RECIPES, prepare, trained_full
from sklearn.metrics import roc_auc_score

from recmodel.variants import graph, report
from recmodel.variants.command import stop_servers_on_termination
from recmodel.variants.optimise import Progress, Result, optimise
from recmodel.variants.plan import FULL
from recmodel.variants.server import Runtime
from recmodel.variants.task import Task

HERE = Path(__file__).resolve().parent
LARGEST_LATENCY_RATIO, SMALLEST_THROUGHPUT_RATIO, BUDGET_RATIO = 0.30, 2.0, 0.01
SIZES = (1, 50, 200)
SYNTHETIC_RECIPES = HERE / "recipes-synthetic.json"


def real(out: Path, server_program: Path, seed: int, progress: Progress) -> tuple[Result, Films]:
    """MovieTweetings, through the demo's own runtime in MLServer."""
    films, full, files = prepare(out, seed, progress)
    task = Task(
        model=full,
        evaluation=films.evaluation,
        report=films.report,
        out=out,
        budget_ratio=BUDGET_RATIO,
        sizes=SIZES,
        training=films.training,
        designs=files,
        recipes=RECIPES,
        runtime=Runtime(server_program, HERE.parent / "ranker"),
        seed=seed,
    )
    return optimise(task, progress), films


def made_up(out: Path, seed: int, progress: Progress) -> Result:
    """The synthetic set at MLPerf's width, with onnxruntime alone: for speed, not for accuracy."""
    training, evaluation, later = synthetic.prepare(out, rows=60_000, evaluation_rows=10_000, seed=seed)
    model = trained_full(synthetic.dlrm(seed), training, (), SYNTHETIC_RECIPES, seed, progress)
    task = Task(
        model=model,
        evaluation=evaluation,
        report=later,
        out=out,
        budget_ratio=BUDGET_RATIO,
        sizes=SIZES,
        training=training,
        recipes=SYNTHETIC_RECIPES,
        seed=seed,
    )
    return optimise(task, progress)


def against_baselines(result: Result, films: Films) -> str:
    """The models beside what needs no model, on the rows that chose nothing."""
    lines = ["| rating >= 8, last tenth by time | AUC | above the best baseline |", "|---|---|---|"]
    best = max(films.baselines.values())
    lines += [f"| {name} | {value:.4f} | |" for name, value in films.baselines.items()]
    later = result.report
    if later is None:
        raise ValueError("the figures are of later rows")
    for name in (FULL, "two-tower", result.chosen):
        value = float(roc_auc_score(later.label, graph.scores(result.models[name], later.columns, result.task.size)))
        ends = (
            f" [{', '.join(f'{end:.4f}' for end in result.reported[name]['auc'].interval)}]"
            if name in result.reported
            else ""
        )
        lines.append(f"| {name} | {value:.4f}{ends} | {value - best:+.4f} |")
    return "\n".join(lines) + "\n"


def verdict(result: Result) -> tuple[str, bool]:
    """The three figures of the chosen one, its loss on rows that chose nothing, and whether all are reached."""
    one = next(j for j in result.judged if j.candidate.name == result.chosen)
    speed, loss = one.speed.by_size[result.task.size], result.reported[result.chosen]["auc"]
    upper = loss.loss_interval[1]
    checks = [
        ("latency ratio", f"{speed.latency_ratio:.3f}", f"< {LARGEST_LATENCY_RATIO}",
         speed.latency_ratio < LARGEST_LATENCY_RATIO),
        ("throughput ratio", f"{speed.throughput_ratio:.2f}", f"> {SMALLEST_THROUGHPUT_RATIO}",
         speed.throughput_ratio > SMALLEST_THROUGHPUT_RATIO),
        ("loss of AUC, later rows, upper end of 95 %", f"{upper:.2%}", f"< {BUDGET_RATIO:.0%}", upper < BUDGET_RATIO),
    ]  # fmt: skip
    lines = [f"chosen: {result.chosen}"]
    lines += [
        f"  {name:<42} {value:>8}  {rule:<8} {'reached' if good else 'MISSED'}" for name, value, rule, good in checks
    ]
    if loss.lift is not None and loss.lift.loss_ratio is not None and loss.lift.loss_interval is not None:
        low, high = loss.lift.loss_interval
        lines.append(f"  of AUC - 0.5 that is {loss.lift.loss_ratio:+.2%} [{low:+.2%}, {high:+.2%}]")
    return "\n".join(lines), all(good for *_, good in checks)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="lighter models within an accuracy budget, on real data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--server-program", type=Path, required=True, help="MLServer's executable")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    stop_servers_on_termination()
    started = time.monotonic()

    def progress(words: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {words}", file=sys.stderr, flush=True)

    result, films = real(_folder(options.out / "movietweetings"), options.server_program, options.seed, progress)
    wide = made_up(_folder(options.out / "synthetic"), options.seed, progress)
    for one in (result, wide):
        report.write(one)
    text, reached = verdict(result)
    page = "\n".join(
        [
            "## MovieTweetings", "", against_baselines(result, films), report.table(result),
            "## Synthetic clicks at MLPerf's width: for speed only", "", report.table(wide),
        ]
    )  # fmt: skip
    (options.out / "table.md").write_text(page, encoding="utf-8")
    print(f"{page}\n{text}\n{options.out / 'table.md'}; {time.monotonic() - started:.0f} s", flush=True)
    return 0 if reached else 1


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    sys.exit(main())
