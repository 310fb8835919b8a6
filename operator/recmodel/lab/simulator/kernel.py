"""The compiled heart of the simulator: requests through gateway, pods and queues, from one moment to the next.

No event queue is needed. A worker pod serves first come, first served, so a request's start and end are known when it
arrives; a batching pod is brought up to date whenever someone looks at it. Results are filed under the minute of
arrival (the judge's view) and the scrape interval of completion (Prometheus' view). Times are seconds since the start.
"""

from __future__ import annotations

import math

import numpy as np

from recmodel.lab.simulator.arrays import BATCH, FINE_BINS, Integers, Laws, Routing, Servers, Tally, Words
from recmodel.lab.simulator.compiled import compiled
from recmodel.lab.simulator.scenario import Floats

NEVER = 1e300


@compiled
def uniform(state: Words) -> float:
    """A number in [0, 1) and the next state (xorshift64*, Vigna 2016)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return float((x * np.uint64(2685821657736338717)) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def push(times: Floats, count: int, value: float) -> None:
    """Add to a binary heap of ``count`` entries, the earliest first."""
    child = count
    while child > 0:
        parent = (child - 1) >> 1
        if times[parent] <= value:
            break
        times[child] = times[parent]
        child = parent
    times[child] = value


@compiled
def pop(times: Floats, count: int) -> None:
    """Take the earliest off a binary heap of ``count`` entries."""
    value = times[count - 1]
    size = count - 1
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and times[child + 1] < times[child]:
            child += 1
        if times[child] >= value:
            break
        times[place] = times[child]
        place = child
    times[place] = value


@compiled
def file_answer(laws: Laws, tally: Tally, pool: int, arrival: float, start: float, end: float) -> None:
    """Count one answered request."""
    minute = int(arrival / 60.0)
    latency = end - arrival
    tally.latency_seconds[minute] += latency
    tally.wait_seconds[minute] += start - arrival
    if latency > laws.threshold_seconds:
        tally.late[minute] += 1
    tally.fine[minute, min(int(latency * 1000.0), FINE_BINS - 1)] += 1
    bucket = 0
    while bucket < laws.edges_seconds.size and latency > laws.edges_seconds[bucket]:
        bucket += 1
    interval = min(int(end / laws.scrape_seconds), tally.failures.shape[1] - 1)
    tally.buckets[pool, interval, bucket] += 1


@compiled
def file_failure(laws: Laws, tally: Tally, pool: int, arrival: float, end: float) -> None:
    """Count one failed request; ``pool`` is -1 where no pool was ready to take it."""
    minute = int(arrival / 60.0)
    tally.late[minute] += 1
    tally.failed[minute] += 1
    if pool >= 0:
        interval = min(int(end / laws.scrape_seconds), tally.failures.shape[1] - 1)
        tally.failures[pool, interval] += 1


@compiled
def file_busy(laws: Laws, tally: Tally, pool: int, start: float, seconds: float) -> None:
    interval = min(int(start / laws.scrape_seconds), tally.failures.shape[1] - 1)
    tally.busy_seconds[pool, interval] += seconds


@compiled
def advance(
    now: float, pool: int, slot: int, laws: Laws, servers: Servers, tally: Tally, slowdown: float, state: Words
) -> None:
    """Start every batch of a batching pod that is due by ``now``; requests that waited too long fail first."""
    times, sizes = servers.times[slot], servers.sizes[slot]
    limit = times.size
    while servers.held[slot] > 0:
        head, count = servers.head[slot], servers.held[slot]
        first = times[head]
        start = max(servers.free[slot], first)
        if laws.max_wait_seconds[pool] > 0.0:
            due = first + laws.max_wait_seconds[pool]
            if count >= laws.max_batch[pool]:
                due = min(due, times[(head + laws.max_batch[pool] - 1) % limit])
            start = max(start, due)
        if start > now:
            return
        if start - first > laws.timeout_seconds:
            file_failure(laws, tally, pool, first, first + laws.timeout_seconds)
            servers.head[slot] = (head + 1) % limit
            servers.held[slot] = count - 1
            continue
        taken = 0
        work = 0.0
        while taken < count and taken < laws.max_batch[pool] and times[(head + taken) % limit] <= start:
            work += sizes[(head + taken) % limit]
            taken += 1
        noise = laws.noise[pool, int(uniform(state) * laws.noise.shape[1])]
        duration = (laws.mean_seconds[pool] + laws.item_seconds[pool] * work) * slowdown * noise
        for position in range(taken):
            file_answer(laws, tally, pool, times[(head + position) % limit], start, start + duration)
        file_busy(laws, tally, pool, start, duration)
        servers.free[slot] = start + duration
        servers.in_service[slot] = taken
        servers.head[slot] = (head + taken) % limit
        servers.held[slot] = count - taken


@compiled
def outstanding(
    now: float, pool: int, slot: int, laws: Laws, servers: Servers, tally: Tally, slowdown: float, state: Words
) -> int:
    """Requests at a pod, waiting or in service: what least-request balancing compares."""
    if laws.kind[pool] == BATCH:
        advance(now, pool, slot, laws, servers, tally, slowdown, state)
        running = servers.in_service[slot] if servers.free[slot] > now else 0
        return int(servers.held[slot] + running)
    while servers.held[slot] > 0 and servers.times[slot, 0] <= now:
        pop(servers.times[slot], servers.held[slot])
        servers.held[slot] -= 1
    return int(servers.held[slot])


@compiled
def choose(
    now: float, pool: int, routing: Routing, laws: Laws, servers: Servers, tally: Tally, choices: Words, services: Words
) -> int:
    """The pod that takes a request: least outstanding of two different random ones, or of all."""
    ready, count, slowdown = routing.ready[pool], routing.ready_count[pool], routing.slowdown[pool]
    first = int(uniform(choices) * count)
    if count == 1:
        return int(ready[0])
    if not laws.least_of_all:
        second = int(uniform(choices) * (count - 1))
        if second >= first:
            second += 1
        one = outstanding(now, pool, ready[first], laws, servers, tally, slowdown, services)
        other = outstanding(now, pool, ready[second], laws, servers, tally, slowdown, services)
        return int(ready[first]) if one <= other else int(ready[second])
    best, fewest = first, 1 << 60
    for step in range(count):
        place = (first + step) % count
        here = outstanding(now, pool, ready[place], laws, servers, tally, slowdown, services)
        if here < fewest:
            best, fewest = place, here
            if here == 0:
                break
    return int(ready[best])


@compiled
def take(
    now: float, pool: int, slot: int, laws: Laws, servers: Servers, tally: Tally, slowdown: float, services: Words
) -> None:
    """Give a request to a pod."""
    size = laws.sizes[int(uniform(services) * laws.sizes.size)]
    here = outstanding(now, pool, slot, laws, servers, tally, slowdown, services)
    if here >= laws.queue_limit[pool]:
        file_failure(laws, tally, pool, now, now)
        return
    count = servers.held[slot]
    if laws.kind[pool] == BATCH:
        place = (servers.head[slot] + count) % servers.times.shape[1]
        servers.times[slot, place] = now
        servers.sizes[slot, place] = size
        servers.held[slot] = count + 1
        advance(now, pool, slot, laws, servers, tally, slowdown, services)
        return
    free = servers.worker_free[slot]
    worker = 0
    for other in range(1, laws.workers[pool]):
        if free[other] < free[worker]:
            worker = other
    start = max(now, free[worker])
    if start - now > laws.timeout_seconds:
        end = now + laws.timeout_seconds
        file_failure(laws, tally, pool, now, end)
    else:
        noise = laws.noise[pool, int(uniform(services) * laws.noise.shape[1])]
        seconds = laws.mean_seconds[pool] * noise * size * slowdown
        end = start + seconds
        free[worker] = end
        file_answer(laws, tally, pool, now, start, end)
        file_busy(laws, tally, pool, start, seconds)
    push(servers.times[slot], count, end)
    servers.held[slot] = count + 1


@compiled
def next_arrival(now: float, rates: Floats, arrivals: Words) -> float:
    """The next arrival of a Poisson process whose rate is constant within each second; ``NEVER`` after the last one."""
    needed = -math.log(1.0 - uniform(arrivals))
    second = int(now)
    while second < rates.size:
        room = (second + 1 - now) * rates[second]
        if room > needed:
            return float(now + needed / rates[second])
        needed -= room
        second += 1
        now = float(second)
    return NEVER


@compiled
def serve(
    until: float,
    clock: Floats,
    rates: Floats,
    routing: Routing,
    laws: Laws,
    servers: Servers,
    tally: Tally,
    arrivals: Words,
    choices: Words,
    services: Words,
) -> None:
    """Run all requests that arrive before ``until``. ``clock[0]``: the next arrival, negative before the first draw."""
    pools = laws.kind.size
    if clock[0] < 0.0:
        clock[0] = next_arrival(0.0, rates, arrivals)
    now = clock[0]
    while now < until:
        tally.requests[int(now / 60.0)] += 1
        if routing.cumulative[pools - 1] <= 0.0:
            file_failure(laws, tally, -1, now, now)
        else:
            draw = uniform(choices)
            pool = 0
            while draw >= routing.cumulative[pool] and pool < pools - 1:
                pool += 1
            slot = choose(now, pool, routing, laws, servers, tally, choices, services)
            take(now, pool, slot, laws, servers, tally, routing.slowdown[pool], services)
        now = next_arrival(now, rates, arrivals)
    clock[0] = now
    for pool in range(pools):
        for place in range(routing.ready_count[pool]):
            outstanding(until, pool, routing.ready[pool, place], laws, servers, tally, routing.slowdown[pool], services)


@compiled
def waiting(now: float, pool: int, ready: Integers, laws: Laws, servers: Servers) -> int:
    """Requests that wait at pods (slots) that were just brought up to date, not counting those in service."""
    total = 0
    for place in range(ready.size):
        slot = ready[place]
        total += servers.held[slot]
        if laws.kind[pool] == BATCH:
            continue
        busy = 0
        for worker in range(laws.workers[pool]):
            if servers.worker_free[slot, worker] > now:
                busy += 1
        total -= min(busy, servers.held[slot])
    return int(total)


@compiled
def drain(
    now: float, pool: int, slot: int, laws: Laws, servers: Servers, tally: Tally, slowdown: float, services: Words
) -> float:
    """Finish what a pod has, with no new requests; when it is empty. The slot is clean for another pod from then on."""
    if laws.kind[pool] == BATCH:
        advance(NEVER, pool, slot, laws, servers, tally, slowdown, services)
        return max(now, float(servers.free[slot]))
    end = now
    for worker in range(laws.workers[pool]):
        end = max(end, float(servers.worker_free[slot, worker]))
    return end
