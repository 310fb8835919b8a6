"""Replicas and weights follow the load, and a new template rolls out without losing what the loop decided."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from figures import measured
from kube import eventually
from requests_sent import Load, failed, share, within
from serving import Pool, Served
from side_by_side import together

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

# 50 requests/s a pod at most; the other pool's carry twice that at three times the price, so they are for what is left.
SMALL = Pool("small", least=1, most=4, service_ms=20.0, slots=1)
LARGE = Pool("large", least=0, most=2, service_ms=10.0, slots=1, cost_per_hour="3.0")


def ramp(load: Load, start: float, end: float, step: float, every_seconds: float) -> None:
    """The rate from ``start`` to ``end`` in steps: a queue of hundreds would be the load's doing, not the operator's."""
    rate = start
    while rate < end:
        rate = min(rate + step, end)
        load.rate(rate)
        time.sleep(every_seconds)


@together
def test_replicas_and_weights_follow_the_load_up_and_down(serve: Callable[..., Served]) -> None:
    served = serve(SMALL, LARGE)
    served.wait_ready(small=1)
    with Load(served, 20.0) as load:
        began = time.monotonic()
        ramp(load, 20.0, 100.0, 10.0, 8.0)
        eventually("the objective is met at the top", served.has("ObjectiveMet", "True"), 120.0)
        eventually("nothing is under way", served.has("Progressing", "False"), 60.0)
        top, weights = served.replicas(), served.weights()
        assert sum(top.values()) >= 3, top
        assert sum(weights.values()) == 1000
        assert all((weights[pool] > 0) == (ready > 0) for pool, ready in served.ready().items())
        measured(
            "load 20 -> 100 requests/s",
            f"replicas {top}, weights {weights}, {time.monotonic() - began:.0f} s from the start",
        )
        mark = load.now()
        time.sleep(12.0)
        recent = load.answers(since=mark)
        for pool, weight in served.weights().items():
            assert share(recent, pool) == pytest.approx(weight / 1000, abs=0.12), f"{pool}: {weight} of 1000"
        measured("within 100 ms at the top, as the client saw it", f"{100 * within(recent):.1f} %")
        load.rate(8.0)
        down = time.monotonic()
        eventually("what is not needed is released", lambda: sum(served.replicas().values()) <= 2, 300.0, 1.0)
        measured("load 100 -> 8 requests/s", f"replicas {served.replicas()} after {time.monotonic() - down:.0f} s")
        time.sleep(8.0)  # the last pods on their way out still answer
    answers = load.answers()
    measured("requests over load up and down", f"{len(answers)}, {failed(answers)}")
    assert failed(answers) == {}


@together
def test_a_new_template_rolls_out_and_keeps_what_the_loop_decided(serve: Callable[..., Served]) -> None:
    served = serve(SMALL)
    served.wait_ready(small=1)
    with Load(served, 20.0) as load:
        ramp(load, 20.0, 80.0, 15.0, 6.0)
        eventually("the loop has scaled", lambda: served.ready()["small"] >= 2, 90.0)
        eventually("they are enough", served.has("ObjectiveMet", "True"), 90.0)
        eventually("nothing is under way", served.has("Progressing", "False"), 60.0)
        decided, mark = served.replicas()["small"], load.now()
        pool = SMALL.spec()
        pool["template"]["metadata"] = {"labels": {"release": "second"}}
        pool["template"]["spec"]["containers"][0]["env"].append({"name": "RELEASE", "value": "second"})
        served.change({"pools": [pool]})
        fewest = decided

        def rolled_out() -> bool:
            nonlocal fewest
            deployment = served.deployment("small")
            fewest = min(fewest, int(deployment["spec"]["replicas"]))
            pods = [p for p in served.pods("small") if "deletionTimestamp" not in p["metadata"]]
            old = [p["metadata"]["name"] for p in pods if p["metadata"]["labels"].get("release") != "second"]
            assert old == [], f"old pods: {old}"
            return int(deployment["status"].get("updatedReplicas", 0)) >= decided

        eventually("the new template is everywhere", rolled_out, 120.0)
        assert fewest >= decided, "the number went down while the template was rolled out"
        applied = [e for e in served.deployment("small")["metadata"]["managedFields"] if e["operation"] == "Apply"]
        owners = [entry.get("subresource") for entry in applied if "f:replicas" in entry["fieldsV1"].get("f:spec", {})]
        assert owners == ["scale"], "the template's apply must not own the number"
        assert served.weights() == {"small": 1000}
        time.sleep(8.0)
    answers = load.answers(since=mark)
    measured(
        "roll-out of a new template at 80 requests/s",
        f"{decided} replicas kept, {len(answers)} requests, {failed(answers)}",
    )
    assert failed(answers) == {}
    assert {names.child_name(served.name, "small")} == {
        d["metadata"]["name"] for d in served.kube.list(names.DEPLOYMENT, served.namespace)
    }
