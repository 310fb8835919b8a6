"""Pods that take longer to start, or to become Ready, than is usual: how long, what the kubelet says, and the way out. Pure.

A pool may take as long as its pods have shown, with some room, or as its probes declare. Before that nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping

from recmodel.cluster.children.builders import PROGRESS_DEADLINE_SECONDS
from recmodel.cluster.children.versions import VERSION_ON_TRIAL
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.cluster.observed.unready import Unready
from recmodel.cluster.observed.waits import KEPT_AT_MOST
from recmodel.core.types import Reason
from recmodel.report.snapshot import Snapshot

Overdue = Mapping[str, tuple[PoolState, list[Unready]]]  # by pool: its state, and its overdue pods, the longest first

# Reasons of conditions. API: never renamed.
PODS_NOT_READY = "PodsNotReady"
PODS_NOT_STARTED = "PodsNotStarted"

LEAST_SECONDS = 60.0  # a pod that takes no longer needs no word
ROOM_RATIO = 1.5  # of the usual start-up: a median of few pods, of which some had the image on their node


def overdue_by_pool(pools: Mapping[str, PoolState], now_seconds: float) -> Overdue:
    """The overdue pods of each pool that has some."""
    found = {name: overdue_pods(state, now_seconds) for name, state in pools.items()}
    return {name: (pools[name], pods) for name, pods in found.items() if pods}


def pods_not_started(snapshot: Snapshot, overdue: Overdue, now_seconds: float) -> Reason | None:
    """That pods have a node for long, and containers of theirs have never run; nothing else says why."""
    said = _said(snapshot, overdue, now_seconds, started=False)
    return Reason(PODS_NOT_STARTED, "; ".join(said)) if said else None


def pods_not_ready(snapshot: Snapshot, overdue: Overdue, now_seconds: float) -> Reason | None:
    """That the containers of pods have started and the pods are not Ready for long."""
    said = _said(snapshot, overdue, now_seconds, started=True)
    return Reason(PODS_NOT_READY, "; ".join(said)) if said else None


def overdue_pods(state: PoolState, now_seconds: float) -> list[Unready]:
    """Those of a pool that take longer than they may, the longest first."""
    usual = (state.startup_seconds or 0.0) * ROOM_RATIO
    overdue = [
        one
        for one in state.unready
        if now_seconds - one.since_seconds > max(LEAST_SECONDS, usual, one.declared_seconds)
    ]
    return sorted(overdue, key=lambda one: (one.since_seconds, one.pod))


def _said(snapshot: Snapshot, overdue: Overdue, now_seconds: float, *, started: bool) -> list[str]:
    result: list[str] = []
    for name, (state, late) in overdue.items():
        alike: dict[tuple[str, str], list[Unready]] = {}
        for one in late:
            if one.started == started:
                alike.setdefault((one.said, one.probe), []).append(one)
        for pods in list(alike.values())[:KEPT_AT_MOST]:
            result.append(_of(pods, name, snapshot, state, now_seconds))
    return result


def _of(pods: list[Unready], pool: str, snapshot: Snapshot, state: PoolState, now_seconds: float) -> str:
    """One sentence for pods of a pool that the kubelet says the same of."""
    first = pods[0]
    spent = shown_duration(now_seconds - first.since_seconds)
    one = len(pods) == 1
    if first.started:
        what = (
            f"1 pod has not been Ready for {spent}" if one else f"{len(pods)} pods are not Ready, the first for {spent}"
        )
        what += f", restarts of container {first.container}: {first.restarts}" if first.restarts else ""
    else:
        what = "1 pod has" if one else f"{len(pods)} pods have"
        what += f" not started, {spent} after {'it' if one else 'the first'} got a node"
    usual = (
        f"start-ups of the pool usually take {shown_duration(state.startup_seconds)}"
        if state.startup_seconds is not None
        else "what a start-up of the pool takes is not known yet"
    )
    return "; ".join(
        [
            f"pool {pool}: {what} ({usual}){': ' if first.said else ''}{first.said}",
            *_ways_out(first, pool, snapshot, state),
        ]
    )


def _ways_out(one: Unready, pool: str, snapshot: Snapshot, state: PoolState) -> list[str]:
    kubectl = f"kubectl -n {snapshot.owner.namespace}"
    described = f"{kubectl} describe pod {one.pod}"
    if not one.started:
        return [f"the Events of the pod say what it waits for (an image, a volume, the network): {described}"]
    found = []
    if not one.container:
        found.append(f"its containers are ready: look at its readiness gates and its node: {described}")
    else:
        logs = f"{kubectl} logs {one.pod} -c {one.container}"
        if one.probe:
            ports = {p.name: p.port for p in snapshot.desired.spec.pools} if snapshot.desired.spec is not None else {}
            serves = f", the port of the pool is {port}" if (port := ports.get(pool)) is not None else ""
            found.append(f"{one.probe}{serves}: check that the container answers there, and its log: {logs}")
        else:
            found.append(f"no probe of container {one.container} says why: look at its log: {logs}")
        if state.startup_seconds is None and not state.ready:
            found.append("where a start takes longer, declare it with a startupProbe")
    if state.serving.trial == VERSION_ON_TRIAL and state.serving.now is not None:
        found.append(
            f"version {state.serving.now.name} is rolled back where its pods are not Ready in "
            f"{shown_duration(PROGRESS_DEADLINE_SECONDS)}"
        )
    return found


def shown_duration(seconds: float) -> str:
    """As a person would say it: ``95 s``, ``12 min``, ``5 h``."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3 * 3600 else f"{seconds / 3600:.0f} h"
