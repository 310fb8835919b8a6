"""A pool that did not exist yet had no replicas, no requests and no cost: what is told apart here from what is not known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recmodel.core.arrays.fleet import Bools
from recmodel.prometheus.past import BY_STATE, Past, PoolPast


def with_absent(past: Past) -> Past:
    """The same past with zeros in the minutes in which a pool did not exist.

    These are the minutes before anything is known of it in which kube-state-metrics counted another pool: it counts every workload that
    there is. Pages of pods do not tell so much, as they may be read only since a while. A pool of 1,440 minutes that is made 720
    minutes after the other one had 0 replicas for 720 minutes.
    """
    if past.counted_by != BY_STATE:
        return past
    counted: Bools = np.logical_or.reduce([np.isfinite(pool.running) for pool in past.pools], axis=0)
    return replace(past, pools=tuple(_with_absent(pool, counted) for pool in past.pools))


def _with_absent(pool: PoolPast, counted: Bools) -> PoolPast:
    known = np.isfinite(pool.per_second) | np.isfinite(pool.running) | np.isfinite(pool.ready)
    minutes = np.flatnonzero(known)
    if not minutes.size:  # nothing tells whether it ever existed
        return pool
    absent = counted & (np.arange(counted.size) < minutes[0])
    per_second, running, ready = (np.where(absent, 0.0, row) for row in (pool.per_second, pool.running, pool.ready))
    return replace(pool, per_second=per_second, running=running, ready=ready)
