"""Acting on a cluster: a dictionary stands in for the API server, with server-side apply's rules as far as needed."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names, traffic
from recmodel.cluster.apply import Actor, scaled
from recmodel.cluster.children import Owner, initial_replicas
from recmodel.cluster.errors import ApiUnavailable, Conflict, NameTaken, NotFound
from recmodel.cluster.inventory import Inventory

OWNER = Owner("shop", "feed", "u-1")


def pool(name: str, minimum: int = 1, image: str = "server:1", cost: str = "1.0") -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "server", "image": image}]}}
    replicas = {"min": minimum, "max": 9}
    return {"name": name, "replicas": replicas, "costPerHour": cost, "port": 8080, "template": template}


def spec(*pools: dict[str, Any], **more: Any) -> RecModelSpec:
    route = {"parentRefs": [{"name": "edge"}]}
    objective = {"latency": {"threshold": "100ms"}}
    return RecModelSpec.model_validate({"objective": objective, "route": route, "pools": list(pools), **more})


class FakeCluster:
    """The client's surface over a dictionary. ``writes`` is what was written; ``fail_at`` breaks off at that one; ``refused``
    are the errors of those that are refused, by ``"Kind name"``.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.scaled_by_us: set[tuple[str, str]] = set()
        self.owns_replicas: set[tuple[str, str]] = set()
        self.writes: list[str] = []
        self.fail_at: int | None = None
        self.refused: dict[str, Exception] = {}
        self._version = 0

    async def get(self, kind: names.Kind, namespace: str, name: str) -> dict[str, Any]:
        if (kind.kind, name) not in self.objects:
            raise NotFound(f"{kind.kind} {name}", 404)
        return copy.deepcopy(self.objects[kind.kind, name])

    async def apply(self, kind: names.Kind, body: dict[str, Any], force: bool = True) -> dict[str, Any]:
        name = body["metadata"]["name"]
        what = f"{kind.kind} {name}"
        where = (kind.kind, name)
        live = self.objects.get(where)
        if error := self.refused.get(what):
            raise error
        self._check(what, body["metadata"].get("uid"), live, force)
        if kind == names.ROUTE:
            what += " " + " ".join(str(b["weight"]) for b in body["spec"]["rules"][0]["backendRefs"])
        self._write(what)
        new = copy.deepcopy(body)
        new["metadata"]["uid"] = live["metadata"]["uid"] if live else f"{kind.kind}-{name}-{self._version}"
        new["metadata"]["managedFields"] = [{"manager": "recmodel", "operation": "Apply", "fieldsV1": fields(body)}]
        if kind == names.DEPLOYMENT:
            if "replicas" in body["spec"]:
                self.owns_replicas.add(where)
            else:  # what we no longer apply goes, unless the scale subresource's entry holds it
                kept = live["spec"]["replicas"] if live and where in self.scaled_by_us else 1
                new["spec"]["replicas"] = kept
        return self._store(where, new, live)

    async def apply_replicas(
        self, kind: names.Kind, namespace: str, name: str, uid: str, replicas: int
    ) -> dict[str, Any]:
        where = (kind.kind, name)
        live = self.objects[where]
        self._check(f"scale {name}", uid, live, True)
        self._write(f"scale {name} {replicas}")
        new = copy.deepcopy(live)
        new["spec"]["replicas"] = replicas
        self.scaled_by_us.add(where)
        stored = self._store(where, new, live)
        zero = {} if replicas == 0 else {"replicas": replicas}  # as the real API answers
        return {"kind": "Scale", "metadata": stored["metadata"], "spec": zero}

    def edit(self, kind: str, name: str, *path: str | int, value: Any = None, manager: str = "kubectl-edit") -> None:
        """Somebody else sets a field, or removes it; the field is theirs from then on."""
        new = copy.deepcopy(self.objects[kind, name])
        at: Any = new
        owned = new["metadata"]["managedFields"][0]["fieldsV1"]
        for step in path[:-1]:
            at = at[step]
            owned = owned.get(f"f:{step}" if isinstance(step, str) else key_of(at), {})
        owned.pop(f"f:{path[-1]}", None)
        if value is None:
            at.pop(path[-1])
        else:
            at[path[-1]] = value
        theirs: dict[str, Any] = {}
        for step in reversed(path):
            theirs = {f"f:{step}": theirs}
        new["metadata"]["managedFields"].append({"manager": manager, "operation": "Update", "fieldsV1": theirs})
        self._store((kind, name), new, self.objects[kind, name])

    def _check(self, what: str, uid: str | None, live: dict[str, Any] | None, force: bool) -> None:
        if uid is not None and (live is None or live["metadata"]["uid"] != uid):
            raise Conflict(f"{what}: uid mismatch", 409)
        if not force and live is not None:
            raise Conflict(f"{what}: conflict with its field manager", 409)

    async def delete(self, kind: names.Kind, namespace: str, name: str, uid: str) -> None:
        if error := self.refused.get(f"{kind.kind} {name}"):
            raise error
        self._write(f"delete {kind.kind} {name}")
        self.objects.pop((kind.kind, name), None)

    def _write(self, what: str) -> None:
        if self.fail_at is not None and len(self.writes) >= self.fail_at:
            raise ApiUnavailable("the process was killed here")
        self.writes.append(what)

    def _store(self, where: tuple[str, str], new: dict[str, Any], live: dict[str, Any] | None) -> dict[str, Any]:
        if live is None or live["spec"] != new["spec"]:
            generation = live["metadata"].get("generation", 0) if live else 0
            new["metadata"]["generation"] = generation + 1
        else:
            new["metadata"]["generation"] = live["metadata"]["generation"]
        if live is None or {**live, "metadata": {**live["metadata"], "resourceVersion": ""}} != {
            **new,
            "metadata": {**new["metadata"], "resourceVersion": ""},
        }:
            self._version += 1
        new["metadata"]["resourceVersion"] = str(self._version)
        self.objects[where] = new
        return copy.deepcopy(new)

    def weights(self, model: str = "feed") -> list[int]:
        route = self.objects["HTTPRoute", model]
        return [backend["weight"] for backend in route["spec"]["rules"][0]["backendRefs"]]

    def replicas(self, name: str) -> int:
        return int(self.objects["Deployment", name]["spec"]["replicas"])

    def inventory(self) -> Inventory:
        """A new inventory, listed from here: what a new process knows."""
        result = Inventory()
        kinds = {kind.kind: kind for kind in names.CHILD_KINDS}
        for (kind, _), obj in self.objects.items():
            result.see(kinds[kind], "ADDED", copy.deepcopy(obj))
        return result


def fields(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of what is applied, as the API server keeps them."""
    metadata = {key: value for key, value in body["metadata"].items() if key not in ("name", "namespace", "uid")}
    return {"f:metadata": _fields(metadata), "f:spec": _fields(body["spec"])}


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"f:{key}": {} if key == "selector" else _fields(part) for key, part in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
        return {key_of(item): {".": {}, **_fields(item)} for item in value}
    return {}


def key_of(item: dict[str, Any]) -> str:
    return f'k:{{"name":"{item["name"]}"}}'


@pytest.fixture(autouse=True)
def _no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "LEAVE_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(traffic, "JOIN_SETTLE_SECONDS", 0.0)


def actor(cluster: FakeCluster, inventory: Inventory | None = None) -> Actor:
    return Actor(cluster, inventory or cluster.inventory())  # type: ignore[arg-type]


def apply(cluster: FakeCluster, wanted: RecModelSpec, by: Actor | None = None) -> list[str]:
    before = len(cluster.writes)
    outcome = asyncio.run((by or actor(cluster)).children(OWNER, wanted, None, initial_replicas(wanted)))
    for failure in outcome.failures:
        raise failure.error
    return cluster.writes[before:]


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


def test_a_new_image_changes_one_deployment_and_keeps_replicas_and_weights() -> None:
    cluster = FakeCluster()
    apply(cluster, spec(pool("cpu", 1), pool("gpu", 1)))
    by = actor(cluster)
    asyncio.run(by.replicas(OWNER, "cpu", 7))
    asyncio.run(by.weights(OWNER, spec(pool("cpu", 1), pool("gpu", 1)), {"cpu": 900, "gpu": 100}))
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
    outcome = asyncio.run(actor(cluster).children(successor, spec(pool("cpu")), None, {"cpu": 1}))
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
    assert not asyncio.run(by.weights(OWNER, wanted, {"cpu": 500, "gpu": 500}))
    assert asyncio.run(by.weights(OWNER, wanted, {"cpu": 501, "gpu": 499}))
    live = copy.deepcopy(cluster.objects["HTTPRoute", "feed"])
    del live["spec"]["rules"][0]["backendRefs"][0]["filters"]  # somebody's apply without the filters
    cluster._store(("HTTPRoute", "feed"), live, cluster.objects["HTTPRoute", "feed"])
    by = actor(cluster)
    assert asyncio.run(by.weights(OWNER, wanted, {"cpu": 501, "gpu": 499}))


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
