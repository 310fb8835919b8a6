"""The candidates: each is one step away from another one, so that a technique's own gain stands apart from the rest's."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from recmodel.variants.errors import InputError
from recmodel.variants.quantise import Int8
from recmodel.variants.training import Recipe, recipe_of

FULL = "full"


@dataclass(frozen=True)
class Candidate:
    """What is done to ``parent``: at most one of keep_ratio, zero_ratio, design; then training; then 8 bits."""

    name: str
    technique: str
    parent: str | None = None
    keep_ratio: float | None = None
    zero_ratio: float | None = None
    design: str | None = None
    recipe: Recipe | None = None
    distilled: bool = False
    int8: Int8 | None = None
    # Train with the layers that become 8 bits acting as if they were: for where rounding alone loses too much.
    retrained_int8: bool = False

    def as_dict(self) -> dict[str, object]:
        """For hashes and the result file."""
        return asdict(self)


@dataclass(frozen=True)
class Recipes:
    """How each kind of candidate trains."""

    fine_tune: Recipe
    # For a full-size model, which the labels would over-fit: the teacher's probabilities only, in small steps.
    gentle: Recipe
    from_scratch: Recipe
    by_design: dict[str, Recipe]


def read_recipes(path: Path | None, seed: int) -> Recipes:
    """From a JSON object ``{"fineTune": {...}, "fromScratch": {...}, "designs": {NAME: {...}}}``; what it lacks has defaults.

    ``full`` may stand there too, for who trains the full model.
    """
    found: dict[str, object] = {}
    if path is not None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError("recipes", path, f"must be a JSON file ({error})") from error
        strange = (
            sorted(set(found) - {"full", "fineTune", "fromScratch", "designs"}) if isinstance(found, dict) else ["."]
        )
        if strange:
            raise InputError(f"recipes.{strange[0]}", path, "is none of full, fineTune, fromScratch, designs")
    from_scratch = recipe_of({"seed": seed} | _object(found, "fromScratch"))
    tune = recipe_of({**asdict(from_scratch), "epochs": 2} | _object(found, "fineTune"))
    gentle = tune.with_values(epochs=1, learning_rate=tune.learning_rate / 5, table_decay=0.0, soft_ratio=1.0)
    designs = _object(found, "designs")
    return Recipes(
        tune,
        gentle,
        from_scratch,
        {name: recipe_of({**asdict(from_scratch), **_object(designs, name)}) for name in designs},
    )


def _object(parent: dict[str, object], name: str) -> dict[str, object]:
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise InputError(f"recipes.{name}", value, "must be an object")
    return value


# Where the full model is in halves, which onnxruntime's CPU kernels turn into floats and back: every candidate is in floats.
IN_FLOATS = Candidate("fp32", "fp32 in place of fp16", FULL)

# What needs no training data: 8 bits in several ways, by the package that rounds.
_EIGHT_BITS = {
    "onnxruntime": [
        Candidate("int8", "dynamic int8, all layers", FULL, int8=Int8()),
        Candidate("int8-wide", "dynamic int8, wide hidden layers", FULL, int8=Int8(layers="wide")),
        Candidate("int8-tables", "int8 tables (Gather) only", FULL, int8=Int8(layers="none", tables=True)),
        Candidate(
            "int8-wide-tables",
            "dynamic int8, wide hidden layers and tables, where any",
            FULL,
            int8=Int8(layers="wide", tables=True),
        ),
        Candidate("int8-static", "static int8, all layers, calibrated", FULL, int8=Int8("static")),
        Candidate("int8-static-wide", "static int8, wide hidden layers", FULL, int8=Int8("static", "wide")),
    ],
    "nncf": [
        Candidate("nncf-int8", "static int8 by NNCF, all layers", FULL, int8=Int8("nncf")),
        Candidate(
            "nncf-int8-hidden", "static int8 by NNCF, all but the first layers", FULL, int8=Int8("nncf", "hidden")
        ),
    ],
}


def installed() -> tuple[str, ...]:
    """The quantisers that can be imported here: onnxruntime, and NNCF where the extra ``openvino`` is."""
    return tuple(name for name in _EIGHT_BITS if importlib.util.find_spec(name) is not None)


def untrained(quantisers: Sequence[str]) -> list[Candidate]:
    """8 bits by each of ``quantisers``. Raises InputError where one is unknown or not installed."""
    for name in quantisers:
        if name not in _EIGHT_BITS:
            raise InputError("quantisers", name, f"must be one of {', '.join(_EIGHT_BITS)}")
        if name not in installed():
            raise InputError(
                "quantisers", name, "is not installed: pip install '.[openvino]', or hack/venv.sh openvino"
            )
    return [candidate for name in quantisers for candidate in _EIGHT_BITS[name]]


def trained(recipes: Recipes, widths: Sequence[float], designs: Sequence[str], soft_ratio: float) -> list[Candidate]:
    """Pruning, distillation, light designs, and all together. A candidate stands after its parent."""
    tune, soft = recipes.fine_tune, recipes.fine_tune.with_values(soft_ratio=soft_ratio)
    plan = [
        Candidate(
            "sparse-80", "unstructured sparsity 80 %, fine-tuned on full", FULL, zero_ratio=0.8,
            recipe=recipes.gentle.with_values(keep_zeroes=True), distilled=True,
        )
    ]  # fmt: skip
    for width in widths:
        percent = f"{width * 100:.0f}"
        words = f"{percent} % of the units"
        plan += [
            Candidate(f"pruned-{percent}-raw", f"{words}, not fine-tuned", FULL, keep_ratio=width),
            Candidate(f"pruned-{percent}", f"{words}, fine-tuned", FULL, keep_ratio=width, recipe=tune),
            Candidate(
                f"pruned-{percent}-distilled", f"{words}, distilled from full", FULL, keep_ratio=width, recipe=soft,
                distilled=True,
            ),
            Candidate(
                f"pruned-{percent}-distilled-int8", f"all together: {words}, distilled, int8",
                f"pruned-{percent}-distilled", int8=Int8(layers="wide", tables=True),
            ),
        ]  # fmt: skip
    for name in designs:
        recipe = recipes.by_design.get(name, recipes.from_scratch)
        plan += [
            Candidate(name, "light design, trained from scratch", None, design=name, recipe=recipe),
            Candidate(
                f"{name}-distilled", "light design, distilled from full", None, design=name,
                recipe=recipe.with_values(soft_ratio=soft_ratio), distilled=True,
            ),
            Candidate(
                f"{name}-distilled-int8", "light design, distilled, int8", f"{name}-distilled",
                int8=Int8(layers="wide", tables=True),
            ),
        ]  # fmt: skip
    return plan


def retrained(candidate: Candidate, recipes: Recipes) -> Candidate:
    """The same 8 bits, but the model gets used to them first."""
    return Candidate(
        f"{candidate.name}-retrained",
        f"{candidate.technique}, retrained",
        candidate.parent,
        recipe=recipes.gentle,
        distilled=True,
        int8=candidate.int8,
        retrained_int8=True,
    )
