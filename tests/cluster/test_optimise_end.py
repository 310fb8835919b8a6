"""How the Job of a RecModel ends is said in the RecModel, whatever becomes of the Job; and nothing that serves minds.

The Jobs here only end: what a real one makes is test_optimise.py's.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from figures import measured
from installed import OPERATOR_NAMESPACE, TICK_SECONDS, holder, operator_pod
from kube import Kube, Object, eventually, run, throughout
from serving import IMAGE, Pool, Served
from side_by_side import together
from versions import publish, record

from recmodel.cluster import names
from recmodel.cluster.children.optimiser_job import OPTIMISES_LABEL

pytestmark = pytest.mark.cluster

# Three attempts, with pauses of 10 s and 20 s that the Job's controller makes between them.
FAILED_SECONDS = 150.0
ENDED_SECONDS = 60.0


def optimisation(script: str) -> Object:
    """A Job that runs a line of Python in the operator's own image, which every cluster of the tests has."""
    container = {
        "name": "optimise",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", script],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "300m", "memory": "96Mi"}},
        "securityContext": {"runAsNonRoot": True},
    }
    return {"deadline": "10m", "template": {"spec": {"containers": [container]}}}


def jobs(served: Served) -> list[str]:
    """The names of the RecModel's Jobs."""
    found = served.kube.list(names.JOB, served.namespace, f"{OPTIMISES_LABEL}={served.name}")
    return [job["metadata"]["name"] for job in found]


def told(served: Served, reason: str) -> list[str]:
    """The type of each Event about the RecModel with this reason."""
    events = served.kube.list(names.EVENT, served.namespace)
    return [e["type"] for e in events if e["involvedObject"]["kind"] == "RecModel" and e["reason"] == reason]


def keeps(served: Served, status: str, reason: str) -> Callable[[], None]:
    """For ``throughout``: the condition stays so."""
    look = served.has("VariantsReady", status, reason)

    def stays() -> None:
        look()

    return stays


@together
def test_a_job_that_fails_is_said_and_told_and_what_serves_goes_on(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(Pool(), optimisation=optimisation("raise SystemExit('no such model')"))
    served.wait_ready(cpu=1)
    (job,) = eventually("the Job is there", lambda: jobs(served), 30.0)
    ready = served.condition("Ready")

    eventually("it failed", served.has("VariantsReady", "False", "OptimisationFailed"), FAILED_SECONDS, 1.0)
    message = served.condition("VariantsReady")["message"]
    measured("a Job that fails, in the condition", message)
    assert "BackoffLimitExceeded" in message
    assert served.status()["optimisationJob"] == job
    command = message.partition("; look: ")[2]
    assert command == f"kubectl -n {served.namespace} logs job/{job}"
    assert "no such model" in run(*command.split())
    eventually("it is told", lambda: told(served, "OptimisationFailed") == ["Warning"], 30.0)

    assert served.condition("Ready")["status"] == "True"
    # Of the same moment as before: it never was anything else.
    assert served.condition("Ready")["lastTransitionTime"] == ready["lastTransitionTime"]

    kube.delete(names.JOB, served.namespace, job)
    eventually("the Job is gone", lambda: not jobs(served), 30.0)
    throughout(2.5 * TICK_SECONDS, keeps(served, "False", "OptimisationFailed"))


def test_a_job_that_ended_well_stays_so_when_it_is_gone_and_the_operator_is_new(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    publish(kube, namespace, "ranker", record("full", "1"))
    served = serve(Pool(variant="full"), variants=[{"name": "full"}], optimisation=optimisation("print('made')"))
    served.wait_ready(cpu=1)
    eventually("it ended well", served.has("VariantsReady", "True", "OptimisationComplete"), ENDED_SECONDS, 1.0)
    assert "chosen: full, version 1: for a test" in served.condition("VariantsReady")["message"]
    eventually("it is told", lambda: told(served, "OptimisationComplete") == ["Normal"], 30.0)

    (job,) = jobs(served)
    kube.delete(names.JOB, namespace, job)
    eventually("the Job is gone", lambda: not jobs(served), 30.0)
    killed = operator_pod(kube)["metadata"]["name"]
    kube.delete(names.POD, OPERATOR_NAMESPACE, killed, grace_seconds=0)
    # The Lease of the one that was killed runs out first.
    eventually("the new one acts", lambda: holder(kube) not in ("", killed), 120.0, 1.0)
    served.change({"objective": {"latency": {"threshold": "120ms"}}})
    generation = served.body()["metadata"]["generation"]
    eventually("it has looked", lambda: served.status().get("observedGeneration", 0) >= generation, 60.0, 1.0)

    def stays() -> None:
        keeps(served, "True", "OptimisationComplete")()
        assert jobs(served) == []

    throughout(2.5 * TICK_SECONDS, stays)
    assert told(served, "OptimisationComplete") == ["Normal"]
