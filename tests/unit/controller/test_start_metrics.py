"""How long new replicas take, as series: nothing before one has shown it, and nothing of a model that is gone."""

from __future__ import annotations

from dataclasses import replace

from builders.status_scene import STATE, tracked
from recmodel.controller.metrics import Metrics


def test_the_wait_for_a_node_and_the_whole_start_are_shown_as_far_as_they_are_known() -> None:
    metrics, model = Metrics(), tracked()
    unknown = replace(STATE, starting_seconds=None)
    metrics.started(model, {"cpu": unknown})
    assert series(metrics) == {}
    metrics.started(model, {"cpu": replace(STATE, scheduling_seconds=140.0)})
    assert series(metrics) == {"startup": 180.0, "scheduling": 140.0}
    metrics.started(model, {"cpu": unknown})
    assert series(metrics) == {"startup": 180.0, "scheduling": 140.0}, "what was known stays"
    metrics.forget(model.key)
    assert series(metrics) == {}


def series(metrics: Metrics) -> dict[str, float]:
    return {
        part: sample.value
        for family in metrics.registry.collect()
        for part in ("startup", "scheduling")
        if family.name == f"recmodel_pool_{part}_seconds"
        for sample in family.samples
    }
