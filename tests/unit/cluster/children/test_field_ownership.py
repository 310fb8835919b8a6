"""Which fields of a child somebody took from the operator, and how it takes them back where an apply alone is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders.edited_children import applied, contents, edit
from builders.fake_cluster import FakeCluster, actor
from recmodel.cluster import names
from recmodel.cluster.children import ownership
from recmodel.cluster.transport.errors import ApiRefused

REAL = json.loads((Path(__file__).parents[3] / "data" / "managed-fields.json").read_text())


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

    async def apply(
        self, kind: names.Kind, body: dict[str, Any], force: bool = True, retries: int = 0
    ) -> dict[str, Any]:
        live = self.objects.get((kind.kind, body["metadata"]["name"]), {"spec": {}})
        if live["spec"].get("minAvailable") is not None:
            raise ApiRefused("refused", 422, "minAvailable and maxUnavailable cannot be both set")
        answer = await super().apply(kind, body, force, retries)
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
    before = contents(cluster)
    managers = cluster.objects["PodDisruptionBudget", "feed-cpu"]["metadata"]["managedFields"]
    cluster.edit("PodDisruptionBudget", "feed-cpu", "spec", "maxUnavailable")
    cluster.edit("PodDisruptionBudget", "feed-cpu", "spec", "minAvailable", value=1)
    written = applied(cluster, actor(cluster))
    assert [line.split()[-2:] for line in written] == [["PodDisruptionBudget", "feed-cpu"]] * 3
    assert contents(cluster) == before
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
