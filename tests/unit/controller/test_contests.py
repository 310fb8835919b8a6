"""How long replicas that others write over are fought for, by how often a tool looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders.fake_cluster import OWNER
from builders.references import TARGET, reference_spec
from builders.status_scene import STATE
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.observed.pool_state import Reference
from recmodel.controller.contests import count_overwritten, over, written
from recmodel.controller.tracked import Tracked
from recmodel.report.snapshot import Desired

CHILD = names.DEPLOYMENT, TARGET["name"]
GIT, OURS = 3, 5
TICK_SECONDS, HOURS = 15.0, 12


@pytest.mark.parametrize("minutes", [0.1, 3, 5, 10, 15, 20, 30, 60])
def test_a_tool_is_named_after_three_looks_for_as_long_as_it_writes_and_no_longer(minutes: float) -> None:
    spec = RecModelSpec.model_validate(reference_spec(mode="Auto"))
    tracked = Tracked(OWNER, Desired(generation=1, spec=spec))
    stands, holders, writes, named = GIT, ("kustomize-controller",), 0, list[float]()
    ends = HOURS * 3600.0
    for tick in range(int((ends + 4 * 3600.0) / TICK_SECONDS)):
        now = 1000.0 + tick * TICK_SECONDS
        looks = tick * TICK_SECONDS % max(60.0 * minutes, TICK_SECONDS) < TICK_SECONDS
        if looks and stands != GIT and tick * TICK_SECONDS < ends:
            stands, holders = GIT, ("kustomize-controller",)
        reference = Reference("Deployment ranker-cpu", replicas_holders=holders)
        count_overwritten(tracked, {"cpu": replace(STATE, desired=stands, reference=reference)}, now, now)
        if stands != OURS and not tracked.contests.waits([CHILD], now):
            stands, holders, writes = OURS, (), writes + 1
            written(tracked, CHILD, OURS, now)
        if CHILD in tracked.contests.fighting(now) and not over(tracked, CHILD, now):
            named.append(tick * TICK_SECONDS)
    assert named[0] <= 4 * 60.0 * minutes + 60.0
    assert len(named) == 1 + (named[-1] - named[0]) / TICK_SECONDS, "without a break"
    assert ends <= named[-1] <= ends + 600.0 + max(300.0, 2 * 60.0 * minutes) + 60.0
    assert stands == OURS
    assert writes <= 4 + HOURS * 6
