"""Working for many at once where one of them breaks it: the halves are tried apart, down to the one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from recmodel.controller.tracked import Tracked
from recmodel.core.arrays.carry_over import carry, stays
from recmodel.core.memory import Memory, begin
from recmodel.core.types import Model

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


def halved(
    work: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    alone: Callable[[Item, Exception], Result | None],
    passes: tuple[type[Exception], ...] = (),
) -> list[Result]:
    """What ``work`` makes of all items, in as few parts as it can be done without an error. An item that fails alone is
    given to ``alone``, whose result counts where it is not None. Errors in ``passes`` are nobody's fault: they are raised.
    """
    try:
        return [work(items)]
    except passes:
        raise
    except Exception as error:
        if len(items) == 0:
            raise
        if len(items) == 1:
            found = alone(items[0], error)
            return [] if found is None else [found]
    middle = len(items) // 2
    return halved(work, items[:middle], alone, passes) + halved(work, items[middle:], alone, passes)


def each(
    models: Sequence[Tracked], what: str, work: Callable[[Tracked], Result], failed: dict[str, str]
) -> dict[str, Result]:
    """What ``work`` makes of each model, by key. One that it fails for is left out, and ``failed`` gets what was being
    worked on and why.
    """
    found: dict[str, Result] = {}
    for tracked in models:
        if tracked.key in failed:
            continue
        try:
            found[tracked.key] = work(tracked)
        except Exception as error:
            failed[tracked.key] = problem(what, error)
            logger.debug("%s: %s", tracked.key, failed[tracked.key], exc_info=error)
    return found


def problem(what: str, error: Exception) -> str:
    """``deciding failed: ValueError: ...``"""
    return f"{what} failed: {type(error).__name__}: {str(error)[:500]}"


def joined(models: Sequence[Model], parts: Sequence[Memory]) -> Memory:
    """One memory of ``models`` out of several that hold different ones of them; what none holds knows nothing."""
    if len(parts) == 1 and parts[0].fleet.models == tuple(models):
        return parts[0]
    fleet = parts[0].fleet
    memory = begin(models, fleet.tick_seconds, rate_window_seconds=fleet.rate_window_seconds)
    for part in parts:
        memory = carry(memory, part, stays(part.fleet.models, models))
    return memory


def recalled(memory: Memory, kept: Mapping[str, Memory]) -> Memory:
    """The memory with the models in ``kept`` as they were known when they were left out; its clock stays."""
    models, result = memory.fleet.models, memory
    for row in kept.values():
        result = carry(result, row, stays(row.fleet.models, models))
    return carry(result, memory, stays((), models))
