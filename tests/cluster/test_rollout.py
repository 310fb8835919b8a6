"""New versions and variants under load: the good ones come, the bad ones go back, a killed operator changes neither."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from figures import measured
from installed import OPERATOR_NAMESPACE, TICK_SECONDS, operator_pod
from kube import Kube, Object, Refused, eventually
from requests_sent import Load, failed, share, within
from serving import Pool, Served, weights_of
from side_by_side import together
from versions import QUICK, proven, publish, record, rollout, served_versions

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

SLOW, FAILING = {"service_ms": 300.0}, {"failing": 0.3}
CPU = Pool(least=1, most=3, variant="full", behaviour={"slow": SLOW, "failing": FAILING})
SPARE = replace(CPU, name="spare")
LIGHT = replace(CPU, name="light", variant="light")
PER_SECOND = 60.0
VARIANTS = [{"name": "full"}, {"name": "light"}]


def two_pools(kube: Kube, namespace: str, serve: Callable[..., Served]) -> Served:
    """Two pools of version 1, known from its record before the first pod is made."""
    publish(kube, namespace, "ranker", record("full", "1"), record("light", "1", 0.798))
    served = serve(CPU, SPARE, variants=VARIANTS, rollout=QUICK)
    served.wait_ready(cpu=1, spare=1)
    assert served_versions(served) == {"cpu": {"1"}, "spare": {"1"}}
    return served


def new_version(served: Served, version: str) -> float:
    """Publishes a version of the full variant once the objective is known to hold; when that was."""
    eventually("the objective is met", served.has("ObjectiveMet", "True"), 60.0)
    publish(served.kube, served.namespace, served.name, record("full", version), record("light", "1", 0.798))
    return time.monotonic()


@together
def test_a_good_version_comes_pool_by_pool_without_a_failed_request(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    ranker = two_pools(kube, namespace, serve)
    with Load(ranker, PER_SECOND) as load:
        began = new_version(ranker, "2")
        eventually("a pool has begun", lambda: "2" in str(served_versions(ranker)), 60.0)
        assert sorted(map(len, served_versions(ranker).values())) != [2, 2]  # one pool at a time
        eventually("both serve it", proven(ranker, "2", "cpu", "spare"), 150.0, 1.0)
        took = time.monotonic() - began
        eventually("that is said", ranker.has("RolledOut", "True", "AllRolledOut"), 20.0)
    answers = load.answers()
    measured(
        "a good version over two pools, 60 requests/s",
        f"{took:.0f} s; {len(answers)} requests, {failed(answers)}, {100 * within(answers):.1f} % within 100 ms",
    )
    assert failed(answers) == {}
    assert within(answers) >= 0.95


@pytest.mark.parametrize(("version", "said"), [("slow", "late or failed"), ("failing", "failed")])
@together
def test_a_bad_version_goes_back_with_the_reason(
    kube: Kube, namespace: str, serve: Callable[..., Served], version: str, said: str
) -> None:
    ranker = two_pools(kube, namespace, serve)
    with Load(ranker, PER_SECOND) as load:
        began = new_version(ranker, version)
        eventually("it was taken back", ranker.has("RolledOut", "False", "RolloutRolledBack"), 120.0)
        decided = time.monotonic() - began
        eventually("the pods are the old ones", lambda: served_versions(ranker) == {"cpu": {"1"}, "spare": {"1"}}, 60.0)
        gone = time.monotonic() - began
        mark = load.now()
        time.sleep(15.0)  # three ticks: nobody tries it again
        after = load.answers(since=mark)
    answers = load.answers()
    message = ranker.condition("RolledOut")["message"]
    measured(
        f"a {version} version on one of two pools, 60 requests/s",
        f"taken back after {decided:.0f} s, gone after {gone:.0f} s; of {len(answers)} requests {failed(answers)}, "
        f"{100 * within(answers):.1f} % within 100 ms; {message}",
    )
    assert said in message
    assert served_versions(ranker) == {"cpu": {"1"}, "spare": {"1"}}
    assert failed(after) == {}
    assert within(after) >= 0.95


@together
def test_a_new_variant_on_a_pool_of_its_own_gets_its_share_in_steps(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    ranker = two_pools(kube, namespace, serve)
    labels = f"{names.MODEL_LABEL}={ranker.name}"
    with Load(ranker, PER_SECOND) as load, kube.watching(names.ROUTE, ranker.namespace, labels) as routes:
        eventually("the objective is met", ranker.has("ObjectiveMet", "True"), 60.0)
        ranker.change_pools(CPU, SPARE, LIGHT)
        at = {}
        for step in (0, 1, 2):
            eventually(f"step {step}", lambda step=step: reached(ranker, step), 90.0)  # type: ignore[misc]
            at[step] = time.monotonic()
        eventually("it serves for good", proven(ranker, "1", "light"), 90.0, 1.0)
        done = time.monotonic()
        eventually("it has traffic", lambda: share(load.answers()[-200:], "light") > 0.01, 40.0)
    weights = [(e.at, weights_of(e.object, ranker.name).get("light", 0)) for e in routes]
    answers = load.answers()
    # A tick writes the weights first and what step they are of at its end.
    ends = {step: at[step + 1] - TICK_SECONDS / 2 for step in (0, 1)}
    most = {step: max(w for t, w in weights if t < ends[step]) for step in (0, 1)}
    measured(
        "a new variant in steps of 10 and 50 %",
        f"most of 1000: {most}, proven after {done - at[0]:.0f} s; {len(answers)} requests, {failed(answers)}, "
        f"{100 * within(answers):.1f} % within 100 ms",
    )
    assert most[0] <= 100
    assert most[1] <= 500
    assert failed(answers) == {}
    assert within(answers) >= 0.95


def reached(served: Served, step: int) -> bool:
    """Whether the light pool's rollout has come to this step."""
    found = rollout(served, "light")
    return bool(found.get("phase") == "Proven" or found.get("step", -1) >= step)


@together
def test_a_new_variant_that_is_slow_keeps_no_traffic(kube: Kube, namespace: str, serve: Callable[..., Served]) -> None:
    ranker = two_pools(kube, namespace, serve)
    with Load(ranker, PER_SECOND) as load:
        eventually("the objective is met", ranker.has("ObjectiveMet", "True"), 60.0)
        ranker.change_pools(CPU, SPARE, replace(LIGHT, service_ms=300.0))
        eventually("it was taken back", ranker.has("RolledOut", "False", "RolloutRolledBack"), 150.0)
        eventually("it has no traffic", lambda: ranker.weights()["light"] <= 1, 30.0)
        eventually("it has no more than its minimum", lambda: ranker.replicas()["light"] == 1, 30.0)
    answers = load.answers()
    measured(
        "a slow variant on a pool of its own",
        f"{100 * share(answers, 'light'):.1f} % of the traffic while it was on trial, {failed(answers)}, "
        f"{100 * within(answers):.1f} % within 100 ms; {ranker.condition('RolledOut')['message']}",
    )
    assert failed(answers) == {}
    assert within(answers) >= 0.9


@together
def test_a_new_variant_that_is_fast_and_clicked_on_less_goes_back(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    ranker = two_pools(kube, namespace, serve)
    quality = {"successes": {"name": "clicked_total"}, "trials": {"name": "shown_total"}, "maxLoss": "10%"}
    ranker.change({"rollout": {**QUICK, "quality": quality}})
    with Load(ranker, PER_SECOND) as load:
        eventually("the objective is met", ranker.has("ObjectiveMet", "True"), 60.0)
        ranker.change_pools(
            CPU, SPARE, replace(LIGHT, behaviour={"1": {"clicked": 0.2}})
        )  # half of the others' answers are
        eventually("it was taken back", ranker.has("RolledOut", "False", "RolloutRolledBack"), 150.0)
    answers, message = load.answers(), ranker.condition("RolledOut")["message"]
    measured(
        "a fast variant that is clicked on less", f"{100 * share(answers, 'light'):.1f} % of the traffic; {message}"
    )
    assert "quality" in message
    assert failed(answers) == {}
    assert within(answers) >= 0.95


@contextlib.contextmanager
def flagger(kube: Kube) -> Iterator[None]:
    """The kind Canary, as far as the operator reads it; nobody acts on it."""
    definitions = names.Kind("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions")
    group, version = names.CANARY.group_version.split("/")
    name = f"{names.CANARY.plural}.{group}"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    kube.create(definitions, None, {
        "apiVersion": definitions.group_version, "kind": definitions.kind, "metadata": {"name": name},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": names.CANARY.kind, "plural": names.CANARY.plural, "singular": "canary"},
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    })  # fmt: skip
    try:
        yield
    finally:
        kube.delete(definitions, None, name)


@together
def test_what_flagger_releases_is_left_alone(kube: Kube, namespace: str, serve: Callable[..., Served]) -> None:
    ranker = two_pools(kube, namespace, serve)
    body = {
        "apiVersion": names.CANARY.group_version, "kind": names.CANARY.kind,
        "metadata": {"name": "theirs", "namespace": ranker.namespace},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ranker-cpu"}},
    }  # fmt: skip
    with flagger(kube):
        eventually("the kind is served", lambda: created(kube, ranker, body), 20.0)
        # The operator looks once a minute whether kinds that were missing are there now.
        eventually("it is noticed", ranker.has("Degraded", "True", "AnotherReleaser"), 90.0, 1.0)
        publish(kube, ranker.namespace, ranker.name, record("full", "2"), record("light", "1", 0.798))
        with Load(ranker, PER_SECOND):
            time.sleep(25.0)  # five ticks
        assert served_versions(ranker) == {"cpu": {"1"}, "spare": {"1"}}
        kube.delete(names.CANARY, ranker.namespace, "theirs")
        eventually("it is noticed that it is gone", ranker.has("Degraded", "False"), 30.0)


def created(kube: Kube, served: Served, body: Object) -> bool:
    """Whether the Canary could be made: a kind that was just defined is not there at once."""
    with contextlib.suppress(Refused):
        return bool(kube.create(names.CANARY, served.namespace, body))
    return False


@together
def test_a_bad_record_is_said_and_changes_nothing(kube: Kube, namespace: str, serve: Callable[..., Served]) -> None:
    ranker = two_pools(kube, namespace, serve)
    publish(ranker.kube, ranker.namespace, ranker.name, record("full", "2").model_copy(update={"value": 2.0}))
    eventually("it is refused", ranker.has("VariantsMeasured", "False", "InvalidRecord"), 30.0)
    assert "must hold value, 2.0" in ranker.condition("VariantsMeasured")["message"]
    assert served_versions(ranker) == {"cpu": {"1"}, "spare": {"1"}}


def test_an_operator_killed_in_the_middle_goes_on_with_the_rollout(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    ranker = two_pools(kube, namespace, serve)
    with Load(ranker, PER_SECOND) as load:
        new_version(ranker, "2")
        eventually("the first pool has new pods", lambda: "2" in str(served_versions(ranker)), 60.0)
        kube.delete(names.POD, OPERATOR_NAMESPACE, operator_pod(kube)["metadata"]["name"], grace_seconds=0)
        eventually("both serve it", proven(ranker, "2", "cpu", "spare"), 170.0, 1.0)
    answers = load.answers()
    measured("operator killed in the middle of a rollout", f"{len(answers)} requests, {failed(answers)}")
    assert failed(answers) == {}
