"""What stands in the cluster for one pool, as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from recmodel.cluster.children.versions import AS_WRITTEN, Serving
from recmodel.cluster.observed.node_buffers import NodeBufferState
from recmodel.cluster.observed.pods import PodState
from recmodel.cluster.observed.startups import StartUp
from recmodel.cluster.observed.unready import Unready
from recmodel.cluster.observed.waits import Waits, together
from recmodel.core.types import Reason


@dataclass(frozen=True, slots=True)
class Contest:
    """That somebody else keeps writing over replicas, or the weights of a rule, that were written here."""

    said: Reason  # who it is, and the way out
    writers: tuple[str, ...]  # the field managers, as they were the last time
    times: int  # in a row
    time_seconds: float  # of the last time, Unix
    stood_seconds: float  # how long what was written here has stood at most


@dataclass(frozen=True, slots=True)
class Routed:
    """The traffic of a pool in the rule of somebody else's route."""

    weight: int | None  # of 1,000 of the rule; where it is in doubt, that it is above 0; None: not known
    held: Reason | None = (
        None  # why the weights of the rule are not set; in other modes than Auto, what is wrong with it
    )
    contested: Contest | None = None  # who keeps writing over the weights that were written here


@dataclass(frozen=True, slots=True)
class Reference:
    """Of a pool that refers to a workload which is not ours."""

    shown: str  # the workload: "Deployment ranker-cpu"
    acting: tuple[str, ...] = ()  # who scales or releases it now, as "HorizontalPodAutoscaler ranker-cpu"
    problem: Reason | None = None  # why it is not there or cannot be read
    cpu_limit_cores: float | None = None  # of one of its pods
    made_by: str | None = None  # the name of the RecModel whose child it is
    replicas_holders: tuple[str, ...] = ()  # the field managers that own its replicas, ours aside
    held: Reason | None = None  # why it is not scaled, though the mode is Auto
    contested: Contest | None = None
    group: str = "apps"  # of its kind
    replicas_at: str = "/spec/replicas"  # where it keeps them, as a JSON pointer
    routed: Routed | None = None  # None: the RecModel refers to no route


@dataclass(frozen=True, slots=True)
class PoolState:
    """What stands in the cluster for one pool."""

    exists: bool  # its Deployment does
    desired: int  # spec.replicas
    ready: int  # pods that answer
    unschedulable: int  # pods that no node takes, that a scheduling gate holds, or that a quota forbids
    starting_seconds: float | None  # median, node to Ready, of recent pods: the pool's own part of a start-up
    pods: tuple[str, ...]
    updating: bool  # a roll-out is under way, or may be: see unseen
    autoscaler: str | None  # somebody else's HorizontalPodAutoscaler that scales the Deployment
    serving: Serving = AS_WRITTEN  # the version that the Deployment was made for
    stalled: bool = False  # its new pods did not become ready in time
    releaser: str | None = None  # somebody else's tool that replaces the pods or shifts the traffic, with its kind
    scheduling_seconds: float | None = (
        None  # median, creation to a node, of those that got one soon: the cluster's part
    )
    gated: int = 0  # of the unschedulable: pods that wait for whoever set their scheduling gates
    waits: tuple[Waits, ...] = ()  # why pods do not start or cannot be created, in the cluster's own words
    unready: tuple[Unready, ...] = ()  # pods that have a node, wait for nothing in waits, and are not Ready
    unseen: bool = False  # the cluster has not acted on the Deployment's newest spec, of whatever change
    recalled_startup_seconds: float | None = None  # as another process had learned it
    reference: Reference | None = None  # None: the pool's children are ours
    ready_since: tuple[float, ...] = ()  # Unix time, of the ready pods of which it is known, the youngest first
    node_wait_seconds: float | None = None  # the longest of recent pods that no node took at first
    node_buffer: NodeBufferState | None = None  # None: none is asked for

    @property
    def left_alone(self) -> bool:
        """Whether its replicas are not ours to change: somebody else scales or releases it."""
        held = self.reference is not None and self.reference.held is not None
        return held or self.autoscaler is not None or self.releaser is not None

    def warming_for(self, now_seconds: float, warm_up_seconds: float) -> tuple[float, ...]:
        """For how many seconds those pods have been ready that still warm, the youngest first."""
        ages = (max(now_seconds - since, 0.0) for since in self.ready_since)
        return tuple(age for age in ages if age < warm_up_seconds)

    @property
    def startup_seconds(self) -> float | None:
        """What a new replica takes from its creation to Ready, where a node can be had: as pods have shown, else as is
        recalled; None where neither is known.
        """
        if self.starting_seconds is None:
            return self.recalled_startup_seconds
        return self.starting_seconds + (self.scheduling_seconds or 0.0)

    @property
    def node_startup_seconds(self) -> float | None:
        """What a new replica takes from its creation to Ready where no node is there, as pods have shown; None where none has."""
        if self.starting_seconds is None or self.node_wait_seconds is None:
            return None
        return self.starting_seconds + self.node_wait_seconds


def ours_to_change(pools: Mapping[str, PoolState]) -> bool:
    """Whether decisions for these pools may be carried out. The weights of a route need all of its pools; workloads that are referred
    to are scaled each for itself.
    """
    by_reference = any(state.reference is not None for state in pools.values())
    alone = [state.left_alone for state in pools.values()]
    return not all(alone) if by_reference else not any(alone)


def leaves(state: PoolState) -> PoolState:
    """The state of a pool that leaves: whoever else scales or releases it does not keep it."""
    return replace(state, autoscaler=None, releaser=None)


def jointly_routed(pools: Mapping[str, PoolState]) -> bool:
    """Whether the weights of workloads that are referred to are the operator's to set, in a rule of somebody else's route: where each
    is known, and scaled by nobody else. Else each pool has to carry the part of the requests that it gets.
    """
    references = [state.reference for state in pools.values()]
    return (
        bool(references)
        and all(
            one is not None
            and one.problem is None
            and one.routed is not None
            and one.routed.weight is not None
            and one.routed.held is None
            for one in references
        )
        and not any(state.left_alone for state in pools.values())
    )


def routed_weights(pools: Mapping[str, PoolState]) -> dict[str, int]:
    """By pool its weight in the rule of somebody else's route, where that is known."""
    found = {name: state.reference.routed for name, state in pools.items() if state.reference is not None}
    return {name: one.weight for name, one in found.items() if one is not None and one.weight is not None}


class Replicated(Protocol):
    """What replicates the pods of a pool: a Deployment of ours, or a workload that a pool refers to."""

    @property
    def desired(self) -> int: ...
    @property
    def updating(self) -> bool: ...
    @property
    def unseen(self) -> bool: ...
    @property
    def stalled(self) -> bool: ...
    @property
    def forbidden(self) -> Waits | None: ...


def pool_state(workload: Replicated | None, pods: Sequence[PodState], startup: StartUp) -> PoolState:
    """The pool of a ``workload`` (None: it is not there) and its pods. Pods that the API refuses to create wait, too."""
    waiting = sum(pod.waits_for_node is not None for pod in pods)
    refused = []
    if workload is not None and workload.forbidden is not None:
        refused = [("", "", (workload.forbidden,))]
        waiting += max(0, workload.desired - len(pods))
    return PoolState(
        exists=workload is not None,
        desired=workload.desired if workload is not None else 0,
        ready=sum(pod.ready for pod in pods),
        unschedulable=waiting,
        starting_seconds=startup.starting_seconds,
        scheduling_seconds=startup.scheduling_seconds,
        node_wait_seconds=startup.node_wait_seconds,
        pods=tuple(sorted(pod.name for pod in pods)),
        updating=workload is not None and workload.updating,
        unseen=workload is not None and workload.unseen,
        autoscaler=None,
        stalled=workload is not None and workload.stalled,
        gated=sum(pod.gated for pod in pods),
        waits=together([*refused, *((pod.name, pod.uid, pod.waits) for pod in pods if pod.waits)]),
        unready=tuple(pod.unready for pod in pods if pod.unready is not None),
        ready_since=tuple(
            sorted((pod.ready_since for pod in pods if pod.ready and pod.ready_since is not None), reverse=True)
        ),
    )
