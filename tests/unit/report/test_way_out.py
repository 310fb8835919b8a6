"""A refusal names who refused and what to do, where the API server's sentence tells; else nothing is added to it."""

from __future__ import annotations

import pytest

from recmodel.cluster import names
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.cluster.observed.waits import Waits
from recmodel.cluster.transport.errors import ApiRefused, ApiUnavailable, refused
from recmodel.cluster.writing.outcome import Failure
from recmodel.report.pool_problems import pods_refused
from recmodel.report.refusals import joined

DEPLOYMENT = (names.DEPLOYMENT, "feed-cpu")
ACCOUNT = "system:serviceaccount:recmodel-system:recmodel"
# By what refuses: the status, the API server's sentence, and what is added to it.
TOLD: dict[str, tuple[int, str, str]] = {
    "a webhook": (
        403, 'admission webhook "images.example.com" denied the request: image server:1 is not signed.',
        "the admission webhook images.example.com refused it"),
    "a webhook that gives no reason": (
        400, 'admission webhook "images.example.com" denied the request without explanation',
        "the admission webhook images.example.com refused it"),
    "a webhook whose words are those of a quota": (
        403, 'admission webhook "q.example.com" denied the request: pods "x" is forbidden: exceeded quota: few, requested: a',
        "the admission webhook q.example.com refused it"),
    "a policy": (
        422, "deployments.apps \"feed-cpu\" is forbidden: ValidatingAdmissionPolicy 'team-label' with binding "
        "'team-label-shop' denied request: label team is missing",
        "the ValidatingAdmissionPolicy team-label (binding team-label-shop) refused it"),
    "a quota": (
        403, 'services "feed-cpu" is forbidden: exceeded quota: few.things, requested: services=1, used: services=3, '
        "limited: services=3", "the ResourceQuota few.things does not allow it: raise it"),
    "a quota that asks for limits": (
        403, 'pods "feed-cpu-7d9-x1" is forbidden: failed quota: compute: must specify limits.cpu for: server',
        "the ResourceQuota compute asks each container for these requests or limits"),
    "PodSecurity": (
        403, 'pods "feed-cpu-7d9-x1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        "PodSecurity restricted:latest refused it"),
    "a missing right": (
        403, f'deployments.apps "feed-cpu" is forbidden: User "{ACCOUNT}" cannot patch resource "deployments" in API group '
        '"apps" in the namespace "shop"', f"{ACCOUNT} lacks this right: grant it"),
}  # fmt: skip
UNTOLD = {
    "a value": 'Deployment.apps "feed-cpu" is invalid: spec.replicas: Invalid value: -1',
    "a webhook in the words of something else": 'is invalid: name: "admission webhook "x" denied the request"',
    "a quota in a value": 'Service "feed-cpu" is invalid: metadata.name: "exceeded quota: few, requested: a"',
    "a namespace that ends": 'services "feed-cpu" is forbidden: unable to create new content in namespace shop because it '
    "is being terminated",
    "a limit range": 'pods "feed-cpu" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
    "a quota that is not counted yet": 'pods "feed-cpu" is forbidden: status unknown for quota: few, resources: pods',
    "nothing": "",
}  # fmt: skip


def message(status: int, said: str) -> str:
    error = refused("PATCH x", status, {"kind": "Status", "message": said})
    return joined("shop", [Failure(DEPLOYMENT, error)]).message


@pytest.mark.parametrize("who", TOLD)
def test_who_refused_and_the_way_out_follow_the_whole_sentence(who: str) -> None:
    status, said, hint = TOLD[who]
    head, _, tail = message(status, said).partition(f": HTTP {status}: {said}; ")
    assert head == "Deployment shop/feed-cpu is refused"
    assert tail.startswith(hint)
    assert joined("shop", [], [ApiRefused("PATCH x: no", status, said)]).message.endswith(f"; {tail}")


@pytest.mark.parametrize("who", UNTOLD)
def test_a_refusal_that_does_not_tell_who_refused_gets_no_word_more(who: str) -> None:
    said = UNTOLD[who]
    assert message(403, said) == f"Deployment shop/feed-cpu is refused: HTTP 403: {said or 'PATCH x: HTTP 403: '}"


@pytest.mark.parametrize("who", TOLD)
def test_pods_that_are_refused_say_so_too(who: str) -> None:
    _, said, hint = TOLD[who]
    waits = (Waits("FailedCreate", said, refused=True),)
    reason = pods_refused({"cpu": PoolState(True, 1, 0, 1, None, (), False, None, waits=waits)})
    assert reason is not None
    assert reason.message.startswith(f"pool cpu: FailedCreate: {said}; {hint}")


def test_a_webhook_that_does_not_answer_is_named() -> None:
    said = 'Internal error occurred: failed calling webhook "images.example.com": failed to call webhook: Post "https://x": EOF'
    failure = Failure(DEPLOYMENT, ApiUnavailable(f"PATCH x: HTTP 500: {said}, 5 times", 500))
    assert (
        f"{said}, 5 times; the admission webhook images.example.com could not be called"
        in joined("shop", [failure]).message
    )
    other = Failure(DEPLOYMENT, ApiUnavailable("PATCH x: HTTP 500: Internal error occurred: etcdserver, 5 times", 500))
    assert joined("shop", [other]).message.endswith("etcdserver, 5 times")
