"""How good a model's scores are, with intervals: AUC, log loss, NDCG@10, and the loss against a baseline on the same rows.

Resampling draws whole groups (users): the rows of one user are alike, and drawing them singly would promise too much. The same
draws serve every candidate, so that a loss is the difference of two scores of the same rows (a paired bootstrap).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError
from recmodel.variants.graph import Floats

METRICS = {"auc": "AUC", "log_loss": "log loss", "ndcg": "NDCG@10"}
BEST_OF = 10
RESAMPLES = 1000
# Of whole groups: a percentile interval of fewer is too narrow.
SMALLEST_GROUPS = 30
# Resamples at a time: bounds the memory to some 50 floats a row.
_CHUNK = 50
_SMALLEST = 1e-7

Doubles = NDArray[np.float64]


CHANCE = "chance"
CHANCE_AUC = 0.5


@dataclass(frozen=True)
class Lift:
    """The full model's lead over a simple baseline with its 95 % interval, and the share of it that is lost with its own.

    1 % of an AUC of 0.77 is more than a lead of 0.0067: a budget of the lead protects it, one of the AUC does not. The loss is
    None where the lead is not above 0 with its whole interval: then there is nothing to lose.
    """

    lead: float
    lead_interval: tuple[float, float]
    loss_ratio: float | None
    loss_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Measured:
    """A metric's value, its 95 % interval, and the loss against the full model relative to its value (above 0: worse) with its own.

    ``lift`` is the same relative to the full model's lead; None where the metric has no baseline.
    """

    value: float
    interval: tuple[float, float]
    loss_ratio: float
    loss_interval: tuple[float, float]
    lift: Lift | None = None


def is_probability(score: Floats) -> bool:
    """Whether all lie between 0 and 1: only then there is a log loss."""
    return bool(score.min() >= 0.0 and score.max() <= 1.0)


def check_scores(score: Floats, field: str, metric: str) -> None:
    """Raises InputError unless all scores are finite and not all are equal; for the log loss they must be probabilities."""
    wrong = ~np.isfinite(score)
    if wrong.any():
        raise InputError(
            f"{field}.score", f"{score[wrong][0]} in row {int(np.argmax(wrong))}", "must be finite in every row"
        )
    if score.min() == score.max():
        raise InputError(f"{field}.score", score[0], "is the same in every row: this is no recommender")
    if metric == "log_loss" and not is_probability(score):
        outside = score[(score < 0.0) | (score > 1.0)][0]
        rule = "must be a probability between 0 and 1, as log loss needs: give --sigmoid where it is a logit, or --metric auc"
        raise InputError(f"{field}.score", outside, rule)


def check_groups(rows: Rows, metric: str, field: str) -> None:
    """Raises InputError where too few groups have rows of each kind: one group gives an interval of no width at all."""
    _, group = np.unique(rows.group, return_inverse=True)
    liked = np.bincount(group, rows.label) > 0
    disliked = np.bincount(group, 1.0 - rows.label) > 0
    kinds = {"label 0": disliked, "label 1": liked} if metric != "ndcg" else {"both labels": liked & disliked}
    for kind, found in kinds.items():
        count = int(found.sum())
        if count < SMALLEST_GROUPS:
            words = f"{count} group{'s' * (count != 1)} with {kind}"
            rule = f"must be at least {SMALLEST_GROUPS}: resampled from fewer, an interval of {METRICS[metric]} says nothing"
            raise InputError(f"{field}.group", words, rule)


def _interval(values: Doubles) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


class Judge:
    """Judges scores of the rows that it was made with; the first scores are the full model's."""

    def __init__(self, rows: Rows, baseline: Floats, seed: int, resamples: int = RESAMPLES) -> None:
        self._label = rows.label.astype(np.float64)
        _, self._group = np.unique(rows.group, return_inverse=True)
        self._groups = int(self._group.max()) + 1
        self._seed, self._resamples = seed, resamples
        self._ranked = self._groups_to_rank()
        self._baseline = self._values(baseline)
        self._simple = self._simple_values(rows.baseline)

    def judge(self, score: Floats) -> dict[str, Measured]:
        """Each metric of ``score`` [rows]; NDCG is left out where no group has rows of both kinds, log loss without probabilities."""
        values = self._values(score)
        return {name: self._measured(name, *values[name]) for name in values if name in self._baseline}

    def _measured(self, name: str, value: float, draws: Doubles) -> Measured:
        sign, (base, base_draws) = -1.0 if name == "log_loss" else 1.0, self._baseline[name]
        loss, losses = sign * (base - value), sign * (base_draws - draws)
        found = Measured(value, _interval(draws), loss / base, _interval(losses / base_draws))
        if name not in self._simple:
            return found
        simple, simple_draws = self._simple[name]
        lead, leads = sign * (base - simple), sign * (base_draws - simple_draws)
        lead_interval = _interval(leads)
        if lead_interval[0] <= 0.0:
            return replace(found, lift=Lift(lead, lead_interval, None, None))
        # A draw in which the full model has no lead counts as one in which all of it is lost.
        shares = np.where(leads > 0.0, losses / np.where(leads > 0.0, leads, 1.0), 1.0 * (losses != 0.0))
        return replace(found, lift=Lift(lead, lead_interval, loss / lead, _interval(shares)))

    def _simple_values(self, score: Floats | None) -> dict[str, tuple[float, Doubles]]:
        """Of the baseline's column; without one, AUC alone has one: that of chance."""
        if score is None:
            return {"auc": (CHANCE_AUC, np.full(self._resamples, CHANCE_AUC))}
        return self._values(score)

    def _values(self, score: Floats) -> dict[str, tuple[float, Doubles]]:
        """The point value by scikit-learn, and the value of each resample."""
        from sklearn.metrics import log_loss, roc_auc_score

        exact = np.clip(score.astype(np.float64), _SMALLEST, 1.0 - _SMALLEST)
        row_loss = -np.where(self._label > 0, np.log(exact), np.log1p(-exact))
        group_ndcg = self._ndcg(score)
        auc, loss, ndcg = [], [], []
        for draw in self._draws():
            weight = draw[:, self._group]
            auc.append(weighted_auc(score, self._label, weight))
            loss.append(weight @ row_loss / weight.sum(axis=1))
            if self._ranked.size:
                part = draw[:, self._ranked]
                ndcg.append(part @ group_ndcg / np.maximum(part.sum(axis=1), 1e-12))
        found = {
            "auc": (float(roc_auc_score(self._label, score)), np.concatenate(auc)),
            "log_loss": (float(log_loss(self._label, exact)), np.concatenate(loss)),
        }
        if not is_probability(score):
            del found["log_loss"]
        if ndcg:
            found["ndcg"] = (float(group_ndcg.mean()), np.concatenate(ndcg))
        return found

    def _draws(self) -> Iterator[Doubles]:
        """[resamples, groups]: how often each group was drawn; the same ones at each call."""
        generator = np.random.default_rng(self._seed)
        for first in range(0, self._resamples, _CHUNK):
            size = min(_CHUNK, self._resamples - first)
            yield generator.multinomial(self._groups, np.full(self._groups, 1.0 / self._groups), size).astype(
                np.float64
            )

    def _groups_to_rank(self) -> NDArray[np.int64]:
        likes = np.bincount(self._group, self._label, self._groups)
        return np.flatnonzero((likes > 0) & (likes < np.bincount(self._group, minlength=self._groups)))

    def _ndcg(self, score: Floats) -> Doubles:
        """[groups to rank]: NDCG@10 of each, by scikit-learn; groups of one size go together, as it takes matrices."""
        from sklearn.metrics import ndcg_score

        order = np.argsort(self._group, kind="stable")
        sizes = np.bincount(self._group, minlength=self._groups)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        found = np.zeros(self._groups)
        for size in np.unique(sizes[self._ranked]) if self._ranked.size else []:
            groups = self._ranked[sizes[self._ranked] == size]
            rows = order[starts[groups][:, None] + np.arange(size)]
            found[groups] = [
                ndcg_score(truth[None], guess[None], k=BEST_OF)
                for truth, guess in zip(self._label[rows], score[rows], strict=True)
            ]
        return found[self._ranked]


def weighted_auc(score: Floats, label: Doubles, weight: Doubles) -> Doubles:
    """[draws]: chance that a liked row scores above one not liked, ties half, for each row of ``weight`` [draws, rows]."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sorted_weight, sorted_label = weight[:, order], label[order]
    good = np.add.reduceat(sorted_weight * sorted_label, starts, axis=1)
    bad = np.add.reduceat(sorted_weight * (1.0 - sorted_label), starts, axis=1)
    below = np.cumsum(bad, axis=1) - bad
    pairs: Doubles = good.sum(axis=1) * bad.sum(axis=1)
    return (good * (below + bad / 2.0)).sum(axis=1) / pairs  # type: ignore[no-any-return]


def as_json(measured: Mapping[str, Measured]) -> dict[str, dict[str, object]]:
    """For the result file."""
    return {
        name: {
            "value": m.value,
            "interval": list(m.interval),
            "lossRatio": m.loss_ratio,
            "lossInterval": list(m.loss_interval),
            "lift": None if m.lift is None else asdict(m.lift),
        }
        for name, m in measured.items()
    }


def from_json(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Measured]:
    """The reverse."""
    return {
        name: Measured(
            m["value"], tuple(m["interval"]), m["lossRatio"], tuple(m["lossInterval"]), _lift_from_json(m["lift"])
        )
        for name, m in found.items()
    }


def _lift_from_json(found: Mapping[str, Any] | None) -> Lift | None:
    if found is None:
        return None
    ends = found["loss_interval"]
    return Lift(found["lead"], tuple(found["lead_interval"]), found["loss_ratio"], ends and tuple(ends))
