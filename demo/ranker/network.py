"""The ranker's network in plain numpy: forward, gradients, Adam. Small enough to read; onnxruntime runs it afterwards.

One row is one (user, item) pair. Embeddings of both, their element products (the interaction) and a few smoothed means
go through two hidden layers; a linear term of the means beside them makes the simple answer easy to keep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dataset import Dataset, Floats, Ints, Ratings
from numpy.typing import NDArray

Parameters = dict[str, Floats]
USER_STATS, ITEM_STATS = 2, 4


@dataclass(frozen=True)
class Shape:
    """Sizes that decide the cost of a row: about ``2 * (inputs * hidden[0] + hidden[0] * hidden[1])`` operations."""

    embedding: int = 16
    hidden: tuple[int, int] = (1024, 512)

    @property
    def inputs(self) -> int:
        return 3 * self.embedding + USER_STATS + ITEM_STATS


@dataclass(frozen=True)
class Training:
    """How to train: chosen on three earlier tenths of the ratings (``train.py --tune``), not on the validation rows."""

    seed: int = 7
    rows_a_batch: int = 512
    learning_rate: float = 3e-4
    embedding_decay: float = 20.0  # pulls embeddings of rarely seen ids to zero, a user's to the average user
    forget_ratio: float = 0.1  # rows whose user (and, apart from that, item) is replaced by "unknown"


def initial(data: Dataset, shape: Shape, generator: np.random.Generator) -> Parameters:
    """He's initialisation for the hidden layers, small embeddings, and a linear term of zero."""

    def normal(rows: int, columns: int, deviation: float) -> Floats:
        return (generator.standard_normal((rows, columns)) * deviation).astype(np.float32)

    first, second = shape.hidden
    return {
        "user": normal(len(data.user_table), shape.embedding, 0.05),
        "item": normal(len(data.item_table), shape.embedding, 0.05),
        "genre": normal(data.genres.shape[1], shape.embedding, 0.3),
        "w1": normal(shape.inputs, first, (2.0 / shape.inputs) ** 0.5),
        "b1": np.zeros(first, np.float32),
        "w2": normal(first, second, (2.0 / first) ** 0.5),
        "b2": np.zeros(second, np.float32),
        "w3": normal(second, 1, 0.1 * second**-0.5),
        "linear": np.zeros((USER_STATS + ITEM_STATS, 1), np.float32),
        "b3": np.zeros(1, np.float32),
    }


def _inputs(p: Parameters, genres: Floats, user: Ints, item: Ints, stats: Floats) -> tuple[Floats, Floats, Floats]:
    of_user = p["user"][user]
    of_item = p["item"][item] + genres[item] @ p["genre"]
    return np.hstack([of_user, of_item, of_user * of_item, stats]), of_user, of_item


def logits(p: Parameters, genres: Floats, user: Ints, item: Ints, stats: Floats) -> Floats:
    """[rows]: log odds that the user likes the item. ``stats`` is [rows, 6]: the user's two, then the item's four."""
    x, _, _ = _inputs(p, genres, user, item, stats)
    first = np.maximum(x @ p["w1"] + p["b1"], 0.0)
    second = np.maximum(first @ p["w2"] + p["b2"], 0.0)
    odds: Floats = (second @ p["w3"] + stats @ p["linear"] + p["b3"])[:, 0]
    return odds


def gradients(p: Parameters, genres: Floats, user: Ints, item: Ints, stats: Floats, liked: Floats) -> Parameters:
    """Gradients of the mean cross entropy of these rows, by parameter."""
    x, of_user, of_item = _inputs(p, genres, user, item, stats)
    first = np.maximum(x @ p["w1"] + p["b1"], 0.0)
    second = np.maximum(first @ p["w2"] + p["b2"], 0.0)
    out = second @ p["w3"] + stats @ p["linear"] + p["b3"]
    d_out = ((1.0 / (1.0 + np.exp(-out))) - liked[:, None]) / np.float32(len(liked))
    d_second = (d_out @ p["w3"].T) * (second > 0)
    d_first = (d_second @ p["w2"].T) * (first > 0)
    d_x = d_first @ p["w1"].T
    width = of_user.shape[1]
    d_product = d_x[:, 2 * width : 3 * width]
    d_user = d_x[:, :width] + d_product * of_item
    d_item = d_x[:, width : 2 * width] + d_product * of_user
    result = {
        "user": np.zeros_like(p["user"]),
        "item": np.zeros_like(p["item"]),
        "genre": genres[item].T @ d_item,
        "w1": x.T @ d_first,
        "b1": d_first.sum(axis=0),
        "w2": first.T @ d_second,
        "b2": d_second.sum(axis=0),
        "w3": second.T @ d_out,
        "linear": stats.T @ d_out,
        "b3": d_out.sum(axis=0),
    }
    np.add.at(result["user"], user, d_user)
    np.add.at(result["item"], item, d_item)
    return result


class Adam:
    """Adam (Kingma and Ba, 2015) with decoupled decay of the embeddings (Loshchilov and Hutter, 2019)."""

    def __init__(self, p: Parameters, training: Training) -> None:
        self._first = {name: np.zeros_like(value) for name, value in p.items()}
        self._second = {name: np.zeros_like(value) for name, value in p.items()}
        self._training = training
        self._steps = 0

    def step(self, p: Parameters, gradient: Parameters) -> None:
        """Changes ``p`` in place."""
        self._steps += 1
        rate = self._training.learning_rate * (1 - 0.999**self._steps) ** 0.5 / (1 - 0.9**self._steps)
        for name, slope in gradient.items():
            first, second = self._first[name], self._second[name]
            first += np.float32(0.1) * (slope - first)
            second += np.float32(0.001) * (slope * slope - second)
            p[name] -= np.float32(rate) * first / (np.sqrt(second) + np.float32(1e-8))
            if name in ("user", "item", "genre"):
                p[name] *= np.float32(1 - self._training.learning_rate * self._training.embedding_decay)


def stats_of(rows: Ratings, data: Dataset) -> Floats:
    """[rows, 6]: the means before each row, and what is fixed about the item (its year)."""
    return np.hstack([rows.user_stats, rows.item_stats, data.item_table[rows.item, 2:]])


def epoch(
    p: Parameters, adam: Adam, data: Dataset, rows: Ratings, training: Training, generator: np.random.Generator
) -> None:
    """One pass over ``rows`` in random order, changing ``p`` in place."""
    order: NDArray[np.int64] = generator.permutation(len(rows.liked))
    stats = stats_of(rows, data)
    for start in range(0, len(order), training.rows_a_batch):
        part = order[start : start + training.rows_a_batch]
        user = np.where(generator.random(len(part)) < training.forget_ratio, 0, rows.user[part])
        item = np.where(generator.random(len(part)) < training.forget_ratio, 0, rows.item[part])
        adam.step(p, gradients(p, data.genres, user, item, stats[part], rows.liked[part]))
