"""The film ratings as arrays: dense ids, the label, and features that know nothing of their own row or of the future.

The global time cut is the only split: a random one would let the model read tomorrow's taste of the same user. Every
smoothed mean is prequential: that of a training row counts only ratings strictly before it, that of a row after the cut
counts only the training rows. So a feature never contains its own label, which would make training look perfect and the
validation poor.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

LIKED_RATING = 8
# Ratings of weight `PRIOR_COUNT` at the global mean are mixed into each mean, so that one rating does not decide it.
PRIOR_COUNT = 5.0


@dataclass(frozen=True)
class Ratings:
    """Ratings in order of time. Users and items are dense ids from 1; 0 stands for one never seen in training."""

    user: Ints
    item: Ints
    liked: Floats
    user_stats: Floats  # [rows, 2]: smoothed share of likes minus the global one, log1p(ratings so far)
    item_stats: Floats  # [rows, 2]: the same of the item


@dataclass(frozen=True)
class Dataset:
    """Training and validation rows, and the tables that a server looks its features up in (as of the cut)."""

    train: Ratings
    valid: Ratings
    user_table: Floats  # [users + 1, 2], row 0: unknown
    item_table: Floats  # [items + 1, 4]: stats of the item, year in decades after 2000, year known
    genres: Floats  # [items + 1, genres], each row sums to 1 (0 where none is known)
    genre_names: tuple[str, ...]


class _RunningMeans:
    """Likes of each id, counted in order of time."""

    def __init__(self, size: int, mean: float) -> None:
        self._likes = np.zeros(size)
        self._count = np.zeros(size)
        self._mean = mean

    def stats(self) -> Floats:
        """[ids, 2] as of now: smoothed share of likes minus the global one; log1p of the count. Id 0 stays neutral."""
        share = (self._likes + PRIOR_COUNT * self._mean) / (self._count + PRIOR_COUNT) - self._mean
        return np.stack([share, np.log1p(self._count)], axis=1).astype(np.float32)

    def walk(self, ids: Ints, liked: Floats) -> Floats:
        """[rows, 2]: the stats of each row's id just before that row; the row is counted afterwards."""
        rows = np.empty((len(ids), 2), dtype=np.float32)
        for row, (key, like) in enumerate(zip(ids, liked, strict=True)):
            count = self._count[key]
            share = (self._likes[key] + PRIOR_COUNT * self._mean) / (count + PRIOR_COUNT) - self._mean
            rows[row] = share, np.log1p(count)
            if key != 0:
                self._likes[key] += like
                self._count[key] += 1.0
        return rows


def _dense(train: Ints, every: Ints) -> tuple[Ints, int]:
    """Ids 1, 2, ... for the values seen in ``train`` (sorted), 0 for others; and how many ids there are with 0."""
    known = np.unique(train)
    place = np.clip(np.searchsorted(known, every), 0, len(known) - 1)
    return np.where(known[place] == every, place + 1, 0).astype(np.int64), len(known) + 1


def _read_items(path: Path) -> dict[int, tuple[int | None, list[str]]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return {
            int(row["item"]): (
                int(row["year"]) if row["year"].isdigit() else None,
                [genre for genre in row["genres"].split("|") if genre],
            )
            for row in csv.DictReader(file)
        }


def load(folder: Path, *, train_share: float = 0.9, rows: int | None = None) -> Dataset:
    """Reads the two files in ``folder``; the first ``train_share`` of the ratings by time train, the rest validate.

    ``rows`` keeps only the earliest ratings (for tests). Raises ValueError when nothing is left on one side of the cut.
    """
    with gzip.open(folder / "movietweetings_ratings.csv.gz", "rt", encoding="utf-8") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1, dtype=np.int64)
    table = table[np.argsort(table[:, 3], kind="stable")][:rows]
    cut = int(len(table) * train_share)
    if not 0 < cut < len(table):
        raise ValueError(f"a cut at {train_share} of {len(table)} ratings leaves one side empty")
    user, users = _dense(table[:cut, 0], table[:, 0])
    item, items = _dense(table[:cut, 1], table[:, 1])
    liked = (table[:, 2] >= LIKED_RATING).astype(np.float32)
    mean = float(liked[:cut].mean())
    user_means, item_means = _RunningMeans(users, mean), _RunningMeans(items, mean)
    train = Ratings(
        user[:cut],
        item[:cut],
        liked[:cut],
        user_means.walk(user[:cut], liked[:cut]),
        item_means.walk(item[:cut], liked[:cut]),
    )
    user_table, item_stats = user_means.stats(), item_means.stats()
    valid = Ratings(user[cut:], item[cut:], liked[cut:], user_table[user[cut:]], item_stats[item[cut:]])

    about = _read_items(folder / "movietweetings_items.csv.gz")
    known = np.unique(table[:cut, 1])
    names = tuple(sorted({genre for key in known for genre in about.get(int(key), (None, []))[1]}))
    place = {name: index for index, name in enumerate(names)}
    genres = np.zeros((items, len(names)), dtype=np.float32)
    years = np.zeros((items, 2), dtype=np.float32)
    for index, key in enumerate(known, start=1):
        year, own = about.get(int(key), (None, []))
        if own:
            genres[index, [place[name] for name in own]] = 1.0 / len(own)
        if year is not None:
            years[index] = (year - 2000) / 10.0, 1.0
    return Dataset(train, valid, user_table, np.hstack([item_stats, years]), genres, names)


def area_under_curve(score: NDArray[np.floating], liked: Floats) -> float:
    """Chance that a liked row scores above one not liked (ties count half): Mann-Whitney's U over its maximum, 0..1."""
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    good = int(liked.sum())
    bad = len(liked) - good
    if good == 0 or bad == 0:
        raise ValueError("AUC needs rows of both kinds")
    return float((ranks[liked > 0].sum() - good * (good + 1) / 2.0) / (good * bad))


def baselines(data: Dataset) -> dict[str, float]:
    """Validation AUC of what a model must beat; each knows the training rows only."""
    user, item = data.valid.user_stats, data.valid.item_stats
    return {
        "popularity of the item": area_under_curve(item[:, 1], data.valid.liked),
        "mean of the user": area_under_curve(user[:, 0], data.valid.liked),
        "mean of the item": area_under_curve(item[:, 0], data.valid.liked),
        "mean of the user + mean of the item": area_under_curve(user[:, 0] + item[:, 0], data.valid.liked),
    }
