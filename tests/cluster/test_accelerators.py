"""Accelerators run out: the plan does without, says so, and takes them again when they are back. Here they are emulated."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from figures import measured
from installed import PREFIX
from kube import NODE, Kube, eventually, throughout
from requests_sent import Load, failed
from serving import GPU, Pool, Served

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
USUAL = int(os.environ.get("ACCELERATORS", "4"))


@pytest.fixture
def accelerators(kube: Kube) -> Iterator[Callable[[int], None]]:
    """Sets how many there are beside those that others' pods have; the usual number stands again afterwards."""

    def make(free: int) -> None:
        count = free + taken_by_others(kube)
        script = ROOT / "hack" / "cluster" / "accelerator.sh"
        subprocess.run([script, str(count)], check=True, timeout=60)

        def there() -> bool:
            found = {
                n["metadata"]["name"]: int(n["status"]["allocatable"].get("nvidia.com/gpu", 0))
                for n in kube.list(NODE, None)
            }
            assert set(found.values()) == {count}, found
            return True

        eventually(f"every node has {count} accelerators", there, 60.0)

    yield make
    make(USUAL - taken_by_others(kube))


def taken_by_others(kube: Kube) -> int:
    """Accelerators of pods outside of the tests' namespaces: a demo that was left running has some."""
    taken = 0
    for pod in kube.list(names.POD, None):
        others = not pod["metadata"]["namespace"].startswith(PREFIX) and "nodeName" in pod["spec"]
        if others and pod["status"].get("phase") not in ("Succeeded", "Failed"):
            limits = [container.get("resources", {}).get("limits", {}) for container in pod["spec"]["containers"]]
            taken += sum(int(limit.get("nvidia.com/gpu", 0)) for limit in limits)
    return taken


def test_without_accelerators_the_plan_does_without_and_takes_them_again(
    serve: Callable[..., Served], accelerators: Callable[[int], None]
) -> None:
    accelerators(0)
    # The cpu pods carry 50 requests/s each: for 70 the plan needs two, as the accelerator's pods never come.
    served = serve(Pool("cpu", least=1, most=4, service_ms=20.0, slots=1), replace(GPU, least=1))
    eventually("the shortage is told", served.has("CapacityAvailable", "False", "PoolUnschedulable"), 60.0)
    assert "1 of pool gpu" in served.condition("CapacityAvailable")["message"]
    served.wait_ready(cpu=1)
    with Load(served, 25.0) as load:
        for rate in (40.0, 55.0, 70.0):
            load.rate(rate)
            time.sleep(8.0)
        eventually("the cpu pool makes up for it", lambda: served.ready()["cpu"] >= 2, 120.0)
        assert served.weights() == {"cpu": 1000, "gpu": 0}
        assert served.replicas()["gpu"] == 1  # stays ordered, none is added
        eventually("the objective is met without", served.has("ObjectiveMet", "True"), 90.0)
        assert served.condition("Ready")["status"] == "True"
        began = time.monotonic()
        accelerators(2)
        eventually(
            "the accelerator is taken", lambda: served.ready()["gpu"] == 1 and served.weights()["gpu"] > 1, 120.0
        )
        measured("accelerators back to weight on their pool", f"{time.monotonic() - began:.1f} s")
        eventually("the shortage is over", served.has("CapacityAvailable", "True"), 30.0)
    answers = load.answers()
    measured("requests over accelerators gone and back", f"{len(answers)}, {failed(answers)}")
    assert failed(answers) == {}


def test_accelerators_that_vanish_under_running_pods_take_nothing_from_the_traffic(
    serve: Callable[..., Served], accelerators: Callable[[int], None]
) -> None:
    accelerators(1)
    served = serve(Pool("cpu"), replace(GPU, least=2))
    served.wait_ready(cpu=1, gpu=1)
    eventually("the second one waits", served.has("CapacityAvailable", "False", "PoolUnschedulable"), 60.0)
    with Load(served, 40.0) as load:
        accelerators(0)

        def serving() -> None:
            assert served.ready()["gpu"] == 1
            assert served.weights()["cpu"] > 0

        throughout(15.0, serving)
    assert failed(load.answers()) == {}


def test_a_model_that_served_and_loses_its_last_pod_for_good_keeps_what_it_has_and_is_served_elsewhere(
    kube: Kube, serve: Callable[..., Served], accelerators: Callable[[int], None]
) -> None:
    accelerators(1)
    served = serve(replace(GPU, least=1, cost_per_hour="1.0"), Pool("cpu", least=0, most=2, cost_per_hour="9.0"))
    served.wait_ready(gpu=1)
    with Load(served, 40.0) as load:
        eventually("its load is known", served.has("MetricsAvailable", "True", "MetricsFound"), 90.0)
        accelerators(0)
        (pod,) = served.pods("gpu")
        kube.delete(names.POD, served.namespace, pod["metadata"]["name"])
        began = time.monotonic()
        eventually("the load is unknown", served.has("MetricsAvailable", "Unknown", "NoReadyPool"), 60.0)
        measured("the last pod deleted to MetricsAvailable Unknown", f"{time.monotonic() - began:.1f} s")
        assert served.status()["state"] == "Holding"

        seen: set[tuple[str | None, int]] = set()

        def ordered() -> bool:
            replicas = served.replicas()
            seen.add((served.status().get("loadPerSecond"), replicas["gpu"]))
            return replicas["cpu"] == 1

        eventually("a replica of the other pool is ordered", ordered, 120.0)
        assert seen == {(None, 1)}, "unknown is never zero, and what was ordered stays"
        eventually("it is ready and has the traffic", lambda: served.weights() == {"gpu": 0, "cpu": 1000}, 60.0)
        measured("the last pod deleted to the other pool serving", f"{time.monotonic() - began:.0f} s")
        eventually("its load is known again", served.has("MetricsAvailable", "True", "MetricsFound"), 90.0)
        mark = load.now()
        time.sleep(8.0)
    answers = load.answers(since=mark)
    measured("requests once the other pool answers", f"{len(answers)}, {failed(answers)}")
    assert failed(answers) == {}
    assert {answer.pool for answer in answers} == {"cpu"}
