"""What trains: an adapter that the user may replace (torch, TensorFlow), and ours, which trains any ONNX graph with JAX.

The optimiser hands an adapter a graph whose constants are the starting point, and gets the same graph with other constants
back. So pruning, distillation and training from scratch are the same call.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx

from recmodel.variants import graph, verify
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError, first_line
from recmodel.variants.graph import Floats


@dataclass(frozen=True)
class Recipe:
    """How to train. What an adapter does not know of these it must refuse."""

    epochs: int = 3
    learning_rate: float = 3e-4
    rows_a_batch: int = 512
    # Decoupled decay of looked-up tables (Loshchilov and Hutter, 2019): pulls embeddings of rare ids to the average.
    table_decay: float = 20.0
    # Ids replaced by 0 (unknown) while training, so that the unknown id learns something.
    forget_ratio: float = 0.1
    # Share of the teacher's probabilities in the loss; the rest is the labels' (Hinton et al., 2015, at temperature 1).
    soft_ratio: float = 0.0
    # Constants that act as if in 8 bits while training.
    int8: tuple[str, ...] = ()
    # Weights of layers that are 0 at the start stay 0.
    keep_zeroes: bool = False
    seed: int = 7

    def with_values(self, **changes: object) -> Recipe:
        """The same with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, object]:
        """For hashes and reports."""
        return asdict(self)


Progress = Callable[[str], None]


class TrainingAdapter(Protocol):
    """Trains a graph's float constants."""

    def train(
        self, model: onnx.ModelProto, rows: Rows, recipe: Recipe, teacher: Floats | None, progress: Progress
    ) -> onnx.ModelProto:
        """``model`` with trained constants. ``teacher`` [rows] are probabilities; the same arguments give the same result."""
        ...


def load_adapter(name: str) -> TrainingAdapter:
    """``package.module:Class`` without arguments. Raises InputError where there is none."""
    module, _, attribute = name.partition(":")
    try:
        made: TrainingAdapter = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            "adapter", name, f"must be MODULE:CLASS that can be made without arguments ({error})"
        ) from error
    if not callable(getattr(made, "train", None)):
        raise InputError("adapter", name, "must have a method train(model, rows, recipe, teacher, progress)")
    return made


def source_of(adapter: object) -> str:
    """The class and the hash of its file: what another adapter, or an older one, has trained is not taken for its own."""
    kind = type(adapter)
    try:
        text = Path(inspect.getfile(kind)).read_bytes()
    except (TypeError, OSError):  # typed into a session, or compiled
        text = b""
    return f"{kind.__module__}:{kind.__qualname__} {hashlib.sha256(text).hexdigest()}"


# Looked up by id but not learned: what the server joins to a request. A graph says so by this suffix.
FIXED_SUFFIX = "_fixed"


def trainable(model: onnx.ModelProto) -> dict[str, Floats]:
    """Float constants of at least one dimension, without the fixed tables."""
    return {
        name: value.astype(np.float32)
        for name, value in graph.constants(model).items()
        if value.dtype == np.float32 and value.ndim >= 1 and not name.endswith(FIXED_SUFFIX)
    }


class JaxAdapter:
    """Adam on one core: the same seed gives the same weights on the same machine."""

    def __init__(self) -> None:
        # Read when JAX starts its CPU client: more threads would change the order of additions.
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

    def train(
        self, model: onnx.ModelProto, rows: Rows, recipe: Recipe, teacher: Floats | None, progress: Progress
    ) -> onnx.ModelProto:
        """See TrainingAdapter. Raises InputError where the graph has an operator without a JAX counterpart, or scores otherwise."""
        import jax
        import jax.numpy as jnp
        import optax

        from recmodel.variants.interpreter import Network

        _check_ids(rows)
        network = Network(model)
        _check_scores(model, network.logits, rows)
        start = {name: jnp.asarray(value) for name, value in trainable(model).items()}
        tables = network.tables() & set(start)
        int8 = frozenset(recipe.int8)
        decay = optax.masked(optax.add_decayed_weights(recipe.table_decay), {name: name in tables for name in start})
        optimiser = optax.chain(
            optax.scale_by_adam(eps=1e-8), decay, optax.scale_by_learning_rate(recipe.learning_rate)
        )
        alive = {n: v != 0.0 for n, v in start.items() if v.ndim == 2 and n not in tables} if recipe.keep_zeroes else {}
        hard = 1.0 - recipe.soft_ratio if teacher is not None else 1.0

        def loss(trained: dict[str, object], batch: dict[str, object]) -> object:
            given = {name: value for name, value in batch.items() if name not in ("label", "teacher")}
            logits = network.logits(trained, given, int8)
            target = hard * batch["label"] + (1.0 - hard) * batch["teacher"]  # type: ignore[operator]
            return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, target))

        @jax.jit  # type: ignore[untyped-decorator]
        def step(trained: dict[str, object], state: object, batch: dict[str, object]) -> tuple[object, object, object]:
            value, slopes = jax.value_and_grad(loss)(trained, batch)
            updates, state = optimiser.update(slopes, state, trained)
            changed = optax.apply_updates(trained, updates)
            return changed | {name: changed[name] * kept for name, kept in alive.items()}, state, value

        generator = np.random.default_rng(recipe.seed)
        ids = [name for name, value in rows.columns.items() if value.dtype.kind == "i" and value.ndim == 1]
        state, values, size = optimiser.init(start), start, min(recipe.rows_a_batch, len(rows))
        for epoch in range(1, recipe.epochs + 1):
            order, losses = generator.permutation(len(rows)), []
            for first in range(0, len(order) - size + 1, size):
                part = order[first : first + size]
                batch = {name: value[part] for name, value in rows.columns.items()}
                for name in ids:
                    batch[name] = np.where(generator.random(size) < recipe.forget_ratio, 0, batch[name])
                batch["label"] = rows.label[part]
                batch["teacher"] = teacher[part] if teacher is not None else batch["label"]
                values, state, value = step(values, state, batch)
                losses.append(value)
            mean = float(np.mean([float(value) for value in losses]))
            progress(f"epoch {epoch}/{recipe.epochs}: loss {mean:.4f}")
            if not np.isfinite(mean):
                raise InputError("training", f"epoch {epoch}: loss {mean}", "must stay finite: lower the learning rate")
        made = graph.with_constants(model, {name: np.asarray(value) for name, value in values.items()})
        _check_scores(made, Network(made).logits, rows)
        return made


def _check_ids(rows: Rows) -> None:
    """JAX has whole numbers of 32 bits: a larger id would silently become another one."""
    for name, values in rows.columns.items():
        if values.dtype.kind not in "iu":
            continue
        for value in (values.min(), values.max()):
            if not -(2**31) <= value < 2**31:
                raise InputError(f"training.{name}", value, "must lie within 32 bits for the JAX adapter")


def _check_scores(model: onnx.ModelProto, logits: Callable[..., object], rows: Rows) -> None:
    """Raises InputError where the JAX function does not score real rows as onnxruntime scores ``model``."""
    made = {name for node in model.graph.node for name in node.output}
    some = verify.some_rows(rows.columns)
    inner = [name for name in some if name in made]
    expected = graph.scores(graph.with_inner_inputs(model, inner), some)
    try:
        found = np.exp(-np.logaddexp(0.0, -np.asarray(logits({}, some), np.float64)))
        why = verify.gap(expected, found.astype(np.float32))
    except InputError:
        raise
    except Exception as error:  # JAX has a kind for each shape that does not fit
        why = first_line(error)
    if why is not None:
        raise InputError("model", model.graph.name, f"cannot be trained: as a JAX function, {why}")


def recipe_of(settings: dict[str, object]) -> Recipe:
    """A recipe from a JSON object. Raises InputError on an unknown field."""
    strange = sorted(set(settings) - {entry.name for entry in fields(Recipe)})
    if strange:
        raise InputError(f"recipe.{strange[0]}", settings[strange[0]], f"is none of {[e.name for e in fields(Recipe)]}")
    return Recipe(**settings)  # type: ignore[arg-type]
