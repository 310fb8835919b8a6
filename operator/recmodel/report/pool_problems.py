"""What keeps pools from what was decided, beside what the operator itself could not do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from recmodel.cluster.observed.pool_state import PoolState, Reference
from recmodel.cluster.observed.waits import Waits
from recmodel.core.types import Decision, Reason
from recmodel.report.snapshot import Desired
from recmodel.report.way_out import way_out

# Reasons of conditions. API: never renamed.
ANOTHER_AUTOSCALER = "AnotherAutoscaler"
ANOTHER_RELEASER = "AnotherReleaser"
PODS_REFUSED = "PodsRefused"
PODS_NOT_STARTING = "PodsNotStarting"
RIGHTS_OBSERVE_ONLY = "RightsObserveOnly"


def withheld(desired: Desired) -> Reason | None:
    """That the operator may make and change none of the pools, and the way out."""
    if not desired.withheld:
        return None
    if desired.spec is not None and not desired.spec.made_pools:
        return Reason(
            RIGHTS_OBSERVE_ONLY,
            "the operator is installed with rights: observe, so it scales nothing: set mode: Recommend, or install it with rights: act",
        )
    return Reason(
        RIGHTS_OBSERVE_ONLY,
        "the operator is installed with rights: observe, so it makes and changes no pools: refer to workloads that run "
        "(targetRef, mode Recommend), or install it with rights: act",
    )


def others(pools: Mapping[str, PoolState]) -> Reason | None:
    """Who else scales or releases the pools, or writes over their replicas."""
    if owners := {name: state.autoscaler for name, state in pools.items() if state.autoscaler}:
        said = ", ".join(f"{owner} scales pool {name}" for name, owner in owners.items())
        return Reason(ANOTHER_AUTOSCALER, f"{said}: delete it, or take the pool out; its replicas are left alone")
    if releasers := {name: state.releaser for name, state in pools.items() if state.releaser}:
        said = ", ".join(f"{tool} releases pool {name}" for name, tool in releasers.items())
        said += ": versions, replicas and weights are left alone; delete it, or take the pool out"
        return Reason(ANOTHER_RELEASER, said)
    told = [(name, s.reference.held or _fought(s.reference)) for name, s in pools.items() if s.reference]
    # What is the matter with the workload itself is told of it, and not of somebody else.
    own = [s.reference.problem for s in pools.values() if s.reference]
    found = [(name, reason) for name, reason in told if reason is not None and reason not in own]
    if not found:
        return None
    # An autoscaler that is handed over keeps nobody from scaling then; what else holds a pool does, so it is the reason.
    first = next((one for _, one in found if one.reason != ANOTHER_AUTOSCALER), found[0][1])
    return Reason(first.reason, "; ".join(f"pool {name}: {one.message}" for name, one in found))


def _fought(reference: Reference) -> Reason | None:
    return reference.contested.said if reference.contested is not None else None


def missing(pools: Mapping[str, PoolState]) -> str:
    """Which pools have no Deployment, or not the workload that they refer to; empty where each has one."""
    absent = [name for name, state in pools.items() if not state.exists]
    referred = any(state.reference is not None for state in pools.values())
    return f"there is no {'workload' if referred else 'Deployment'} of {', '.join(absent)}" if absent else ""


def not_yet_ordered(decision: Decision | None, pools: Mapping[str, PoolState]) -> list[str]:
    """Where the Deployment has other replicas than were decided, as ``cpu 7 -> 5``; none where somebody else scales or releases."""
    if decision is None or others(pools):
        return []
    decided = {name: pool.replicas for name, pool in decision.pools.items()}
    return [
        f"{name} {state.desired} -> {decided[name]}"
        for name, state in pools.items()
        if decided.get(name, state.desired) != state.desired
    ]


def pods_refused(pools: Mapping[str, PoolState]) -> Reason | None:
    """That the API server creates no pods of theirs, and the way out."""
    said = [
        f"pool {name}: {one.said}{way_out(one.message)}"
        for name, state in pools.items()
        for one in state.waits
        if one.refused
    ]
    return Reason(PODS_REFUSED, "; ".join(said)) if said else None


def pods_not_starting(pools: Mapping[str, PoolState], explained: Collection[str] = ()) -> Reason | None:
    """That containers of theirs do not run, or run and do not become Ready; of the pools ``explained`` something else
    says why the latter.
    """
    said = pods_say(pools, lambda one: bool(one.container))
    silent = [
        name
        for name, state in pools.items()
        if state.stalled and state.desired > state.ready and not state.waits and name not in explained
    ]
    said += [
        f"pool {name}: ProgressDeadlineExceeded: new pods did not become Ready; look at the readiness probe and the log of "
        "the pods"
        for name in silent
    ]
    return Reason(PODS_NOT_STARTING, "; ".join(said)) if said else None


def pods_say(pools: Mapping[str, PoolState], of: Callable[[Waits], bool]) -> list[str]:
    """What the cluster says of the pods, in its own words."""
    return [f"pool {name}: {one.said}" for name, state in pools.items() for one in state.waits if of(one)]
