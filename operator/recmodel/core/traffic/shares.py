"""The traffic of one tick: in proportion to what is ready, within the accuracy budget, held while blind, and never to nobody."""

from __future__ import annotations

from recmodel.core.arrays.fleet import Floats
from recmodel.core.traffic import accuracy_budget as budgets
from recmodel.core.traffic import overload
from recmodel.core.traffic.accuracy_budget import AccuracyBudget, AccuracyBudgetMemory
from recmodel.core.traffic.context import TrafficContext
from recmodel.core.traffic.weights import held_while_blind, to_the_ready, weigh


def share(memory: AccuracyBudgetMemory, context: TrafficContext) -> tuple[Floats, AccuracyBudget, AccuracyBudgetMemory]:
    """The shares ``[M, P]`` of one tick, the accuracy budget that they keep, and its memory."""
    sure, hoped = overload.ready_capacity(context)
    memory, budget = budgets.advance(memory, context.fleet, context.seen, context.load, sure, hoped)
    shares = overload.answering(weigh(context), context, sure, hoped, budget)
    shares = held_while_blind(shares, context.seen, context.ready, context.blind_seconds)
    return to_the_ready(shares, context.fleet, context.seen, context.replicas), budget, memory
