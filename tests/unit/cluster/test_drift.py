"""What somebody else changed of a child is put back, whether the operator ran meanwhile or not; what is theirs stays."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders.fake_cluster import OWNER, FakeCluster, actor, apply, pool, spec
from builders.reconciler_world import KINDS, World, run_story
from recmodel.cluster import names, traffic
from recmodel.cluster.children import ownership
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.transport.errors import ApiRefused, NameTaken
from recmodel.cluster.writing.apply import Actor
from recmodel.controller import reconciler
from recmodel.controller.backoff import Backoff

WANTED = spec(pool("cpu", 2), pool("gpu", 1), metrics={"profile": "triton"})
CONTAINER = ("spec", "template", "spec", "containers", 0)
BARE = [{"backendRefs": [{"name": f"feed-{pool}", "weight": weight} for pool, weight in (("cpu", 50), ("gpu", 50))]}]
EDITS: dict[str, tuple[Any, ...]] = {
    "a Service's selector": ("Service", "feed-cpu", "spec", "selector", {"app": "other"}),
    "an image": ("Deployment", "feed-cpu", *CONTAINER, "image", "other:1"),
    "a probe taken out": ("Deployment", "feed-cpu", *CONTAINER, "readinessProbe", None),
    "the token mounted": ("Deployment", "feed-gpu", "spec", "template", "spec", "automountServiceAccountToken", None),
    "a budget": ("PodDisruptionBudget", "feed-gpu", "spec", "maxUnavailable", "100%"),
    "a Service of another type": ("Service", "feed-cpu", "spec", "type", "ExternalName"),
    "hostnames of a route that has none": ("HTTPRoute", "feed", "spec", "hostnames", ["other.example"]),
    "the parents of the route": ("HTTPRoute", "feed", "spec", "parentRefs", [{"name": "other"}]),
    "the filters of the route, and the total of its weights": ("HTTPRoute", "feed", "spec", "rules", BARE),
    "an endpoint of the monitor": ("PodMonitor", "feed", "spec", "podMetricsEndpoints", []),
    "the label that is watched": ("Service", "feed-cpu", "metadata", "labels", names.MODEL_LABEL, None),
    "the label of another model": ("Service", "feed-gpu", "metadata", "labels", names.MODEL_LABEL, "other"),
    "a label": ("Deployment", "feed-cpu", "metadata", "labels", "app.kubernetes.io/name", "other"),
    "the owner": ("PodDisruptionBudget", "feed-cpu", "metadata", "ownerReferences", None),
    "the hash of what was applied": ("Deployment", "feed-cpu", "metadata", "annotations", names.APPLIED_ANNOTATION, "x"),
}  # fmt: skip


def applied(cluster: FakeCluster, by: Actor) -> list[str]:
    by.monitors = True
    return apply(cluster, WANTED, by)


def edit(cluster: FakeCluster, what: str, **more: Any) -> tuple[str, str]:
    kind, name, *path, value = EDITS[what]
    cluster.edit(kind, name, *path, value=value, **more)
    return kind, name


def wished(cluster: FakeCluster) -> dict[Any, Any]:
    """The objects without what every write moves, and without what others wrote down of themselves."""
    result = {}
    for where, obj in copy.deepcopy(cluster.objects).items():
        for key in ("generation", "resourceVersion", "managedFields"):
            obj["metadata"].pop(key)
        result[where] = obj
    return result


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_while_the_operator_was_down_is_put_back(what: str) -> None:
    cluster = FakeCluster()
    applied(cluster, actor(cluster))
    before = wished(cluster)
    kind, name = edit(cluster, what)
    assert wished(cluster) != before
    inventory = cluster.inventory()
    labelled = cluster.objects[kind, name]["metadata"].get("labels", {})
    if names.MODEL_LABEL not in labelled:  # then no watch lists it
        inventory.replace(KINDS[kind], [], None)
    written = applied(cluster, actor(cluster, inventory))
    assert [w.split()[:2] for w in written if not w.startswith("scale")] == [[kind, name]]
    assert wished(cluster) == before
    assert applied(cluster, actor(cluster)) == []


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_under_the_eyes_of_the_operator_is_put_back(what: str) -> None:
    async def story(world: World) -> None:
        await world.all_ready()
        before = wished(world.cluster)
        kind, name = edit(world.cluster, what)
        obj = copy.deepcopy(world.cluster.objects[kind, name])
        gone = names.MODEL_LABEL not in obj["metadata"].get("labels", {})  # as a watch by that label tells it
        world.inventory.see(KINDS[kind], "DELETED" if gone else "MODIFIED", obj)
        await world.rest(0.1)
        assert wished(world.cluster) == before
        assert await world.rest(0.05) == []

    run_story(WANTED, story)


def test_what_no_watch_tells_is_found_by_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "SWEEP_SECONDS", 0.05)

    async def story(world: World) -> None:
        await world.rest(0.03)
        world.cluster.edit("Service", "feed-cpu", "spec", "selector", value={"app": "other"})
        live = copy.deepcopy(world.cluster.objects["Service", "feed-cpu"])
        with pytest.MonkeyPatch.context() as silent:  # without a word to the reconciler
            silent.setattr(world.inventory, "_on_change", lambda key: None)
            world.inventory.see(names.SERVICE, "MODIFIED", live)
        await world.rest(0.2)
        selector = world.cluster.objects["Service", "feed-cpu"]["spec"]["selector"]
        assert selector == {names.MODEL_LABEL: "feed", names.POOL_LABEL: "cpu"}

    run_story(WANTED, story)


def test_what_others_own_stays_and_is_no_drift() -> None:
    cluster = FakeCluster()
    by = actor(cluster)
    applied(cluster, by)
    cluster.edit("Deployment", "feed-cpu", "spec", "paused", value=True)
    cluster.edit("Deployment", "feed-cpu", "metadata", "annotations", "example.com/team", value="feeds")
    cluster.edit("Service", "feed-cpu", "spec", "sessionAffinity", value="ClientIP")
    asyncio.run(by.apply_replicas(OWNER, "cpu", 7))
    again = actor(cluster)
    assert applied(cluster, again) == []
    assert again.drifted(OWNER, WANTED, None, {}) == {}


def test_whoever_keeps_overwriting_it_is_named_and_answered_at_growing_intervals() -> None:
    async def story(world: World) -> None:
        await world.rest(0.03)
        world.pods("cpu", 1)
        backoff = world.tracked.backoffs._of[names.SERVICE, "feed-cpu"] = Backoff()
        backoff._gap_seconds = 8.0  # four corrections have been made
        writes = len(world.cluster.writes)
        for n in range(5):
            world.cluster.edit("Service", "feed-cpu", "spec", "selector", value={"n": str(n)}, manager="argocd")
            world.see("Service", "feed-cpu")
            backoff._last_at = asyncio.get_running_loop().time()
            await world.rest(0.03)
        assert len(world.cluster.writes) - writes <= 1
        assert world.tracked.applied.overwritten is not None
        assert "argocd keeps changing Service feed-cpu" in world.tracked.applied.overwritten.message

    run_story(WANTED, story)


def test_a_hand_edit_of_one_child_does_not_wait_for_the_fight_over_another() -> None:
    fought = "the hash of what was applied"
    others = {EDITS[what][:2]: what for what in EDITS if EDITS[what][:2] != EDITS[fought][:2]}

    async def story(world: World) -> None:
        await world.all_ready()
        before = wished(world.cluster)
        for _ in range(5):
            world.see(*edit(world.cluster, fought, manager="argocd"))
            await world.until(lambda: wished(world.cluster) == before, 60.0)
        world.see(*edit(world.cluster, fought, manager="argocd"))
        await world.rest(0.1)
        for what in others.values():
            world.see(*edit(world.cluster, what))
            await world.rest(0.1)
            after = wished(world.cluster)
            assert {where for where in before if after[where] != before[where]} == {("Deployment", "feed-cpu")}
        assert world.tracked.applied.overwritten is not None
        assert "argocd keeps changing Deployment feed-cpu:" in world.tracked.applied.overwritten.message
        await world.until(lambda: wished(world.cluster) == before, 60.0)

    run_story(WANTED, story)


def test_nothing_of_a_foreign_route_or_deployment_is_ever_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "LEAVE_SETTLE_SECONDS", 0.0)
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


REAL = json.loads((Path(__file__).parents[2] / "data" / "managed-fields.json").read_text())


@pytest.mark.parametrize("case", REAL, ids=lambda case: str(case["what"]))
def test_the_fields_that_kubernetes_takes_from_us(case: dict[str, Any]) -> None:
    """Answers of a real API server (1.36) after an edit of what had been applied: ``lost`` is what the edit was about."""
    assert ownership.lost(case["applied"], ownership.ours(case["answer"])) == case["lost"]
    assert ownership.holders(case["applied"], case["answer"], case["lost"]) == case["holders"]
    slim = copy.deepcopy(case["answer"])
    ownership.keep_ours(slim)
    assert ownership.ours(slim) == ownership.ours(case["answer"])


@pytest.mark.parametrize("case", REAL, ids=lambda case: str(case["what"]))
def test_what_others_put_in_the_place_of_our_fields_is_taken_away(case: dict[str, Any]) -> None:
    """Where nothing stands in the place of what was lost, an apply is enough; replicas and side-cars of others stay."""
    found = ownership.cleared(case["applied"], case["answer"])
    assert sorted(taken_away(found["spec"], ".spec") if found else ()) == case.get("clears", [])


def taken_away(patch: Any, path: str) -> Iterator[str]:
    for key, value in patch.items() if isinstance(patch, dict) else enumerate(patch) if isinstance(patch, list) else ():
        where = f"{path}.{key}" if isinstance(patch, dict) else f"{path}[{key}]"
        if value is None or key == "$patch":
            yield where
        yield from taken_away(value, where)


class Choosing(FakeCluster):
    """Takes no budget of two sorts, as the API server does; and patches."""

    async def apply(self, kind: names.Kind, body: dict[str, Any], force: bool = True) -> dict[str, Any]:
        live = self.objects.get((kind.kind, body["metadata"]["name"]), {"spec": {}})
        if live["spec"].get("minAvailable") is not None:
            raise ApiRefused("refused", 422, "minAvailable and maxUnavailable cannot be both set")
        answer = await super().apply(kind, body, force)
        owned = live["metadata"]["managedFields"] if "metadata" in live else []
        answer["metadata"]["managedFields"] += [entry for entry in owned if entry["manager"] == names.REPAIRING]
        self.objects[kind.kind, body["metadata"]["name"]] = copy.deepcopy(answer)
        return answer

    async def patch(self, kind: names.Kind, metadata: dict[str, Any], body: Any, form: str) -> dict[str, Any]:
        self._write(f"{form} {kind.kind} {metadata['name']}")
        obj = self.objects[kind.kind, metadata["name"]]
        if form == "json-patch":
            test, replaced = body
            assert (test["op"], test["value"]) == ("test", obj["metadata"]["resourceVersion"])
            assert (replaced["op"], replaced["path"]) == ("replace", "/metadata/managedFields")
            obj["metadata"]["managedFields"] = replaced["value"]
        else:
            assert body["metadata"]["uid"] == obj["metadata"]["uid"]
            obj["spec"] = {key: value for key, value in {**obj["spec"], **body["spec"]}.items() if value is not None}
            obj["metadata"]["managedFields"].append({"manager": names.REPAIRING, "operation": "Update", "fieldsV1": {}})
        return copy.deepcopy(obj)


def test_an_edit_that_excludes_our_own_fields_is_put_back_all_the_same() -> None:
    """An apply alone is refused for ever: the API takes no ``minAvailable`` beside our ``maxUnavailable``."""
    cluster = Choosing()
    applied(cluster, actor(cluster))
    before = wished(cluster)
    managers = cluster.objects["PodDisruptionBudget", "feed-cpu"]["metadata"]["managedFields"]
    cluster.edit("PodDisruptionBudget", "feed-cpu", "spec", "maxUnavailable")
    cluster.edit("PodDisruptionBudget", "feed-cpu", "spec", "minAvailable", value=1)
    written = applied(cluster, actor(cluster))
    assert [line.split()[-2:] for line in written] == [["PodDisruptionBudget", "feed-cpu"]] * 3
    assert wished(cluster) == before
    assert cluster.objects["PodDisruptionBudget", "feed-cpu"]["metadata"]["managedFields"] == managers
    assert applied(cluster, actor(cluster)) == []


def test_what_the_api_refuses_for_another_reason_is_not_patched() -> None:
    cluster = Choosing()
    applied(cluster, actor(cluster))
    edit(cluster, "a budget")
    cluster.refused["PodDisruptionBudget feed-gpu"] = ApiRefused("refused", 422, "no")
    with pytest.raises(ApiRefused, match="refused"):
        applied(cluster, actor(cluster))
    assert not any("patch" in line for line in cluster.writes)


def merged(live: Any, patch: Any) -> Any:
    """A strategic merge patch applied, as far as these stories need it: lists have the same items in the same order."""
    if isinstance(live, dict) and isinstance(patch, dict):
        both = {**live, **{key: merged(live.get(key), value) for key, value in patch.items()}}
        return {key: value for key, value in both.items() if value is not None}
    if isinstance(live, list) and isinstance(patch, list) and len(live) == len(patch):
        return [merged(*both) for both in zip(live, patch, strict=True)]
    return patch


class Policed(FakeCluster):
    """Takes no write to a Deployment whose pods have rights on their node, as the policy of the chart has it."""

    def _police(self, body: dict[str, Any]) -> None:
        live = self.objects.get((body["kind"], body["metadata"]["name"]), {"spec": {}})
        pod = merged(live["spec"], body["spec"]).get("template", {}).get("spec", {})
        volumes = [volume for volume in pod.get("volumes", []) if "hostPath" in volume]
        if pod.get("hostNetwork") or volumes:
            raise ApiRefused(
                "PATCH x: HTTP 422", 422, "ValidatingAdmissionPolicy 'pods' denied request: no hostNetwork"
            )

    async def apply(self, kind: names.Kind, body: dict[str, Any], force: bool = True) -> dict[str, Any]:
        self._police(body)
        return await super().apply(kind, body, force)

    async def patch(self, kind: names.Kind, metadata: dict[str, Any], body: Any, form: str) -> dict[str, Any]:
        obj = self.objects[kind.kind, metadata["name"]]
        if form == "json-patch":
            obj["metadata"]["managedFields"] = body[1]["value"]
        else:
            self._police(body)
            obj["spec"] = merged(obj["spec"], body["spec"])
        return copy.deepcopy(obj)


def test_rights_that_somebody_gives_the_pods_by_hand_are_taken_away_where_the_policy_refuses_them() -> None:
    async def story(world: World) -> None:
        await world.rest(0.1)
        before = wished(world.cluster)
        pod = ("Deployment", "feed-cpu", "spec", "template", "spec")
        world.cluster.edit(*pod, "serviceAccountName", value="admin")
        world.cluster.edit(*pod, "serviceAccount", value="admin")
        world.cluster.edit(*pod, "hostNetwork", value=True)
        world.cluster.objects[pod[:2]]["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] = 80
        world.see(*pod[:2])
        await world.rest(0.1)
        assert wished(world.cluster) == before
        assert world.tracked.applied.failed is None
        assert await world.rest(0.1) == []

    run_story(spec(pool("cpu", 2), pool("gpu", 1)), story, Policed())


def test_where_no_policy_refuses_them_the_rights_stay_and_are_not_fought_over() -> None:
    async def story(world: World) -> None:
        await world.rest(0.1)
        world.cluster.edit("Deployment", "feed-cpu", "spec", "template", "spec", "hostNetwork", value=True)
        live = copy.deepcopy(world.cluster.objects["Deployment", "feed-cpu"])
        world.inventory.see(names.DEPLOYMENT, "MODIFIED", live)
        await world.rest(0.1)
        assert await world.rest(90.0) == []

    run_story(spec(pool("cpu", 2), pool("gpu", 1)), story)


def test_a_field_of_others_that_makes_the_policy_refuse_our_writes_is_named_with_its_manager() -> None:
    mine = ("spec", "template", "spec", "volumes")

    async def story(world: World) -> None:
        await world.rest(0.1)
        deployment = ("Deployment", "feed-cpu")
        world.cluster.edit(
            *deployment, *mine, value=[{"name": "h", "hostPath": {"path": "/"}}], manager="kubectl-patch"
        )
        world.cluster.edit(*deployment, "metadata", "annotations", names.APPLIED_ANNOTATION, value="x")
        world.see(*deployment)
        await world.rest(0.1)
        assert world.tracked.applied.failed is not None
        said = world.tracked.applied.failed.message
        assert "Deployment shop/feed-cpu is refused: HTTP 422: ValidatingAdmissionPolicy" in said
        assert ".spec.template.spec.volumes (field manager kubectl-patch)" in said
        assert "remove it from the object" in said

    run_story(spec(pool("cpu", 2), pool("gpu", 1)), story, Policed())
