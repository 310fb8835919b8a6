"""Weights under load: how soon a change reaches the traffic, and that no order of changes costs a request."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from figures import measured
from kube import Event, Kube, eventually, run
from requests_sent import Answer, Load, failed, share, within
from serving import GPU, Pool, Served, weights_of
from side_by_side import together

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.client import Client
from recmodel.cluster.writing.apply import Actor

pytestmark = pytest.mark.cluster

CPU, SPARE = Pool("cpu", least=1, most=1), Pool("spare", least=1, most=1)


async def write_weights(
    served: Served, changes: list[dict[str, int]], every_seconds: float
) -> list[tuple[float, float]]:
    """Writes these weights one after the other by the operator's own path; when each PATCH left (seconds since 1970),
    and how long it took.
    """
    body = served.body()
    owner, spec = (
        Owner(served.namespace, served.name, body["metadata"]["uid"]),
        RecModelSpec.model_validate(body["spec"]),
    )
    written = []
    async with Client(await credentials.load()) as client:
        actor = Actor(client, Inventory(lambda key: None))
        for weights in changes:
            began, clock = time.time(), time.monotonic()
            assert await actor.apply_weights(owner, spec, weights)
            written.append((began, time.monotonic() - clock))
            await asyncio.sleep(every_seconds)
    return written


def test_a_weight_change_reaches_the_traffic_within_a_second(serve: Callable[..., Served]) -> None:
    served = serve(CPU, SPARE, mode="Recommend")  # so that the loop leaves the weights to this test
    served.wait_ready(cpu=1, spare=1)
    changes = [{"cpu": high, "spare": 1000 - high} for high in (999, 1) * 6]
    with Load(served, 200.0) as load:
        ahead = load.clock_ahead_seconds()
        written = asyncio.run(write_weights(served, changes, 2.0))
    answers = load.answers()
    took = [
        first_on(answers, "cpu" if weights["cpu"] > 500 else "spare", at + ahead) - at - ahead
        for weights, (at, _) in zip(changes[1:], written[1:], strict=True)  # the first one only sets the scene
    ]
    measured(
        "weight change, PATCH sent to first request on the new split",
        f"median {1000 * statistics.median(took):.0f} ms, largest {1000 * max(took):.0f} ms of {len(took)}",
    )
    measured("weight change, PATCH alone", f"median {1000 * statistics.median(w[1] for w in written):.0f} ms")
    assert max(took) < 1.0
    assert failed(answers) == {}


def first_on(answers: list[Answer], pool: str, since: float) -> float:
    """When the first request was sent that went to ``pool`` as most did from then on: a stray one of a thousand does
    not count.
    """
    later = [answer for answer in answers if answer.sent >= since]
    for i, answer in enumerate(later[:-5]):
        if answer.pool == pool and share(later[i : i + 5], pool) >= 0.8:
            return answer.sent
    raise AssertionError(f"the traffic never went to {pool}")


def test_any_change_of_weights_above_zero_costs_no_request(serve: Callable[..., Served]) -> None:
    served = serve(CPU, SPARE, Pool("third", least=1, most=1), mode="Recommend")
    served.wait_ready(cpu=1, spare=1, third=1)
    mixes = [(998, 1, 1), (500, 300, 200), (1, 1, 998), (334, 333, 333), (1, 998, 1), (700, 299, 1), (20, 30, 950)]
    changes = [dict(zip(("cpu", "spare", "third"), mix, strict=True)) for mix in mixes * 4]
    with Load(served, 200.0) as load:
        asyncio.run(write_weights(served, changes, 0.3))
    answers = load.answers()
    measured(
        "changes of weights under 200 requests/s", f"{len(changes)} changes, {len(answers)} requests, {failed(answers)}"
    )
    assert failed(answers) == {}
    assert len(answers) > 1000


@together
def test_a_pool_comes_from_zero_and_goes_back_without_a_failed_request(
    kube: Kube, serve: Callable[..., Served]
) -> None:
    # So dear that the loop has it only while the owner's minimum asks for it.
    cpu, gpu = Pool(least=2), replace(GPU, cost_per_hour="90.0")
    served = serve(cpu, gpu)
    served.wait_ready(cpu=2, gpu=0)
    labels = f"{names.MODEL_LABEL}={served.name}"
    with Load(served, 60.0) as load, kube.watching(names.ROUTE, served.namespace, labels) as routes:
        eventually("the loop knows the load", served.has("ObjectiveMet", "True"), 60.0)
        served.change_pools(cpu, replace(gpu, least=1))
        eventually("it has come", lambda: served.ready()["gpu"] == 1 and served.weights()["gpu"] > 1, 120.0)
        assert next(weight for weight in weights_seen(routes, served, "gpu") if weight) == 1
        eventually("its share of the traffic reaches it", lambda: share(load.answers()[-100:], "gpu") > 0.02, 30.0)
        served.change_pools(cpu, gpu)
        began = time.monotonic()

        def gone() -> bool:
            replicas = served.replicas()
            assert replicas["gpu"] == 0, f"replicas {replicas}, weights {served.weights()}"
            return not served.pods("gpu")

        eventually("it has gone", gone, 180.0, 1.0)
        out_seconds = time.monotonic() - began
        assert weights_seen(routes, served, "gpu")[-2:] == [1, 0]
        assert served.weights() == {"cpu": 1000, "gpu": 0}
    answers = load.answers()
    measured(
        "a pool from zero and back under 60 requests/s",
        f"{len(answers)} requests, {failed(answers)}; out after {out_seconds:.0f} s",
    )
    assert failed(answers) == {}


@together
def test_a_pool_leaves_the_spec_and_another_joins_without_a_failed_request(serve: Callable[..., Served]) -> None:
    served = serve(Pool("cpu"), Pool("old", least=1))
    served.wait_ready(cpu=1, old=1)
    with Load(served, 60.0) as load:
        served.change_pools(Pool("cpu"))
        labels = f"{names.MODEL_LABEL}={served.name},{names.POOL_LABEL}=old"
        eventually("the pool has gone", lambda: not served.kube.list(names.DEPLOYMENT, served.namespace, labels), 180.0)
        served.change_pools(Pool("cpu"), Pool("new", least=1))
        served.wait_ready(cpu=1, new=1)
        eventually("the new pool gets traffic", lambda: share(load.answers()[-100:], "new") > 0.1, 60.0)
    assert failed(load.answers()) == {}


@together
def test_a_pool_renamed_under_load_answers_until_the_others_carry_it(serve: Callable[..., Served]) -> None:
    old = Pool("old", least=1, most=3, service_ms=20.0, slots=4)
    small = Pool("small", least=1, most=1, service_ms=20.0, slots=1)  # 50 requests/s, of 90
    served = serve(old, small)
    served.wait_ready(old=1, small=1)
    labels = f"{names.MODEL_LABEL}={served.name},{names.POOL_LABEL}=old"
    with Load(served, 90.0) as load:
        eventually("the loop knows the load", served.has("ObjectiveMet", "True"), 60.0)
        began, renamed_at = time.monotonic(), time.time() + load.clock_ahead_seconds()
        served.change_pools(replace(old, name="new"), small)
        eventually("the pool has gone", lambda: not served.kube.list(names.DEPLOYMENT, served.namespace, labels), 240.0)
        took = time.monotonic() - began
        time.sleep(5.0)  # of what stays alone
    answers = [answer for answer in load.answers() if answer.sent >= renamed_at]
    late = 1.0 - within(answers)
    measured(
        "a pool renamed under 90 requests/s",
        f"{len(answers)} requests, {failed(answers)}, {100 * late:.1f}% late; old pool gone after {took:.0f} s",
    )
    assert failed(answers) == {}
    assert late < 0.05


def weights_seen(routes: list[Event], served: Served, pool: str) -> list[int]:
    """The weights that a pool had, one after the other."""
    seen = [weights_of(event.object, served.name)[pool] for event in routes]
    return [weight for i, weight in enumerate(seen) if i == 0 or weight != seen[i - 1]]


@pytest.mark.parametrize("way", ["deleted", "unready"])
def test_the_last_ready_pod_lost_takes_the_weight_away_at_once(
    kube: Kube, serve: Callable[..., Served], way: str
) -> None:
    served = serve(CPU, SPARE)
    served.wait_ready(cpu=1, spare=1)
    with (
        Load(served, 100.0) as load,
        kube.watching(
            names.POD, served.namespace, f"{names.MODEL_LABEL}={served.name},{names.POOL_LABEL}=spare"
        ) as pods,
        kube.watching(names.ROUTE, served.namespace, f"{names.MODEL_LABEL}={served.name}") as routes,
    ):
        (pod,) = served.pods("spare")
        name = pod["metadata"]["name"]
        if way == "deleted":
            kube.delete(names.POD, served.namespace, name)
        else:
            run("kubectl", "exec", "-n", served.namespace, name, "--", "touch", "/tmp/unready")
        lost = eventually("the pod is lost", lambda: [e.at for e in pods if is_lost(e, name)], 30.0)[0]

        def weightless() -> list[float]:
            return [e.at for e in routes if weights_of(e.object, served.name) == {"cpu": 1000, "spare": 0}]

        taken = eventually("its weight is gone", weightless, 30.0)[0]
        if way == "unready":
            run("kubectl", "exec", "-n", served.namespace, name, "--", "rm", "/tmp/unready")
        eventually("it comes back", lambda: served.ready()["spare"] == 1 and served.weights()["spare"] > 1, 60.0)
    answers = load.answers()
    measured(
        f"last ready pod {way}: watch event to weight gone",
        f"{1000 * (taken - lost):.0f} ms, {failed(answers)} of {len(answers)}",
    )
    assert taken - lost < 1.0  # the tick is every 5 s
    # Straight to weight 0 costs a few requests that were under way to it (the gateway's rule), and never more.
    assert sum(failed(answers).values()) <= 0.01 * len(answers)


def is_lost(event: Event, name: str) -> bool:
    """Whether the event says that this pod serves no more."""
    if event.object["metadata"]["name"] != name:
        return False
    conditions = {c["type"]: c["status"] for c in event.object["status"].get("conditions", [])}
    return "deletionTimestamp" in event.object["metadata"] or conditions.get("Ready") != "True"
