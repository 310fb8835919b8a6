"""What is said of a workload that somebody else scales: who it is, and what ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders.status_scene import STATE
from recmodel.cluster.observed.pool_state import Reference
from recmodel.core.types import Reason
from recmodel.report.pool_problems import others
from recmodel.report.reference_holds import contested, held

SHOWN = "Deployment ranker-cpu"


@pytest.mark.parametrize(
    ("reference", "older", "reason", "way_out"),
    [
        (
            Reference(SHOWN, ("HorizontalPodAutoscaler ranker",)), None,
            "AnotherAutoscaler", "delete HorizontalPodAutoscaler ranker",
        ),
        (
            Reference(SHOWN, ("HorizontalPodAutoscaler keda-hpa-ranker (ScaledObject ranker)",)), None,
            "AnotherAutoscaler", 'pause ScaledObject ranker (annotation autoscaling.keda.sh/paused: "true"), or delete it',
        ),
        (
            Reference(SHOWN, ("HorizontalPodAutoscaler ranker (cannot scale now: FailedGetScale)",)), None, "AnotherAutoscaler",
            "ranker (cannot scale now: FailedGetScale) is to scale Deployment ranker-cpu, so its replicas are left alone: run recmodel "
            "handover, which keeps what it is, or delete HorizontalPodAutoscaler ranker",
        ),
        (
            Reference(SHOWN, ("HorizontalPodAutoscaler keda-hpa-ranker (ScaledObject ranker; cannot scale now: FailedGetScale)",)), None,
            "AnotherAutoscaler", "pause ScaledObject ranker (annotation",
        ),
        (
            Reference(SHOWN, ("Canary ranker", "HorizontalPodAutoscaler ranker")), None,
            "AnotherReleaser", "set mode: Recommend, and HorizontalPodAutoscaler ranker scales it, too",
        ),
        (Reference(SHOWN, ("Canary ranker",)), None, "AnotherReleaser", "delete it, or set mode: Recommend"),
        (Reference(SHOWN, made_by="feed"), None, "AnotherRecModel", "refer to another workload"),
        (Reference(SHOWN), "feed", "AnotherRecModel", "set mode: Recommend in one of the two"),
    ],
)  # fmt: skip
def test_each_holder_is_named_with_the_way_out(
    reference: Reference, older: str | None, reason: str, way_out: str
) -> None:
    found = held(reference, older)
    assert found is not None
    assert found.reason == reason
    assert SHOWN in found.message
    assert way_out in found.message


def test_a_workload_that_nobody_scales_is_not_held() -> None:
    assert held(Reference(SHOWN), None) is None


@pytest.mark.parametrize(
    ("writers", "said"),
    [
        (
            ("argocd-controller",),
            'ignoreDifferences: [{group: apps, kind: Deployment, name: ranker-cpu, jsonPointers: ["/spec/replicas"]}]',
        ),
        (
            ("kustomize-controller",),
            "patches: [{target: {kind: Deployment, name: ranker-cpu}, "
            'patch: \'[{"op": "remove", "path": "/spec/replicas"}]\'}]',
        ),
        (
            ("helm-controller",),
            'ignore: [{paths: ["/spec/replicas"], target: {kind: Deployment, name: ranker-cpu}}]',
        ),
        (("kubectl", "terraform"), "have it leave spec.replicas alone"),
        ((), "somebody keeps writing over spec.replicas of Deployment ranker-cpu"),
    ],
)
def test_who_writes_back_is_named_with_the_lines_for_its_configuration(writers: tuple[str, ...], said: str) -> None:
    found = contested(Reference(SHOWN, replicas_holders=writers), "ranker-cpu")
    assert found.reason == "Contested"
    assert said in found.message
    assert " and ".join(writers) in found.message
    assert found.message.endswith("or set mode: Recommend")


def test_of_several_pools_what_an_autoscaler_does_not_explain_is_the_reason() -> None:
    """Who hands over an autoscaler must not take away that of a pool which something else keeps from being scaled."""
    said = {"cpu": ("AnotherAutoscaler", "an autoscaler"), "gpu": ("AnotherReleaser", "a Canary")}
    pools = {name: replace(STATE, reference=Reference(name, held=Reason(*reason))) for name, reason in said.items()}
    found = others(pools)
    assert found is not None
    assert found.reason == "AnotherReleaser"
    assert found.message == "pool cpu: an autoscaler; pool gpu: a Canary"
