"""Whether what is not needed goes: the longest time in which far too much was ready and nothing was released."""

from __future__ import annotations

import numpy as np

from recmodel.lab.benchmark.plants import Plant
from recmodel.lab.controllers.clairvoyant import minute_peaks
from recmodel.lab.simulator.result import Result
from recmodel.lab.simulator.scenario import Floats

FAR_FACTOR = 2.0  # times the load that what would stay after a release carries


def longest_unreleased_minutes(plant: Plant, rates_per_second: Floats, result: Result) -> int:
    """Minutes in a row in which one replica less would carry twice the load and no pool got fewer replicas.

    Only a replica above its pool's minimum counts, and only minutes in which all that was ordered was ready.
    """
    peaks = minute_peaks(rates_per_second)
    carried, released, settled = np.zeros(len(peaks)), np.zeros(len(peaks), bool), np.ones(len(peaks), bool)
    ready = {pool.name: np.floor(result.ready[pool.name] + 1e-6).astype(int) for pool in plant.scenario.pools}
    for pool in plant.scenario.pools:
        carried += plant.tables[pool.name][ready[pool.name]]
        ordered = result.replicas[pool.name]
        released[1:] |= np.diff(ordered) < 0.0
        settled &= np.abs(ordered - ready[pool.name]) < 1e-6
    far = np.zeros(len(peaks), bool)
    for pool in plant.scenario.pools:
        count, table = ready[pool.name], plant.tables[pool.name]
        last = table[count] - table[np.maximum(count - 1, 0)]
        far |= (count > pool.min_replicas) & (carried - last >= FAR_FACTOR * peaks)
    longest = current = 0
    for stays in far & settled & ~released:
        current = current + 1 if stays else 0
        longest = max(longest, current)
    return longest
