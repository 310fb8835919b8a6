"""A made-up click data set and a DLRM in MLPerf's shape, for speed at realistic width. Its accuracy says nothing of real users.

Shape of MLPerf's recommendation benchmark (DLRM on Criteo): 13 numbers and 26 ids a row, bottom MLP 512-256-d, all dot products
between the 27 vectors, top MLP 1024-1024-512-256-1. Smaller than there: the vectors (64 instead of 128) and the tables (about
25,000 rows instead of some hundred million), so that it fits a laptop; the work of a row is about the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from recmodel.variants.designs import Builder

DENSE, SPARSE, EMBEDDING = 13, 26, 64
BOTTOM, TOP = (512, 256, EMBEDDING), (1024, 1024, 512, 256)
# From a handful (weekday, device) to thousands (article, user group): as uneven as Criteo's.
CARDINALITIES = tuple(int(size) for size in np.geomspace(4, 6_000, SPARSE))
FACTORS = 6


def _zipf(generator: np.random.Generator, size: int, rows: int) -> NDArray[np.int64]:
    chance = 1.0 / np.arange(1, size + 1)
    return generator.choice(size, rows, p=chance / chance.sum())


def prepare(out: Path, *, rows: int, evaluation_rows: int, seed: int) -> tuple[Path, Path, Path]:
    """Writes synthetic-training, synthetic and synthetic-later: ids of popular and rare things, clicks from pairwise tastes and noise."""
    generator = np.random.default_rng(seed)
    every = rows + 2 * evaluation_rows
    sparse = np.stack([_zipf(generator, size, every) for size in CARDINALITIES], axis=1)
    dense = generator.standard_normal((every, DENSE)).astype(np.float32)
    logit = dense @ generator.normal(0.0, 0.25, DENSE) + np.maximum(dense[:, 0] * dense[:, 1], 0.0) - 1.4
    vectors = []
    for column, size in enumerate(CARDINALITIES):
        logit += generator.normal(0.0, 0.25, size)[sparse[:, column]]
        vectors.append(generator.normal(0.0, 0.28, (size, FACTORS))[sparse[:, column]])
    total = np.sum(vectors, axis=0)
    logit += 0.5 * ((total**2).sum(axis=1) - np.sum([(v**2).sum(axis=1) for v in vectors], axis=0))
    clicked = (generator.random(every) < 1.0 / (1.0 + np.exp(-logit))).astype(np.int8)
    paths = out / "synthetic-training.npz", out / "synthetic.npz", out / "synthetic-later.npz"
    parts = slice(rows), slice(rows, rows + evaluation_rows), slice(rows + evaluation_rows, None)
    for path, part in zip(paths, parts, strict=True):
        np.savez(path, sparse=sparse[part], dense=dense[part], label=clicked[part])
    return paths


def dlrm(seed: int, bottom: tuple[int, ...] = BOTTOM, top: tuple[int, ...] = TOP) -> onnx.ModelProto:
    """The untrained graph: inputs ``sparse`` [rows, 26] and ``dense`` [rows, 13]."""
    build = Builder(np.random.default_rng(seed))
    starts = np.concatenate([[0], np.cumsum(CARDINALITIES)[:-1]]).astype(np.int64)
    row = build.node("Add", ["sparse", build.constant("starts", starts)], "table_row")
    table = build.normal("sparse_table", sum(CARDINALITIES), bottom[-1], 0.1)
    found = build.node("Gather", [table, row], "sparse_vectors", axis=0)
    numbers = build.mlp("dense", "bottom", DENSE, bottom)
    one = build.node("Unsqueeze", [numbers, build.constant("middle", np.array([1], np.int64))], "dense_vector")
    vectors = build.node("Concat", [one, found], "vectors", axis=1)
    turned = build.node("Transpose", [vectors], "vectors_turned", perm=[0, 2, 1])
    dots = build.node("MatMul", [vectors, turned], "dots")
    fields = SPARSE + 1
    square = build.constant("square", np.array([-1, fields * fields], np.int64))
    pairs = np.flatnonzero(np.triu(np.ones((fields, fields)), 1)).astype(np.int64)
    flat = build.node("Reshape", [dots, square], "dots_flat")
    upper = build.node("Gather", [flat, build.constant("pairs", pairs)], "dots_upper", axis=1)
    x = build.node("Concat", [numbers, upper], "x", axis=1)
    deep = build.mlp(x, "top", bottom[-1] + len(pairs), top)
    inputs = [
        helper.make_tensor_value_info("sparse", TensorProto.INT64, ["rows", SPARSE]),
        helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["rows", DENSE]),
    ]
    return build.model(build.dense(deep, "last", top[-1], 1, last=True), inputs, "dlrm_mlperf")
