"""Which workload each pool's replicas are of, as a series: a report finds a model's cost by it."""

from __future__ import annotations

from builders.references import TARGET, reference_spec, referring
from builders.status_scene import tracked
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.controller.metrics import Metrics


def test_each_pool_has_the_workload_that_its_replicas_are_of_now() -> None:
    metrics = Metrics()
    made = tracked()
    metrics.rolled(made, {})
    assert series(metrics) == {("cpu", f"{made.owner.name}-cpu")}
    target = {**TARGET, "name": "feed-a"}
    metrics.rolled(tracked(spec=RecModelSpec.model_validate(reference_spec(referring(target)))), {})
    assert series(metrics) == {("cpu", "feed-a")}
    metrics.forget(made.key)
    assert series(metrics) == set()


def series(metrics: Metrics) -> set[tuple[str, str]]:
    (family,) = [one for one in metrics.registry.collect() if one.name == "recmodel_pool_workload_info"]
    assert {sample.value for sample in family.samples} <= {1.0}
    return {(sample.labels["pool"], sample.labels["workload"]) for sample in family.samples}
