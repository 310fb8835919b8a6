"""Acting on a cluster: a dictionary stands in for the API server, with server-side apply's rules as far as needed."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from builders.fake_cluster import OWNER, FakeCluster, actor, apply, pool, spec
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import weight_steps
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.transport.errors import ApiUnavailable, NameTaken
from recmodel.cluster.writing.apply import scaled


@pytest.fixture(autouse=True)
def _no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_steps, "LEAVE_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(weight_steps, "JOIN_SETTLE_SECONDS", 0.0)


def test_a_new_model_gets_all_its_children_and_a_second_look_writes_nothing() -> None:
    cluster = FakeCluster()
    assert apply(cluster, spec(pool("cpu", 2), pool("gpu", 0))) == [
        "Service feed-cpu",
        "PodDisruptionBudget feed-cpu",
        "Service feed-gpu",
        "PodDisruptionBudget feed-gpu",
        "Deployment feed-cpu",
        "scale feed-cpu 2",
        "Deployment feed-gpu",
        "scale feed-gpu 0",
        "HTTPRoute feed 1000 0",
    ]
    assert apply(cluster, spec(pool("cpu", 2), pool("gpu", 0))) == []


def test_what_only_observes_comes_last() -> None:
    """A PodMonitor that is refused or slow holds up nothing that serves."""
    cluster = FakeCluster()
    by = actor(cluster)
    by.monitors = True
    written = apply(cluster, spec(pool("cpu", 2), metrics={"profile": "triton"}), by)
    assert written[-2:] == ["HTTPRoute feed 1000", "PodMonitor feed"]


def test_a_new_image_changes_one_deployment_and_keeps_replicas_and_weights() -> None:
    cluster = FakeCluster()
    apply(cluster, spec(pool("cpu", 1), pool("gpu", 1)))
    by = actor(cluster)
    asyncio.run(by.apply_replicas(OWNER, "cpu", 7))
    asyncio.run(by.apply_weights(OWNER, spec(pool("cpu", 1), pool("gpu", 1)), {"cpu": 900, "gpu": 100}))
    assert apply(cluster, spec(pool("cpu", 1, "server:2"), pool("gpu", 1))) == [
        "scale feed-cpu 7",
        "Deployment feed-cpu",
    ]
    assert cluster.replicas("feed-cpu") == 7
    assert cluster.weights() == [900, 100]


def test_killed_after_any_write_the_next_process_arrives_at_the_same_objects() -> None:
    wanted = spec(pool("cpu", 2), pool("gpu", 0))
    whole = FakeCluster()
    apply(whole, wanted)
    for killed_at in range(len(whole.writes)):
        cluster = FakeCluster()
        cluster.fail_at = killed_at
        with pytest.raises(ApiUnavailable):
            apply(cluster, wanted)
        cluster.fail_at = None
        apply(cluster, wanted)
        apply(cluster, spec(pool("cpu", 2, "server:2"), pool("gpu", 0)))  # and a roll-out does not reset the replicas
        assert (cluster.replicas("feed-cpu"), cluster.replicas("feed-gpu")) == (2, 0), f"killed at write {killed_at}"
        assert cluster.objects.keys() == whole.objects.keys()
        assert cluster.weights() == [1000, 0]


def test_a_pool_that_leaves_the_spec_is_drained_before_it_goes() -> None:
    cluster = FakeCluster()
    apply(cluster, spec(pool("cpu", 1), pool("gpu", 1)))
    first, second, *deleted = apply(cluster, spec(pool("cpu", 1)))
    assert (first, second) == ("HTTPRoute feed 500 1", "HTTPRoute feed 1000")
    kinds = ["Deployment", "PodDisruptionBudget", "Service"]
    assert sorted(deleted) == [f"delete {kind} feed-gpu" for kind in kinds]
    assert cluster.weights() == [1000]


def test_a_new_pool_comes_without_weight() -> None:
    cluster = FakeCluster()
    apply(cluster, spec(pool("cpu", 1)))
    apply(cluster, spec(pool("cpu", 1), pool("gpu", 2)))
    assert cluster.weights() == [1000, 0]
    assert cluster.replicas("feed-gpu") == 2


def test_a_route_that_leaves_the_spec_is_deleted() -> None:
    cluster = FakeCluster()
    apply(cluster, spec(pool("cpu", 1)))
    assert apply(cluster, spec(pool("cpu", 1), route=None)) == ["delete HTTPRoute feed"]


def test_somebody_elses_object_is_left_alone() -> None:
    cluster = FakeCluster()
    foreign = {"metadata": {"name": "feed-cpu", "namespace": "shop", "uid": "x", "resourceVersion": "1"}, "spec": {}}
    cluster.objects["Service", "feed-cpu"] = foreign
    with pytest.raises(NameTaken, match="Service shop/feed-cpu exists and is not owned"):
        apply(cluster, spec(pool("cpu")))
    assert cluster.objects["Service", "feed-cpu"] == foreign


def test_a_child_of_a_deleted_model_of_the_same_name_is_not_taken_over() -> None:
    cluster = FakeCluster()
    apply(cluster, spec(pool("cpu")))
    successor = Owner("shop", "feed", "u-2")
    before = list(cluster.writes)
    outcome = asyncio.run(actor(cluster).apply_children(successor, spec(pool("cpu")), None, {"cpu": 1}))
    assert {type(failure.error) for failure in outcome.failures} == {NameTaken}
    assert {failure.child[0].kind for failure in outcome.failures} == {
        "Service", "PodDisruptionBudget", "Deployment", "HTTPRoute",
    }  # fmt: skip
    assert cluster.writes == before


def test_weights_are_written_only_where_they_differ() -> None:
    cluster = FakeCluster()
    wanted = spec(pool("cpu"), pool("gpu"))
    by = actor(cluster)
    apply(cluster, wanted, by)
    assert not asyncio.run(by.apply_weights(OWNER, wanted, {"cpu": 500, "gpu": 500}))
    assert asyncio.run(by.apply_weights(OWNER, wanted, {"cpu": 501, "gpu": 499}))
    live = copy.deepcopy(cluster.objects["HTTPRoute", "feed"])
    del live["spec"]["rules"][0]["backendRefs"][0]["filters"]  # somebody's apply without the filters
    cluster._store(("HTTPRoute", "feed"), live, cluster.objects["HTTPRoute", "feed"])
    by = actor(cluster)
    assert asyncio.run(by.apply_weights(OWNER, wanted, {"cpu": 501, "gpu": 499}))


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ({"a": 70, "b": 30}, {"a": 700, "b": 300}),
        ({"a": 1000, "b": 0}, {"a": 1000, "b": 0}),
        ({"a": 5, "b": 0}, {"a": 1000, "b": 0}),
        ({"a": 0, "b": 0}, {"a": 0, "b": 0}),
    ],
)
def test_weights_of_any_total_are_read_as_shares(written: dict[str, int], ours: dict[str, int]) -> None:
    assert scaled(written) == ours


def test_recommend_makes_no_route_that_answers_for_every_host_and_widens_none() -> None:
    """A live route is no report: without hostnames it takes what no other route of a shared gateway matches."""

    def wanted(mode: str, *hostnames: str, pools: int = 1) -> RecModelSpec:
        route = {"parentRefs": [{"name": "edge"}], **({"hostnames": list(hostnames)} if hostnames else {})}
        return spec(*[pool(f"p{i}") for i in range(pools)], mode=mode, route=route)

    def hosts(cluster: FakeCluster) -> Any:
        return cluster.objects["HTTPRoute", "feed"]["spec"].get("hostnames")

    cluster = FakeCluster()
    made = apply(cluster, wanted("Recommend"))
    assert "Deployment feed-p0" in made
    assert ("HTTPRoute", "feed") not in cluster.objects
    assert actor(cluster).drifted(OWNER, wanted("Recommend"), None, {}) == {}  # it is not missed again and again
    assert not actor(cluster).route_differs(OWNER, wanted("Recommend"), {"p0": 1000})
    apply(cluster, wanted("Recommend", "feed.example"))
    assert hosts(cluster) == ["feed.example"]
    apply(cluster, wanted("Recommend", pools=2))  # the pools are as the spec says, the hosts stay
    assert (hosts(cluster), len(cluster.weights())) == (["feed.example"], 2)
    apply(cluster, wanted("Auto", pools=2))
    assert hosts(cluster) == []
    assert apply(cluster, wanted("Recommend", pools=2)) == []  # what serves stays
    assert hosts(cluster) == []
