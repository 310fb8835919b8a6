"""What counts of a pod: which pool it is of, whether it answers, what it waits for, how long it took to start."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from recmodel.cluster.names import MODEL_LABEL, POOL_LABEL
from recmodel.cluster.observed.pod_shapes import ContainerState, PodShape
from recmodel.cluster.observed.unready import Unready, unready_of
from recmodel.cluster.observed.waits import Waits, waits_of

OVER = ("Failed", "Succeeded")
GATED = "SchedulingGated"
UNSCHEDULABLE = "Unschedulable"


@dataclass(frozen=True, slots=True)
class PodState:
    """One pod of a pool."""

    key: str  # of its model, "namespace/name"; of a workload that is referred to, its own
    pool: str
    name: str
    uid: str
    version: int = field(compare=False)
    ready: bool  # Ready, and not being deleted
    answers: bool  # Ready, whether or not it is being deleted
    begins: bool  # it surely has not been Ready yet
    restarted: bool  # a container of it has ended and was started again
    over: bool  # Failed or Succeeded: evicted, completed. It only lingers
    leaves: bool  # it is being deleted
    waits_for_node: (
        str | None
    )  # the reason why it has none (Unschedulable, SchedulingGated, ...); None: it has, or leaves
    scheduling_seconds: float | None  # creation to a node, both by the API server's clock
    starting_seconds: float | None  # node to Ready, both by the node's clock where the kubelet has said when it began
    waits: tuple[Waits, ...] = field(default=(), compare=False)  # said for people: its words change at each try
    unready: Unready | None = field(
        default=None, compare=False
    )  # since when it is not Ready, where no word of waits says why
    ready_since: float | None = field(
        default=None, compare=False
    )  # Unix time, see still_warm; None: not yet, or unknown
    restarts: int = field(default=0, compare=False)  # of all its containers

    @property
    def gated(self) -> bool:
        """Whether a scheduling gate holds it."""
        return self.waits_for_node == GATED


def labelled_pod_state(pod: PodShape, version: int) -> PodState | None:
    """The state of a pod of ours; None where its labels name no pool."""
    metadata = pod.metadata
    model, pool = metadata.labels.get(MODEL_LABEL), metadata.labels.get(POOL_LABEL)
    return pod_state(pod, version, f"{metadata.namespace}/{model}", pool) if model and pool else None


def pod_state(pod: PodShape, version: int, key: str, pool: str) -> PodState:
    """The pod's state; ``key`` and ``pool`` say whose it is."""
    metadata, status = pod.metadata, pod.status
    ready, scheduled = status.condition("Ready"), status.condition("PodScheduled")
    answers = ready is not None and ready.status == "True"
    restarts = sum(container.restart_count for container in status.container_statuses)
    # Not Ready alone is no beginning, it may be a blip; a pod of which a container never ran has never answered.
    unstarted = any(c.state.waiting is not None and c.last_state == ContainerState() for c in status.container_statuses)
    placed = scheduled.last_transition_time if scheduled is not None and scheduled.status == "True" else None
    began = status.start_time if status.start_time is not None else placed
    leaving = metadata.deletion_timestamp is not None
    homeless = scheduled is not None and scheduled.status == "False" and not leaving
    waits = () if leaving else waits_of(status, homeless)
    return PodState(
        key=key,
        pool=pool,
        name=metadata.name,
        uid=metadata.uid,
        version=version,
        ready=answers and not leaving,
        answers=answers,
        begins=ready is None or (not answers and unstarted and not restarts),
        restarted=restarts > 0,
        over=status.phase in OVER,
        leaves=leaving,
        waits_for_node=scheduled.reason if scheduled is not None and homeless else None,
        scheduling_seconds=_between(metadata.creation_timestamp, placed),
        starting_seconds=_between(began, ready.last_transition_time if ready is not None and answers else None),
        waits=waits,
        unready=None if answers or leaving or waits else unready_of(pod),
        ready_since=ready.last_transition_time if ready is not None and answers else None,
        restarts=restarts,
    )


def still_warm(pod: PodState, before: PodState | None, now_seconds: float) -> PodState:
    """The pod, Ready since the first time that it was, as far as it was seen ``before``: a probe that fails for a moment empties no
    cache. A container that was started again does. A node's clock that is ahead makes no pod younger than it was seen to be.
    """
    since = pod.ready_since
    if before is not None and before.uid == pod.uid and before.restarts == pod.restarts:
        since = before.ready_since if before.ready_since is not None else since
    return replace(pod, ready_since=min(since, now_seconds)) if since is not None else pod


def _between(begin: float | None, end: float | None) -> float | None:
    return end - begin if begin is not None and end is not None else None
