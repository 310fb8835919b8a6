"""For how many replicas beyond the decided ones nodes are to be there, so that the next rise does not wait for a node.

A replica that needs a new node is ready later than one that finds a place: the plan is asked once more, as if every replica took so
long, and with all nodes that the limits allow. What it then wants is the need. A need that was there stays for as long as a new
node takes, since giving a node up costs that time again. Replicas that are decided take of it at once: the node autoscaler sees their
pods. With a need of 8 and 5 decided, nodes for 3 more are asked for.

Shapes: ``[M, P]`` pools.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from recmodel.core import pods as core_pods
from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.forecast import candidates
from recmodel.core.forecast.candidates import ForecastMemory, LoadForecast
from recmodel.core.plan.mix import propose
from recmodel.core.plan.situation import Situation
from recmodel.core.pods import Pods


@dataclass(frozen=True)
class NodeBufferMemory:
    """What is kept of the nodes that each pool needs."""

    startup_seconds: Floats = field(metadata=axes("MP"))  # creation to Ready where no node was there; NaN: not measured
    held: Floats = field(metadata=axes("MP"))  # replicas in all for which there are to be nodes; NaN: not known yet
    lower: Floats = field(metadata=axes("MP"))  # the largest need since it has been below ``held``
    lower_ticks: Ints = field(metadata=axes("MP"))  # for which it has


@dataclass(frozen=True)
class NodeBuffers:
    """What is asked for in one tick."""

    asks: Bools  # a pool asks for a buffer
    replicas: Floats  # beside the decided ones; NaN: not known, what stands stays
    decided: Ints
    need: Floats  # replicas in all that the plan wants at this horizon; NaN: not known now
    held: Floats  # the largest need of the time that a new node takes
    startup_seconds: Floats  # of a new replica on a new node
    measured: Bools  # that is what pods have shown; else it is the start-up and the lead time of the spec
    forecast: LoadForecast


def empty(models: int, pools: int) -> NodeBufferMemory:
    """Nothing was seen."""
    shape = (models, pools)
    unknown = np.full(shape, np.nan)
    return NodeBufferMemory(unknown, unknown.copy(), np.zeros(shape), np.zeros(shape, np.int64))


def size(
    memory: NodeBufferMemory,
    situation: Situation,
    forecaster: ForecastMemory,
    pods: Pods,
    decided: Ints,
    now_seconds: float,
) -> tuple[NodeBufferMemory, NodeBuffers | None]:
    """One tick, for the ``decided`` replicas ``[M, P]`` of what ``situation`` holds; None where no pool asks for a buffer."""
    fleet, seen = situation.fleet, situation.seen
    asks = np.isfinite(fleet.node_lead_seconds) & ~fleet.leaving
    if not asks.any():
        return empty(*asks.shape), None
    shown = np.where(np.isfinite(seen.node_startup_seconds), seen.node_startup_seconds, memory.startup_seconds)
    startup = startup_on_new_node(fleet, pods.startup_seconds, shown)
    forecast, _ = candidates.predict(
        forecaster, core_pods.horizon(fleet, startup), now_seconds, pods.blind_seconds, fleet.calendars
    )
    forecast = replace(forecast, upper_quantile=situation.forecast.upper_quantile)
    need = _need(situation, forecast, startup, asks & (pods.blind_seconds == 0.0)[:, None])
    ticks = np.maximum(np.ceil(startup / fleet.tick_seconds), fleet.span_ticks)
    memory = held(replace(memory, startup_seconds=shown), asks, need, seen.desired + seen.buffered, ticks)
    return memory, NodeBuffers(
        asks=asks,
        replicas=beside(memory.held, decided, fleet.max_replicas),
        decided=decided,
        need=need,
        held=memory.held,
        startup_seconds=startup,
        measured=np.isfinite(shown),
        forecast=forecast,
    )


def startup_on_new_node(fleet: Fleet, startup_seconds: Floats, shown_seconds: Floats) -> Floats:
    """Seconds ``[M, P]`` from the creation of a replica that finds no node until it counts in full: as pods have ``shown`` (NaN: none
    did), else the usual start-up and the lead time of the spec. Where no buffer is asked for, the usual one.
    """
    guess = startup_seconds + np.nan_to_num(fleet.node_lead_seconds)
    known = np.where(np.isfinite(shown_seconds), shown_seconds + fleet.warm_up_seconds, guess)
    result: Floats = np.where(np.isfinite(fleet.node_lead_seconds), np.maximum(known, startup_seconds), startup_seconds)
    return result


def _need(situation: Situation, forecast: LoadForecast, startup_seconds: Floats, known: Bools) -> Floats:
    """Replicas ``[M, P]`` that the plan wants of a pool whose pods start so late; NaN where it is not ``known``, or rests on a guess."""
    fleet = situation.fleet
    proposal = propose(
        replace(
            situation,
            forecast=forecast,
            most=fleet.max_replicas,  # where pods find no node just now, the buffer is what asks for some
            startup_seconds=startup_seconds,
            slower=core_pods.slower(fleet, startup_seconds),
        )
    )
    known = known & np.isfinite(proposal.per_replica) & ~situation.assumed & np.isfinite(forecast.upper)
    return np.where(known, proposal.replicas.astype(float), np.nan)


def held(
    memory: NodeBufferMemory, asks: Bools, need: Floats, standing: Floats, window_ticks: Floats
) -> NodeBufferMemory:
    """The memory after a tick with this ``need``. It rises at once, and falls to the largest need of the last ``window_ticks`` when it was
    lower for all of them; an unknown one (NaN) counts as neither. ``standing`` is what another process had asked for, replicas
    that run included (NaN: nothing): it is held as if it had been needed.
    """
    known = asks & np.isfinite(need)
    before = np.where(np.isfinite(memory.held), memory.held, np.fmax(need, standing))
    before = np.where(known | np.isfinite(memory.held), before, np.nan)
    higher = known & (need >= before)
    falls = known & ~higher
    lower = np.where(falls, np.maximum(memory.lower, need), np.where(higher, 0.0, memory.lower))
    ticks = np.where(falls, memory.lower_ticks + 1, np.where(higher, 0, memory.lower_ticks))
    over = falls & (ticks > window_ticks)
    return replace(
        memory,
        held=np.where(asks, np.where(higher, need, np.where(over, lower, before)), np.nan),
        lower=np.where(asks & ~over, lower, 0.0),
        lower_ticks=np.where(asks & ~over, ticks, 0),
    )


def beside(held_replicas: Floats, decided: Ints, most: Ints) -> Floats:
    """Replicas ``[M, P]`` beside the ``decided`` ones for which nodes are asked for: never below 0, and with these never more than the pool
    may have. NaN where nothing is known.
    """
    result: Floats = np.maximum(np.minimum(held_replicas, most) - decided, 0.0)
    return result
