"""Small recommenders and data for the optimiser's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from recmodel.variants import designs
from recmodel.variants.designs import Side

USERS, ITEMS, GENRES = 60, 40, 6


def sides(seed: int = 3) -> tuple[Side, Side]:
    """Users with two numbers, items with three and a bag of genres."""
    generator = np.random.default_rng(seed)
    bag = generator.random((ITEMS, GENRES)).astype(np.float32)
    return (
        Side("user", generator.standard_normal((USERS, 2)).astype(np.float32)),
        Side("item", generator.standard_normal((ITEMS, 3)).astype(np.float32), bag / bag.sum(axis=1, keepdims=True)),
    )


def dlrm(top: tuple[int, ...] = (64, 48), seed: int = 3) -> onnx.ModelProto:
    """An untrained one whose last layer is large enough for its scores to differ."""
    return lively(designs.dlrm(*sides(), embedding=8, top=top, seed=seed), seed)


def two_tower(seed: int = 3) -> onnx.ModelProto:
    """The same with towers."""
    return lively(designs.two_tower(*sides(), embedding=8, tower=(32, 8), seed=seed), seed)


def lively(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """With biases and linear terms that are not zero, and larger embeddings: nothing is equal by accident."""
    from recmodel.variants import graph

    generator = np.random.default_rng(seed + 1)
    changed = {}
    for name, value in graph.constants(model).items():
        if value.dtype == np.float32 and not name.endswith("_fixed"):
            changed[name] = (
                value * 4
                if name.endswith("_table")
                else value.astype(np.float64) + 0.1 * generator.standard_normal(value.shape)
            )
    return graph.with_constants(model, {name: value.astype(np.float32) for name, value in changed.items()})


def ids(rows: int, seed: int = 5) -> dict[str, np.ndarray]:
    """Columns of the inputs."""
    generator = np.random.default_rng(seed)
    return {"user": generator.integers(0, USERS, rows), "item": generator.integers(0, ITEMS, rows)}


def write_rows(path: Path, model: onnx.ModelProto, rows: int, seed: int = 5, **more: np.ndarray) -> Path:
    """Rows whose labels follow the model's own scores, as an evaluation file."""
    from recmodel.variants import graph

    columns = ids(rows, seed)
    score = graph.scores(model, columns)
    drawn = np.random.default_rng(seed).random(rows) < np.clip((score - score.mean()) * 4 + 0.5, 0.02, 0.98)
    np.savez(path, **{**columns, "label": drawn.astype(np.int8), "group": columns["user"], **more})
    return path
