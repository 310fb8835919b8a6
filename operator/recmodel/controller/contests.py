"""How long replicas of workloads that are not ours are fought for with whoever writes over them, also over a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from recmodel.cluster.observed.pool_state import Contest, PoolState, Reference
from recmodel.cluster.observed.referenced import Workload
from recmodel.cluster.writing.drift import Child
from recmodel.controller.reference_watch import workloads
from recmodel.controller.tracked import Contested, Scaled, Tracked
from recmodel.report.reference_holds import contested

STANDS_SECONDS = 300.0  # longer than Argo CD takes to look at what nothing has told it of


def child_of(workload: Workload) -> Child:
    """The workload as corrections and refusals are counted by."""
    return workload.kind, workload.name


def written(tracked: Tracked, child: Child, replicas: int, now: float) -> None:
    """This process has written the replicas of a workload; ``now`` is monotonic, here and below."""
    scaled = tracked.contested.scaled
    ours = replace(scaled.get(child, Scaled(replicas, now)), replicas=replicas)
    tracked.contested = replace(tracked.contested, scaled={**scaled, child: ours})


def forget_written(tracked: Tracked) -> None:
    """The replicas that stand now are nobody's change."""
    tracked.contested = replace(tracked.contested, scaled={})


def count_overwritten(tracked: Tracked, states: Mapping[str, PoolState], now: float, time_seconds: float) -> None:
    """Where other replicas stand than this process wrote last, somebody else wrote them: that counts once, with who it was. A number
    that no other field manager owns is ours, though its answer was lost.
    """
    before, referred = tracked.contested, workloads(tracked.owner.namespace, tracked.spec)
    children = {pool: child_of(workload) for pool, workload in referred.items()}
    contests = {
        child: one
        for child, one in before.contests.items()
        if child in children.values() and not over(tracked, child, now)
    }
    tracked.contests.keep(contests)
    scaled: dict[Child, Scaled] = {}
    for pool, child in children.items():
        state, last = states[pool], before.scaled.get(child)
        if state.reference is None or state.left_alone or not state.exists:
            continue
        if last is None:  # a contest of another process ends as well when the number stands that is wanted
            if child in contests and (not state.reference.replicas_holders or _as_wanted(tracked, pool, state)):
                scaled[child] = Scaled(state.desired, now)
            continue
        if state.desired == last.replicas or not state.reference.replicas_holders:
            scaled[child] = replace(last, replicas=state.desired)
            continue
        stood_seconds = max(now - last.at, contests[child].stood_seconds if child in contests else 0.0)
        tracked.contests.made([child], now)
        times = tracked.contests.attempts(child)
        contests[child] = _contest(state.reference, child, times, time_seconds, stood_seconds)
    tracked.contested = Contested(scaled, contests)


def over(tracked: Tracked, child: Child, now: float) -> bool:
    """Whether nobody writes over the replicas any more."""
    last, contest = tracked.contested.scaled.get(child), tracked.contested.contests.get(child)
    if last is None or contest is None:
        return False
    return stands(last.at, contest.stood_seconds, now)


def stands(since: float, stood_seconds: float, now: float) -> bool:
    """Whether nobody writes over what was written here at ``since``: it has stood for twice as long as any before it, and for five
    minutes. A tool that looks once an hour leaves each for an hour at most.
    """
    return now - since > max(STANDS_SECONDS, 2.0 * stood_seconds)


def recall_contests(tracked: Tracked, now: float, time_seconds: float) -> None:
    """Goes on with the contests that the status tells of, and with no other: whoever acted until now knows best."""
    contests: dict[Child, Contest] = {}
    tracked.contests.keep(())
    for pool, workload in workloads(tracked.owner.namespace, tracked.spec).items():
        told, child = tracked.recalled.contests.get(pool), child_of(workload)
        shown, writers = f"{workload.kind.kind} {workload.name}", told.writers if told else ()
        reference = Reference(shown, replicas_holders=writers, group=workload.kind.group)
        if told is None or told.target != reference.shown:  # the targetRef was edited meanwhile
            continue
        contests[child] = _contest(reference, child, told.times, told.time_seconds, told.stood_seconds)
        tracked.contests.recall(child, told.times, now - max(0.0, time_seconds - told.time_seconds))
    tracked.contested = Contested(contests=contests)


def _contest(reference: Reference, child: Child, times: int, time_seconds: float, stood_seconds: float) -> Contest:
    said = contested(reference, child[1])
    return Contest(said, reference.replicas_holders, times, time_seconds, stood_seconds)


def _as_wanted(tracked: Tracked, pool: str, state: PoolState) -> bool:
    wanted = tracked.wanted.get(pool) if tracked.wanted is not None else None
    return wanted is not None and wanted.replicas == state.desired
