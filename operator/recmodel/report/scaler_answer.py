"""What KEDA is told of a pool: the replicas that mode Auto would set now, or why that is not known. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from recmodel.prometheus.readings import Verdict
from recmodel.report.snapshot import Snapshot

LEAST_SECONDS, TICKS = 30.0, 4.0


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why there is no number. It is no zero: whoever asks is to keep what runs."""

    message: str
    missing: bool = False  # what is asked for is not there, which asking again does not change


def oldest_seconds(tick_seconds: float) -> float:
    """How old a decision may be that is still handed out: a few ticks, since one of them may fail."""
    return max(LEAST_SECONDS, TICKS * tick_seconds)


def answer(snapshot: Snapshot, pool: str, now_seconds: float, oldest_seconds: float) -> int | Withheld:
    """The replicas of a pool. While the load is not known mode Auto adds replicas at most: only such a number is known then."""
    shown, spec, decided = f"RecModel {snapshot.owner.key}", snapshot.desired.spec, snapshot.decided
    if spec is None:
        return Withheld(f"{shown} has no valid spec: its condition Stalled says why")
    pools = [found.name for found in spec.pools]
    if pool not in pools:
        return Withheld(f"{shown} has no pool {pool}; it has {', '.join(pools)}", missing=True)
    if snapshot.desired.paused:
        return Withheld(f"{shown} is in mode Paused: set mode: Recommend")
    why = f": {decided.undecided.message}" if decided.undecided is not None else ""
    decision = snapshot.decision
    if decision is None or pool not in decision.acting_replicas:
        return Withheld(f"nothing was decided for {shown} yet{why}")
    age_seconds = now_seconds - decision.time_seconds
    if abs(age_seconds) > oldest_seconds:  # below zero where the clock was set back: its true age is not known then
        return Withheld(
            f"the last decision for {shown} is {age_seconds:.0f} s old, and at most {oldest_seconds:.0f} s are good{why}"
        )
    replicas, runs = decision.acting_replicas[pool], decision.pools[pool].replicas
    known = decided.reading is not None and decided.reading.verdict == Verdict.AVAILABLE
    if not known and replicas <= runs:
        said = decided.reading.message if decided.reading is not None else "Prometheus was not asked"
        return Withheld(f"the load of {shown} is not known: {said}")
    return int(replicas)
