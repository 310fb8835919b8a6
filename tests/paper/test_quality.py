"""AUC, log loss and NDCG with intervals: equal to scikit-learn's, paired, by whole groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

from recmodel.variants.data import Rows
from recmodel.variants.quality import Judge, as_json, from_json, weighted_auc

ROWS, GROUPS = 2000, 300


@pytest.fixture(scope="module")
def rows() -> Rows:
    generator = np.random.default_rng(1)
    label = (generator.random(ROWS) < 0.4).astype(np.float32)
    return Rows("rows", {}, label, generator.integers(0, GROUPS, ROWS), "")


def scores(rows: Rows, noise: float, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(0.0, noise, len(rows))
    return (1.0 / (1.0 + np.exp(-(rows.label - 0.5 + drawn)))).astype(np.float32)


def test_the_weighted_auc_is_scikit_learns_with_ties_and_weights(rows: Rows) -> None:
    generator = np.random.default_rng(2)
    score = np.round(scores(rows, 1.0, 3), 1)  # many ties
    weight = generator.integers(0, 4, (5, ROWS)).astype(float)
    expected = [roc_auc_score(rows.label, score, sample_weight=one) for one in weight]
    assert weighted_auc(score, rows.label.astype(float), weight) == pytest.approx(expected, abs=1e-12)


def test_values_are_scikit_learns_and_lie_in_their_intervals(rows: Rows) -> None:
    base, other = scores(rows, 1.0, 3), scores(rows, 1.3, 4)
    found = Judge(rows, base, seed=7, resamples=300).judge(other)
    assert found["auc"].value == pytest.approx(roc_auc_score(rows.label, other))
    assert found["log_loss"].value == pytest.approx(log_loss(rows.label, other.astype(float)))
    groups = [np.flatnonzero(rows.group == g) for g in np.unique(rows.group)]
    both = [g for g in groups if 0 < rows.label[g].sum() < len(g)]
    ndcg = np.mean([ndcg_score(rows.label[g][None], other[g][None], k=10) for g in both])
    assert found["ndcg"].value == pytest.approx(ndcg)
    for measured in found.values():
        assert measured.interval[0] < measured.value < measured.interval[1]
        assert measured.loss_interval[0] < measured.loss_ratio < measured.loss_interval[1]
        assert measured.loss_ratio > 0.0  # the noisier one is worse, by each metric
    assert from_json(as_json(found)) == found


def test_the_baseline_loses_nothing_against_itself(rows: Rows) -> None:
    base = scores(rows, 1.0, 3)
    for measured in Judge(rows, base, seed=7, resamples=100).judge(base).values():
        assert (measured.loss_ratio, *measured.loss_interval) == (0.0, 0.0, 0.0)


def test_pairs_make_the_interval_of_the_loss_narrow(rows: Rows) -> None:
    base = scores(rows, 1.0, 3)
    nearly = np.clip(base + np.random.default_rng(9).normal(0.0, 0.01, ROWS), 0.0, 1.0).astype(np.float32)
    auc = Judge(rows, base, seed=7, resamples=300).judge(nearly)["auc"]
    assert np.ptp(auc.loss_interval) < 0.2 * np.ptp(auc.interval) / auc.value


def test_the_loss_of_the_lead_is_of_what_the_full_model_has_above_a_baseline(rows: Rows) -> None:
    base, other, simple = scores(rows, 1.0, 3), scores(rows, 1.3, 4), scores(rows, 2.0, 5)
    auc = {name: roc_auc_score(rows.label, score) for name, score in (("b", base), ("o", other), ("s", simple))}
    found = Judge(replace(rows, baseline=simple), base, seed=7, resamples=300).judge(other)
    lift = found["auc"].lift
    assert lift is not None
    assert lift.lead == pytest.approx(auc["b"] - auc["s"])
    assert lift.loss_ratio == pytest.approx((auc["b"] - auc["o"]) / (auc["b"] - auc["s"]))
    assert lift.loss_interval is not None
    assert found["auc"].loss_interval[0] < lift.loss_interval[0] < lift.loss_ratio < lift.loss_interval[1] < 1.0
    assert set(found) == {name for name, one in found.items() if one.lift} == {"auc", "log_loss", "ndcg"}
    assert from_json(as_json(found)) == found
    chance = Judge(rows, base, seed=7, resamples=300).judge(other)
    assert chance["auc"].lift is not None
    assert chance["auc"].lift.loss_ratio == pytest.approx((auc["b"] - auc["o"]) / (auc["b"] - 0.5))
    assert chance["log_loss"].lift is None


def test_what_is_no_better_than_the_baseline_has_no_lead_to_lose(rows: Rows) -> None:
    base, same = scores(rows, 1.0, 3), 5 * scores(rows, 1.0, 3)
    found = Judge(replace(rows, baseline=same), base, seed=7, resamples=100).judge(scores(rows, 1.3, 4))
    assert found["auc"].lift is not None
    assert (found["auc"].lift.loss_ratio, found["auc"].lift.loss_interval) == (None, None)
    assert found["log_loss"].lift is None  # a baseline above 1 is no probability


def test_rows_of_one_group_are_drawn_together(rows: Rows) -> None:
    # The same rows in ten copies are no more evidence where the copies are one group.
    base = scores(rows, 1.0, 3)
    copies = Rows("copies", {}, np.tile(rows.label, 10), np.tile(np.arange(ROWS), 10), "")
    single = Rows("single", {}, rows.label, np.arange(ROWS), "")
    width = np.ptp(Judge(single, base, 7, 300).judge(base)["auc"].interval)
    assert np.ptp(Judge(copies, np.tile(base, 10), 7, 300).judge(np.tile(base, 10))["auc"].interval) == pytest.approx(
        width
    )
    apart = Rows("apart", {}, copies.label, np.arange(10 * ROWS), "")
    assert np.ptp(Judge(apart, np.tile(base, 10), 7, 300).judge(np.tile(base, 10))["auc"].interval) < 0.5 * width


def test_where_no_group_has_both_kinds_there_is_no_ndcg(rows: Rows) -> None:
    single = Rows("single", {}, rows.label, np.arange(ROWS), "")
    base = scores(rows, 1.0, 3)
    assert set(Judge(single, base, 7, 50).judge(base)) == {"auc", "log_loss"}
