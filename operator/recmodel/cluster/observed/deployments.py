"""What counts of a Deployment: how many replicas it is to have, how its roll-out goes, and for which version it is made."""

from __future__ import annotations

from dataclasses import dataclass

from recmodel.cluster.children.versions import Serving, serving_of, serving_of_pods
from recmodel.cluster.observed.shapes import Conditions, DeploymentShape
from recmodel.cluster.observed.waits import SENTENCE_CHARACTERS, Waits
from recmodel.cluster.transport.errors import shortened


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """One Deployment of a pool."""

    desired: int
    updating: bool  # a roll-out is under way, or may be: see unseen
    unseen: bool  # the cluster has not acted on the newest spec, of whatever change
    stalled: bool  # its new pods did not become ready in time
    forbidden: Waits | None  # why the API refuses to create its pods (a quota, an admission rule); None: it does not
    serving: Serving  # the version that it was made for
    serving_problem: (
        str | None
    )  # why the annotation that says so cannot be read; then this is what the pods themselves say


def deployment_state(deployment: DeploymentShape) -> DeploymentState:
    """The Deployment's state."""
    metadata, spec, status = deployment.metadata, deployment.spec, deployment.status
    progress = status.condition("Progressing")
    stale = status.observed_generation < metadata.generation
    old_pods = status.replicas > status.updated_replicas  # fewer new ones than wanted are no roll-out: it scales
    problem = None
    try:
        serving = serving_of(metadata.annotations)
    except ValueError as error:
        variables = {v.name: v.value for container in spec.template.spec.containers for v in container.env}
        serving, problem = serving_of_pods(spec.template.metadata.labels, variables), str(error)
    return DeploymentState(
        desired=spec.replicas,
        updating=stale or old_pods,
        unseen=stale,
        stalled=progress is not None and progress.reason == "ProgressDeadlineExceeded",
        forbidden=forbidden(status),
        serving=serving,
        serving_problem=problem,
    )


def forbidden(status: Conditions) -> Waits | None:
    """Why the API refuses to create the pods; None: it does not."""
    failure = status.condition("ReplicaFailure")
    if failure is None or failure.status != "True":
        return None
    return Waits(failure.reason, shortened(failure.message, SENTENCE_CHARACTERS), refused=True)
