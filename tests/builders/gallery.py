"""The gallery: recommenders of many kinds, what the optimiser is expected to make of each, and the table in docs/models.md.

    python tests/builders/gallery.py --page docs/models.md

Weights are drawn and labels follow the model's own scores: it shows what is made and refused, not how good such models are.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders import architectures, public_models
from recmodel.variants import graph
from recmodel.variants.entry import entered
from recmodel.variants.errors import InputError
from recmodel.variants.optimise import Result, optimise
from recmodel.variants.plan import FULL
from recmodel.variants.speed import Effort
from recmodel.variants.task import Task

BEGIN, END = "<!-- gallery -->", "<!-- end of gallery -->"
SIZE = 100
LAYERS = frozenset({"int8", "int8-static"})
TABLES = frozenset({"int8-tables"})


@dataclass(frozen=True)
class Entry:
    """One model, and what is expected: these 8 bits at least, training or not, or a refusal of the whole run."""

    build: Callable[[], onnx.ModelProto]
    trait: str
    made: frozenset[str] = frozenset()
    trained: bool = False
    refused: str = ""
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its builder."""
        return self.build.__name__.replace("_", " ")


ENTRIES = (
    Entry(architectures.wide_and_deep, "ids of [rows, 1], Gemm", LAYERS | TABLES, trained=True),
    Entry(architectures.deep_fm, "four fields in one input", LAYERS | TABLES, trained=True),
    Entry(architectures.dcn_v2, "cross layers beside an MLP", LAYERS, trained=True),
    Entry(architectures.masked_bag, "mean of a masked history", TABLES),
    Entry(architectures.gru4rec, "the operator GRU", TABLES),
    Entry(architectures.self_attention, "one head of attention", LAYERS | TABLES),
    Entry(
        architectures.two_tasks, "two columns of logits; `--output score:0 --sigmoid`", LAYERS, trained=True,
        settings={"output": "score:0", "sigmoid": True},
    ),
    Entry(architectures.two_tasks, "the same, no column named", refused="of several columns name one with --output"),
    Entry(architectures.trees, "thirty stumps, sums of leaves"),
    Entry(public_models.attention_pooling, "softmax over positions", LAYERS | TABLES),
    Entry(public_models.keras_ids, "a layer of each id's own", TABLES, trained=True),
    Entry(public_models.captured_by_a_branch, "an If that reads tensors by name", LAYERS),
    Entry(public_models.gemm_layers, "Gemm, transposed or not", LAYERS, trained=True),
    Entry(public_models.gemm_of_every_kind, "Gemm with alpha, beta, transA", LAYERS),
    Entry(public_models.before_opset_13, "axes as attributes, Constant nodes", TABLES, trained=True),
    Entry(public_models.in_halves, "fp16 inside", LAYERS, trained=True),
    Entry(public_models.narrow_layers, "16 hidden units", LAYERS, trained=True),
    Entry(public_models.listwise, "minus the mean of the request", refused="must not depend on the other rows"),
)  # fmt: skip


def task_of(entry: Entry, folder: Path, *, training: bool) -> Task:
    """With files of drawn rows."""
    model = entry.build()
    graph.write(model, folder / "full.onnx")
    settings = entry.settings or ({"output": "score:0"} if entry.build is architectures.two_tasks else {})
    one = entered(model, settings.get("output"), bool(settings.get("sigmoid")))  # type: ignore[arg-type]
    rows = {
        name: public_models.write_rows(folder / f"{name}.npz", one, seed=seed)
        for seed, name in enumerate(("training", "evaluation", "later"), start=5)
    }
    return Task(
        folder / "full.onnx", rows["evaluation"], folder / "out", 0.01, (SIZE,), widths=(0.25,),
        training=rows["training"] if training else None, report=rows["later"] if training else None,
        quantisers=("onnxruntime",), effort=Effort(0.05, 0.05, 4), **entry.settings,  # type: ignore[arg-type]
    )  # fmt: skip


def outcome(entry: Entry, folder: Path, *, training: bool) -> Result | str:
    """What came out, or the line that refuses the run."""
    try:
        return optimise(task_of(entry, folder, training=training), lambda words: None)
    except InputError as error:
        return str(error)


def line(entry: Entry, found: Result | str) -> str:
    """A line of the table."""
    if isinstance(found, str):
        return f"| {entry.name} | {entry.trait} | – | the run: {_cell(found)} | – |"
    made = [one.candidate.name for one in found.judged if one.candidate.name != FULL]
    reasons: dict[str, list[str]] = {}
    for name, why in found.left_out.items():
        if "was not made" not in why:  # its parent says why
            reasons.setdefault(_cell(why), []).append(name)
    left_out = ". ".join(f"{', '.join(f'`{name}`' for name in names)}: {why}" for why, names in reasons.items())
    one = next(one for one in found.judged if one.candidate.name == found.chosen)
    low, high = found.reported[found.chosen]["auc"].loss_interval
    gain = "none: the full model stays"
    if found.chosen != FULL:
        gain = f"`{found.chosen}`: {one.speed.by_size[SIZE].latency_ratio:.2f} of the latency, loss {low:+.2%} to {high:+.2%}"
    cells = [entry.name, entry.trait, ", ".join(f"`{name}`" for name in made) or "–", left_out or "–", gain]
    return "| " + " | ".join(cells) + " |"


def _cell(reason: str) -> str:
    """Without what is the same in every line."""
    for words in ("model: public: ", "model: trees: ", "model: "):
        reason = reason.removeprefix(words)
    return reason.split(": the JAX adapter knows")[0].replace("|", "/")


def table() -> str:
    """All lines."""
    lines = ["| model | trait | made | not made | chosen |", "|---|---|---|---|---|"]
    for entry in ENTRIES:
        with tempfile.TemporaryDirectory() as name:
            lines.append(line(entry, outcome(entry, Path(name), training=True)))
        print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def main() -> None:
    """Writes the table into the page, between its two marks."""
    parser = argparse.ArgumentParser(description="the gallery's table")
    parser.add_argument("--page", type=Path, required=True)
    page = parser.parse_args().page
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
