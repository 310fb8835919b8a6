"""What fails or is late at any load: the share of the requests that no replica would cure, and so is not answered with replicas.

Clients that give up, or a store behind the model that fails or is slow, spoil the same share of the requests however many replicas
there are. Too few replicas spoil a share that falls as replicas are added. At first sight the two look alike, so the pool
grows, and what came of it is compared (:mod:`recmodel.core.failures.by_load`). What is bad at any load is taken off before anything is
learned or answered with growth, what was learned of the capacity since the trouble began is unlearned, and the replicas that came
without effect go. Where a tenth and more is bad in one pool alone, the pool is broken: it gets no more replicas, and loses its
traffic.

What comes and goes counts at its worst. A broken pool gets its traffic back after half an hour in which the little that it still
gets was answered well.

Until the comparison speaks, the replicas grow to twice as many as the load needed before. Where nothing can be compared (all
requests are bad at both loads) growth may double once more, or twice where no capacity was known, and that it has not helped then
is the answer. Where replicas are fully used they may double once more at once, and again for as long as they are.

Shapes: ``[M, P]`` pools.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed
from recmodel.core.capacity import posterior
from recmodel.core.capacity.evidence import PLANNED_LATE_RATIO, Evidence, restored
from recmodel.core.capacity.posterior import CapacityMemory
from recmodel.core.capacity.samples import RETEST_SECONDS
from recmodel.core.capacity.sustained import one_load
from recmodel.core.failures import by_load
from recmodel.core.failures.by_load import (
    BLIND_RATIO,
    NOISE,
    bad_elsewhere,
    compare,
    failed_share,
    load_per_replica,
    net_of,
    recorded,
    standard_error,
)
from recmodel.core.failures.memory import FailingMemory
from recmodel.core.pods import Counts

UNPROVEN_GROWTH = 2.0  # times the replicas that the load needed before, until growth has helped ...
UNPROVEN_REPLICAS = 8  # ... or so many, if that is more: too few to be dear
BROKEN_RATIO = 0.1  # bad at any load in one pool alone: it counts as too slow, and loses its traffic
GRANTED_ROOM = 1.1  # times what was ready, for all that was granted to have been: the load moves while replicas come
LEAST_LOAD_PER_SECOND = 1e-9  # no load is divided by nothing
DOUBLINGS, DOUBLINGS_FROM_NOTHING = 2, 3  # granted where all is bad: with some load known to be good, and with none
MOST_RETESTS = 5  # each makes the next one wait twice as long: 16 hours


@dataclass(frozen=True)
class Failing:
    """The judgement of one tick ``[M, P]``."""

    seen: Observed  # net of what is bad at any load, in all pools
    learnable: Observed  # the same, unknown where too few requests were served to learn from
    late_ratio: Floats  # share that replicas may cure: certainly late, net of what is bad at any load in this pool
    floor: Floats  # share that is bad at any load; 0: none
    failed: Floats  # of it what fails
    replicas_per_load: Floats  # that may run for each request/s of the model; inf: not bounded
    gives_back: Bools  # what grew beyond it without effect goes
    from_replicas: Floats
    most_replicas: Ints
    higher: Floats
    lower: Floats

    def sentence(self, i: int, k: int) -> str:
        """The shares of pool ``k`` of model ``i``, the loads and sizes that were compared, and where to look."""
        needed, most = round(self.from_replicas[i, k]), int(self.most_replicas[i, k])
        grown = (
            f"{most} replicas, where the load needed {needed}, did not change it"
            if most > needed > 0
            else "load does not change it"
        )
        compared = f"{self.higher[i, k]:.1f}/s and {self.lower[i, k]:.1f}/s a replica"
        return (
            f"{self.floor[i, k]:.1%} of the requests are late or fail ({self.failed[i, k]:.1%} fail) at any load: "
            f"{grown} ({compared if self.higher[i, k] > 0 else 'nearly all are'}), so none are added for it; "
            "look at its errors, at what the model depends on, and at clients that give up"
        )


def judge(
    memory: FailingMemory, capacity: CapacityMemory, fleet: Fleet, seen: Observed, load: Floats, readies: Counts
) -> tuple[FailingMemory, CapacityMemory, Failing]:
    """One tick. ``load`` ``[M]`` is each model's arrivals in requests/s, NaN unknown; ``readies`` ``[T, M, P]`` are the ready
    replicas of the ticks before, the newest first; ``capacity`` is what was believed before this tick, and is given back without what was
    learned without effect.
    """
    budget = fleet.late_budget_ratio[:, None]
    loads = load_per_replica(seen, readies, fleet.span_ticks), load_per_replica(seen, readies, fleet.window_ticks)
    # What cold pods answer late is neither for nor against more replicas.
    known = fleet.exists & np.isfinite(loads[0]) & (loads[0] > 0) & np.isfinite(seen.late_upper_ratio) & ~seen.cold
    trouble = known & (seen.late_lower_ratio > budget)
    noise = NOISE * standard_error(seen.late_upper_ratio, seen.rate_per_second * fleet.rate_window_seconds)

    memory, whole = _forget(memory, fleet, known, trouble)
    capacity = _unlearned(memory, capacity, fleet, whole)
    alone = one_load(capacity.sampling.readings, fleet) & by_load.unchanged(seen, readies, fleet.span_ticks)
    recordable, steady, rises = by_load.recordable(seen, memory.late_before, known, memory.rises & alone, noise)
    record = recorded(memory.record, fleet, recordable, loads, np.isfinite(recordable.late_lower_ratio))
    memory = replace(memory, record=record, late_before=seen.late_lower_ratio, rises=rises)
    memory = _begin(memory, capacity, fleet, seen, load, trouble)
    compared = compare(memory.record, fleet, loads[0], memory.highest, _good_before(memory, fleet, trouble), trouble)
    memory, exhausted = _granted(memory, seen, loads[0], load, trouble, compared.comparable)
    found = np.where(exhausted, np.maximum(compared.found, seen.late_lower_ratio), compared.found)
    failed = np.where(exhausted, np.minimum(failed_share(seen), found), compared.failed)

    floor = np.minimum(np.maximum(memory.floor, found), np.where(known, seen.late_upper_ratio + noise, np.inf))
    floor = np.where(floor > budget, np.minimum(floor, 1.0), 0.0)
    more = found >= memory.floor
    excused = np.where(floor > BROKEN_RATIO, np.minimum(floor, bad_elsewhere(fleet, seen, noise)), floor)
    excused = np.where(excused > budget, excused, 0.0)
    began = floor > memory.floor + budget + noise
    memory = replace(
        memory,
        floor=floor,
        failed=np.minimum(np.where(more, failed, memory.failed), floor),
        floor_ticks=np.where(floor > 0, memory.floor_ticks + 1, 0),
        broken=memory.broken | ((floor > BROKEN_RATIO) & (excused == 0)),
        higher=np.where(began, compared.higher, memory.higher),
        lower=np.where(began, compared.lower, memory.lower),
    )
    capacity = _unlearned(memory, capacity, fleet, began & (excused > 0))
    more_helps = compared.helped & steady & (floor == 0) & (seen.ready > memory.from_replicas)
    memory = _started(memory, capacity, seen, load, more_helps, seen.ready.astype(float))
    memory = replace(memory, too_few=_too_few(memory, fleet, seen, load, readies, began))
    return memory, capacity, _judged(memory, fleet, seen, excused)


def _forget(memory: FailingMemory, fleet: Fleet, known: Bools, trouble: Bools) -> tuple[FailingMemory, Bools]:
    """What was bad at any load is asked again after half an hour, then after twice as long each time; after half an hour of requests
    without trouble all is forgotten. Also, which broken pools are whole again.
    """
    retest = max(round(RETEST_SECONDS / fleet.tick_seconds), 1)
    due = (memory.floor > 0) & (memory.floor_ticks >= retest * 2**memory.retests)
    quiet = np.where(trouble, 0, memory.quiet_ticks + known)  # a pool that gets no requests is not without trouble
    over = quiet > retest
    whole = memory.broken & over
    record = replace(memory.record, weight=np.where(due[..., None], np.float32(0.0), memory.record.weight))
    memory = replace(
        memory,
        record=record,
        broken=memory.broken & ~whole,
        floor=np.where(due | over, 0.0, memory.floor),
        retests=np.where(over, 0, np.minimum(memory.retests + due, MOST_RETESTS)),
        quiet_ticks=quiet,
        from_replicas=np.where(over, 0.0, memory.from_replicas),
        doublings=np.where(due, 1, memory.doublings),
    )
    return memory, whole


def _begin(
    memory: FailingMemory, capacity: CapacityMemory, fleet: Fleet, seen: Observed, load: Floats, trouble: Bools
) -> FailingMemory:
    """The memory where trouble begins: what the load needs by what was known to be good, and what was believed."""
    begins = trouble & (memory.from_replicas == 0) & np.isfinite(load)[:, None]
    if begins.any():
        budget = np.broadcast_to(fleet.late_budget_ratio[:, None], trouble.shape)
        good = capacity.evidence.proven(PLANNED_LATE_RATIO * budget)[0]
        needs = np.where(good > 0, load[:, None] / np.where(good > 0, good, 1.0), 0.0)
        memory = _started(memory, capacity, seen, load, begins, np.maximum(seen.ready, needs))
        memory = replace(memory, from_known=np.where(begins, good > 0, memory.from_known))
    most = np.where(trouble, np.maximum(memory.most_replicas, seen.ready), memory.most_replicas)
    return replace(memory, most_replicas=most)


def _started(
    memory: FailingMemory, capacity: CapacityMemory, seen: Observed, load: Floats, where: Bools, replicas: Floats
) -> FailingMemory:
    """The memory with ``replicas`` as what the load needs from now on, and the present belief as what was known before."""
    if not where.any():
        return memory
    rows = np.nonzero(where)
    before = {name: values.copy() for name, values in vars(memory.before).items()}
    for name, values in vars(capacity.evidence).items():
        before[name][rows] = values[rows]
    return replace(
        memory,
        from_replicas=np.where(where, replicas, memory.from_replicas),
        from_load=np.where(where, load[:, None], memory.from_load),
        most_replicas=np.where(where, seen.ready, memory.most_replicas),
        too_few=np.where(where, 0.0, memory.too_few),
        doublings=np.where(where, 1, memory.doublings),
        highest=np.where(where, 0.0, memory.highest),
        before=Evidence(**before),
        before_origin=np.where(where, capacity.origin, memory.before_origin),
    )


def _good_before(memory: FailingMemory, fleet: Fleet, where: Bools) -> Floats:
    """Requests/s per replica ``[M, P]`` that were known to be good when the trouble began; inf where none were, or nobody asks. Only
    the models of which a pool is asked for are worked out: they are few, and this is asked every tick.
    """
    result = np.full(where.shape, np.inf)
    if not (models := np.nonzero(where.any(1))[0]).size:
        return result
    before = Evidence(**{name: values[models] for name, values in vars(memory.before).items()})
    budget = np.broadcast_to(fleet.late_budget_ratio[models, None], (models.size, where.shape[1]))
    good = before.proven(PLANNED_LATE_RATIO * budget)[0]
    result[models] = np.where(where[models] & (good > 0), good, np.inf)
    return result


def _granted(
    memory: FailingMemory, seen: Observed, each: Floats, load: Floats, trouble: Bools, comparable: Bools
) -> tuple[FailingMemory, Bools]:
    """One more doubling where a whole window with all that was granted showed nothing; and where none is left and all was bad."""
    busy = by_load.full(seen)
    bad = trouble & (seen.late_lower_ratio > BLIND_RATIO)
    blind = trouble & (busy | bad | ~comparable)
    # As many replicas as were granted, for the whole of the window.
    ready = seen.rate_per_second / np.where(blind, each, 1.0)
    granted = memory.from_replicas * load[:, None] / np.maximum(memory.from_load, LEAST_LOAD_PER_SECOND)
    used = blind & (memory.from_replicas > 0) & (GRANTED_ROOM * ready >= granted * UNPROVEN_GROWTH**memory.doublings)
    last = ~busy & (memory.doublings >= np.where(memory.from_known, DOUBLINGS, DOUBLINGS_FROM_NOTHING))
    memory = replace(
        memory,
        doublings=np.where(used & ~last, memory.doublings + 1, memory.doublings),
        highest=np.where(trouble, np.maximum(memory.highest, each), memory.highest),
    )
    return memory, used & last & bad


def _unlearned(memory: FailingMemory, capacity: CapacityMemory, fleet: Fleet, where: Bools) -> CapacityMemory:
    """The capacity memory with what was believed before the trouble, where it turned out to be bad at any load. What came of a load
    beyond those that were known to be good then is no part of that, and stays.
    """
    models, pools = np.nonzero(where)
    if not len(models):
        return capacity
    rows = (models.astype(np.int64), pools.astype(np.int64))
    evidence = restored(capacity.evidence, memory.before, rows, _good_before(memory, fleet, where))
    capacity = replace(capacity, evidence=evidence, origin=np.where(where, memory.before_origin, capacity.origin))
    return posterior.relearned(capacity, rows, fleet.late_budget_ratio[models])


def _too_few(
    memory: FailingMemory, fleet: Fleet, seen: Observed, load: Floats, readies: Counts, began: Bools
) -> Floats:
    """Real overload beside the failures: the fewest replicas of a late window were too few, until more is found bad at any load."""
    rest = net_of(fleet, seen, memory.floor, memory.failed).late_lower_ratio
    window = [seen.ready, *readies[: fleet.span_ticks - 1]]
    fewest = np.min(window, axis=0) * memory.from_load / np.maximum(load, LEAST_LOAD_PER_SECOND)[:, None]
    late = (memory.floor > 0) & (rest > fleet.late_budget_ratio[:, None]) & np.isfinite(fewest)
    result: Floats = np.where(began, 0.0, np.where(late, np.maximum(memory.too_few, fewest), memory.too_few))
    return result


def _judged(memory: FailingMemory, fleet: Fleet, seen: Observed, excused: Floats) -> Failing:
    own = net_of(fleet, seen, memory.floor, memory.failed)
    net = net_of(fleet, seen, excused, memory.failed)
    blind = memory.floor > BLIND_RATIO
    learnable = replace(net, late_lower_ratio=np.where(blind, np.nan, net.late_lower_ratio)) if blind.any() else net
    vain = (memory.floor > 0) & ~(own.late_lower_ratio > fleet.late_budget_ratio[:, None])
    growth = np.where(vain, 1.0, UNPROVEN_GROWTH ** (memory.doublings + by_load.full(seen)))
    needs = np.where(
        vain & (memory.too_few > 0), np.maximum(memory.from_replicas, memory.too_few + 1.0), memory.from_replicas
    )
    each = needs / np.maximum(memory.from_load, LEAST_LOAD_PER_SECOND)
    return Failing(
        seen=net,
        learnable=learnable,
        late_ratio=own.late_lower_ratio,
        floor=memory.floor,
        failed=memory.failed,
        replicas_per_load=np.where(memory.from_replicas > 0, growth * each, np.inf),
        gives_back=vain,
        from_replicas=memory.from_replicas,
        most_replicas=memory.most_replicas,
        higher=memory.higher,
        lower=memory.lower,
    )
