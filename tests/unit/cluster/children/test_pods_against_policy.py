"""Fields of others in the pods for which an admission policy refuses the operator's writes."""

from __future__ import annotations

import copy
from typing import Any

from builders.edited_children import contents
from builders.fake_cluster import FakeCluster, pool, spec
from builders.reconciler_world import World, run_story
from recmodel.cluster import names
from recmodel.cluster.transport.errors import ApiRefused


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

    async def apply(
        self, kind: names.Kind, body: dict[str, Any], force: bool = True, retries: int = 0
    ) -> dict[str, Any]:
        self._police(body)
        return await super().apply(kind, body, force, retries)

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
        before = contents(world.cluster)
        pod = ("Deployment", "feed-cpu", "spec", "template", "spec")
        world.cluster.edit(*pod, "serviceAccountName", value="admin")
        world.cluster.edit(*pod, "serviceAccount", value="admin")
        world.cluster.edit(*pod, "hostNetwork", value=True)
        world.cluster.objects[pod[:2]]["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] = 80
        world.see(*pod[:2])
        await world.rest(0.1)
        assert contents(world.cluster) == before
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
