"""The parts of the cost as series: a fixed few for each model, and one that ends goes to 0."""

from __future__ import annotations

from dataclasses import replace

from builders.status_scene import decision, tracked
from recmodel.controller.metrics import Metrics
from recmodel.core.types import CostPart

GUARD = CostPart("Guard", 2.0, "cpu: 2 more than planned", "cpu", "NeededAgainSoon", "until it is not")


def test_the_series_add_up_to_the_cost_and_a_part_that_ends_is_zero() -> None:
    metrics, model = Metrics(), tracked()
    held = replace(decision(), cost_parts=(CostPart("Load", 3.0, "the load"), GUARD, GUARD), cost_per_hour=7.0)
    metrics.decided(model, held, {"cpu": 3}, {"cpu": 1})
    assert series(metrics) == {"Load": 3.0, "Guard": 4.0}
    metrics.decided(model, replace(held, cost_parts=held.cost_parts[:1]), {"cpu": 3}, {"cpu": 1})
    assert series(metrics) == {"Load": 3.0, "Guard": 0.0}
    metrics.forget(model.key)
    assert series(metrics) == {}


def series(metrics: Metrics) -> dict[str, float]:
    (family,) = [one for one in metrics.registry.collect() if one.name == "recmodel_cost_part_per_hour"]
    return {sample.labels["part"]: sample.value for sample in family.samples}
