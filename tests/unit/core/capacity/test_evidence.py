"""What was seen of a pool stays until something contradicts it, also where it is taken to lie further up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recmodel.core.capacity import evidence as evidences
from recmodel.core.capacity.bins import BIN_STEP
from recmodel.core.capacity.estimate import estimate
from recmodel.core.capacity.evidence import Evidence, Sample
from recmodel.core.memory import begin
from recmodel.core.types import Model, Pool

BUDGET = np.array([[0.05]])
ONE = (np.array([0]), np.array([0]))


def shown(evidence: Evidence, load: float, late: float, retest: float = 0.0) -> Evidence:
    """The evidence of one pool after a tick at ``load`` requests/s, with ends taken to lie ``retest`` further up from now on."""
    sample = Sample(
        load=np.array([load]),
        replicas=np.array([1]),
        late_low=np.array([late]),
        late_high=np.array([late]),
        slow=np.array([1.0]),
        requests=np.array([15.0 * load]),
        utilisation=np.array([np.nan]),
        budget=BUDGET[0],
        retest_ratio=np.array([retest]),
    )
    return evidences.add(evidence, ONE, sample)[1]


@pytest.mark.parametrize("near", [262.0, 266.0, 270.0, 274.0])
def test_a_load_near_an_end_that_is_tried_again_does_not_wipe_it(near: float) -> None:
    evidence = shown(evidences.empty(1, 1), 277.0, 0.5)
    for retest in (0.04, 0.08):
        evidence = shown(evidence, 255.0, 0.0, retest)
    assert evidence.smallest_bad(BUDGET) == pytest.approx(277.0 * 1.04 * 1.08)
    evidence = shown(evidence, near, 0.0)
    assert evidence.smallest_bad(BUDGET) == pytest.approx(277.0 * 1.04 * 1.08)


def test_of_two_ends_that_meet_the_one_at_the_smaller_load_stays() -> None:
    low, high, further = (float(np.exp(BIN_STEP * bins)) for bins in (88.9, 89.2, 0.2))
    evidence = shown(shown(evidences.empty(1, 1), low, 0.4), high, 0.6)
    evidence = shown(evidence, 150.0, 0.0, further - 1.0)
    bad = (evidence.weight > 0) & (evidence.late_low > BUDGET[..., None])
    assert bad.sum() == 1
    assert evidence.smallest_bad(BUDGET) == pytest.approx(low * further)


def test_an_end_is_refuted_by_a_larger_load_that_is_in_time() -> None:
    evidence = shown(shown(evidences.empty(1, 1), 277.0, 0.5), 255.0, 0.0, 0.04)
    assert np.isinf(shown(evidence, 306.0, 0.0).smallest_bad(BUDGET))


def test_an_end_is_not_refuted_by_a_good_moment_at_the_same_load() -> None:
    """Near saturation one window of 640 requests/s is in time and the next one is not. 632 lie in the same bin, 648 within the noise."""
    evidence = shown(evidences.empty(1, 1), 640.0, 0.2)
    for load in (632.0, 648.0, 640.0):
        for _ in range(10):
            evidence = shown(evidence, load, 0.0)
    assert evidence.smallest_bad(BUDGET) == pytest.approx(640.0)
    assert np.isinf(shown(evidence, 670.0, 0.0).smallest_bad(BUDGET))


@pytest.mark.parametrize(("late", "more"), [(0.06, True), (0.9, False)], ids=["a little too much", "past saturation"])
def test_what_was_too_much_for_one_replica_bounds_many_by_what_the_law_leaves_each_of_them_more(
    late: float, more: bool
) -> None:
    """By the prior, k = 12, one replica carries 0.71 of what it saturates at and each of four 0.83. What saturates one is too much
    for each of many.
    """
    memory = begin([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),))])
    seen = replace(memory.capacity, evidence=shown(evidences.empty(1, 1), 30.0, late))

    def ceiling(replicas: int) -> float:
        return float(estimate(seen, memory.fleet, np.array([[replicas]])).ceiling[0, 0])

    assert ceiling(1) == pytest.approx(30.0)
    assert (31.0 < ceiling(4) < 30.0 * 0.83 / 0.71) if more else ceiling(4) == pytest.approx(30.0)
