"""The Job that makes variants: once for each spec, the RecModel's own, none of its pools' pods, and in nobody's way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from recmodel.api.permitted import Permitted
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.children.optimiser_job import JobProgress, job, job_name, job_progress
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.transport.errors import ApiRefused, Conflict, NameTaken
from recmodel.cluster.writing.apply import Actor
from recmodel.controller.recalled import Recalled
from recmodel.controller.reconciler import Reconciler
from recmodel.controller.registry import learned
from recmodel.controller.spec_reading import read_spec
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Reason
from recmodel.report.snapshot import Desired

ROOT = Path(__file__).resolve().parents[4]
OWNER = Owner("shop", "feed", "u-1")


def body(image: str = "optimiser:1", account: str | None = "feed-optimise", mode: str = "Auto") -> dict[str, Any]:
    container = {"name": "optimise", "image": image, "args": ["optimise", "--record=shop/feed"]}
    template: dict[str, Any] = {"spec": {"containers": [container]}}
    if account:
        template["spec"]["serviceAccountName"] = account
    pool = {"name": "cpu", "replicas": {"max": 3}, "port": 8080}
    pool["template"] = {"spec": {"containers": [{"name": "server", "image": "server:1"}]}}
    return {
        "metadata": {"name": "feed", "namespace": "shop"},
        "spec": {
            "mode": mode,
            "objective": {"latency": {"threshold": "100ms"}},
            "pools": [pool],
            "optimisation": {"template": template, "deadline": "90m"},
        },
    }


def spec(**changes: Any) -> RecModelSpec:
    return RecModelSpec.model_validate(body(**changes)["spec"])


def test_the_job_is_the_recmodels_and_its_pods_belong_to_no_pool() -> None:
    made = job(OWNER, spec())
    assert made is not None
    assert made["metadata"]["ownerReferences"] == [OWNER.reference()]
    assert made["spec"]["activeDeadlineSeconds"] == 5400
    pod = made["spec"]["template"]
    assert names.MODEL_LABEL not in pod["metadata"]["labels"]
    assert names.POOL_LABEL not in pod["metadata"]["labels"]
    assert (pod["spec"]["restartPolicy"], pod["spec"]["automountServiceAccountToken"]) == ("Never", True)
    assert pod["spec"]["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
    }  # fmt: skip
    assert job(OWNER, spec(account=None))["spec"]["template"]["spec"]["automountServiceAccountToken"] is False  # type: ignore[index]


def test_another_template_is_another_job_and_the_name_is_a_valid_label() -> None:
    first, again, other = (job(OWNER, spec(image=image)) for image in ("a:1", "a:1", "a:2"))
    assert first == again
    assert first is not None
    assert other is not None
    assert first["metadata"]["name"] != other["metadata"]["name"]
    long = job(Owner("shop", "f" * 51, "u-1"), spec())
    assert long is not None
    assert len(long["metadata"]["name"]) <= 63
    assert job(OWNER, RecModelSpec.model_validate({**body()["spec"], "optimisation": None})) is None


def live(*conditions: tuple[str, str, str, str], uid: str = "u-1", **status: Any) -> dict[str, Any]:
    """The Job as the API has it; conditions as type, status, reason, message."""
    reference = {"kind": "RecModel", "name": "feed", "uid": uid, "controller": True}
    said = [dict(zip(("type", "status", "reason", "message"), c, strict=True)) for c in conditions]
    metadata = {"name": "feed-optimise-1", "namespace": "shop", "uid": "j", "ownerReferences": [reference]}
    return {"metadata": metadata, "status": {**status, **({"conditions": said} if said else {})}}


FAILED = ("Failed", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
COURSES = {
    "none": (None, JobProgress()),
    "one of another RecModel of the name": (live(FAILED, uid="u-0"), JobProgress()),
    "new": (live(), JobProgress("Running")),
    "running": (live(active=1, ready=1), JobProgress("Running")),
    "running after a failure": (live(active=1, failed=1), JobProgress("Running", "1 of 3 attempts failed so far")),
    "suspended and resumed": (live(("Suspended", "False", "JobResumed", "")), JobProgress("Running")),
    # Its pods still end: the end itself comes after this.
    "about to fail": (live(("FailureTarget", "True", "DeadlineExceeded", "late")), JobProgress("Running")),
    "about to end well": (live(("SuccessCriteriaMet", "True", "CompletionsReached", "")), JobProgress("Running")),
    "complete": (live(("SuccessCriteriaMet", "True", "", ""), ("Complete", "True", "", "")), JobProgress("Complete")),
    "complete after a failure": (live(("Complete", "True", "", ""), failed=2), JobProgress("Complete")),
    "failed": (live(FAILED, failed=3), JobProgress("Failed", f"{FAILED[2]}: {FAILED[3]}")),
    "failed, nothing said": (live(("Failed", "True", "", "")), JobProgress("Failed")),
}


@pytest.mark.parametrize("case", COURSES)
def test_how_far_a_job_has_come_is_read_from_its_conditions(case: str) -> None:
    found, expected = COURSES[case]
    assert job_progress(OWNER, found) == expected


class Creating:
    """The client's `create` over a set of names."""

    def __init__(self, refuses: bool = False) -> None:
        self.created: list[str] = []
        self.refuses = refuses

    async def create(self, kind: names.Kind, made: dict[str, Any], retries: int) -> dict[str, Any]:
        assert kind == names.JOB
        if self.refuses:
            raise ApiRefused("jobs are forbidden", 403)
        if made["metadata"]["name"] in self.created:
            raise Conflict("exists", 409)
        self.created.append(made["metadata"]["name"])
        return made


def test_a_job_that_exists_is_left_alone() -> None:
    client = Creating()
    actor = Actor(client, Inventory())  # type: ignore[arg-type]
    name = asyncio.run(actor.optimise(OWNER, spec()))
    assert asyncio.run(actor.optimise(OWNER, spec())) == name
    assert client.created == [name]


def test_a_job_that_an_earlier_recmodel_of_the_name_left_behind_is_waited_for() -> None:
    """It goes with its RecModel, soon: taken for the new one's own, no variant would ever be made."""
    client, inventory = Creating(), Inventory()
    actor = Actor(client, inventory)  # type: ignore[arg-type]
    earlier = job(Owner(OWNER.namespace, OWNER.name, "u-0"), spec())
    assert earlier is not None
    client.created.append(earlier["metadata"]["name"])
    earlier["metadata"] |= {"uid": "j-0", "resourceVersion": "1"}
    inventory.see(names.JOB, "ADDED", earlier)
    with pytest.raises(NameTaken, match="not owned by this RecModel"):
        asyncio.run(actor.optimise(OWNER, spec()))
    inventory.see(names.JOB, "DELETED", earlier)
    client.created.clear()
    assert asyncio.run(actor.optimise(OWNER, spec())) == earlier["metadata"]["name"]
    assert client.created == [earlier["metadata"]["name"]]


def desired(**more: Any) -> Desired:
    return learned(Desired(generation=1, written=spec(**more)), OWNER, [])


def tracked(mode: str) -> Tracked:
    return Tracked(OWNER, desired(mode=mode))


def reconciler(client: Creating) -> Reconciler:
    return Reconciler(Actor(client, Inventory()), Inventory(), (None, None), lambda _: None)  # type: ignore[arg-type]


def test_it_is_asked_for_once_a_spec_and_only_where_the_operator_acts() -> None:
    client = Creating()
    kept = reconciler(client)
    for mode in ("Recommend", "Paused"):
        asyncio.run(kept._optimise(tracked(mode)))
    assert client.created == []
    acting = tracked("Auto")
    for image in ("a:1", "a:1", "a:2"):
        acting.desired = desired(image=image)
        asyncio.run(kept._optimise(acting))
    assert len(client.created) == 2


def test_a_job_that_ended_well_is_not_run_again_until_there_was_another() -> None:
    client = Creating()
    kept, acting = reconciler(client), tracked("Auto")
    acting.desired = learned(Desired(written=acting.spec), OWNER, [])
    acting.recalled = Recalled(finished_job=acting.desired.job)
    asyncio.run(kept._optimise(acting))
    assert client.created == []
    for image in ("a:2", "optimiser:1"):
        acting.desired = learned(replace(acting.desired, written=spec(image=image)), OWNER, [])
        asyncio.run(kept._optimise(acting))
    assert client.created == [job_name(OWNER, s.optimisation) for s in (spec(image="a:2"), spec()) if s.optimisation]


def test_what_is_refused_is_tried_again() -> None:
    refused, acting = Creating(refuses=True), tracked("Auto")
    again_seconds = asyncio.run(reconciler(refused)._optimise(acting))
    assert again_seconds
    assert acting.applied.optimised is None
    assert acting.applied.unstarted is not None
    assert isinstance(acting.applied.unstarted.error, ApiRefused)
    refused.refuses = False
    acting.retries.keep(())  # the wait is over
    assert asyncio.run(reconciler(refused)._optimise(acting)) is None
    assert len(refused.created) == 1
    assert acting.applied.unstarted is None


def test_its_account_must_be_allowed_by_the_operators_setting() -> None:
    found = read_spec(body())
    assert isinstance(found, Reason)
    assert "spec.optimisation.template.spec.serviceAccountName is 'feed-optimise'" in found.message
    assert isinstance(read_spec(body(), Permitted(("feed-optimise",))), RecModelSpec)


def test_the_role_lets_the_operator_create_and_see_jobs_and_nothing_else_with_them() -> None:
    text = (ROOT / "charts/recmodel/templates/_helpers.tpl").read_text(encoding="utf-8")
    rules = yaml.safe_load(text.split('define "recmodel.rules.act" -}}')[1].split("{{- end")[0])
    assert [rule["verbs"] for rule in rules if rule["resources"] == ["jobs"]] == [["list", "watch", "create"]]
