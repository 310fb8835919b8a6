"""An object with the name of a child that belongs to somebody else is never written."""

from __future__ import annotations

import asyncio
import copy

import pytest

from builders.fake_cluster import OWNER, FakeCluster, actor, apply, pool, spec
from recmodel.cluster import names, weight_steps
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.transport.errors import NameTaken


def test_nothing_of_a_foreign_route_or_deployment_is_ever_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_steps, "LEAVE_SETTLE_SECONDS", 0.0)
    cluster = FakeCluster()
    two = spec(pool("cpu", 1), pool("gpu", 1))
    apply(cluster, two)
    for where in (("HTTPRoute", "feed"), ("Deployment", "feed-cpu")):
        foreign = cluster.objects[where]["metadata"]
        foreign["ownerReferences"] = [{"kind": "Other", "name": "x", "uid": "other", "controller": True}]
        foreign["managedFields"][0]["manager"] = "other"
    before = copy.deepcopy({w: cluster.objects[w] for w in (("HTTPRoute", "feed"), ("Deployment", "feed-cpu"))})
    by = actor(cluster)
    outcome = asyncio.run(
        by.apply_children(OWNER, spec(pool("cpu", 1, "server:2")), None, {"cpu": 1})
    )  # gpu leaves: a drain
    for write in (by.apply_weights(OWNER, two, {"cpu": 1, "gpu": 999}), by.apply_replicas(OWNER, "cpu", 5)):
        with pytest.raises(NameTaken):
            asyncio.run(write)
    assert {failure.child[0].kind for failure in outcome.failures} == {"HTTPRoute", "Deployment"}
    assert {where: cluster.objects[where] for where in before} == before


def test_an_object_that_took_the_name_meanwhile_is_not_written() -> None:
    cluster = FakeCluster()
    wanted = spec(pool("cpu", 1))
    by = actor(cluster)
    apply(cluster, wanted, by)  # by knows these; then they are deleted, and somebody else makes their own
    for obj in cluster.objects.values():
        obj["metadata"] |= {"uid": f"other-{obj['kind']}", "ownerReferences": [], "annotations": {}}
    before = copy.deepcopy(cluster.objects)
    newer = spec(pool("cpu", 1, "server:2"), route={"parentRefs": [{"name": "edge"}], "hostnames": ["a.example"]})
    for _ in range(2):  # the first look learns that they are others, the second asks whose they are
        asyncio.run(by.apply_children(OWNER, newer, None, {"cpu": 1}))
    assert cluster.objects == before


def test_a_foreign_object_that_has_gone_makes_room() -> None:
    cluster = FakeCluster()
    wanted = spec(pool("cpu"))
    foreign = {"metadata": {"name": "feed-cpu", "namespace": "shop", "uid": "x", "resourceVersion": "1"}, "spec": {}}
    cluster.objects["Service", "feed-cpu"] = foreign
    by = actor(cluster)
    with pytest.raises(NameTaken):
        apply(cluster, wanted, by)
    del cluster.objects["Service", "feed-cpu"]  # without our label no watch tells of it
    assert apply(cluster, wanted, by) == ["Service feed-cpu", "HTTPRoute feed 1000"]


def test_a_child_without_any_owner_is_ours_only_where_it_says_so() -> None:
    mine = {"metadata": {"annotations": {names.OWNER_ANNOTATION: "u-1"}}}
    other = {"kind": "Deployment", "uid": "x", "controller": True}
    assert OWNER.owns(mine)
    assert not Owner("shop", "feed", "u-2").owns(mine)
    assert not OWNER.owns({"metadata": {**mine["metadata"], "ownerReferences": [other]}})
    assert not OWNER.owns({"metadata": {"ownerReferences": None, "annotations": None}})
    assert OWNER.owns({"metadata": {"ownerReferences": [{**other, "uid": "u-1"}]}})
