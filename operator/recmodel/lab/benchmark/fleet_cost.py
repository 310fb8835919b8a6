"""Time and memory of a decision for many models at once, each size in a process of its own so that its memory is its own.

python -m recmodel.lab.benchmark.fleet_cost 1000   # prints one line of JSON
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Model, Observation, Pool, PoolObservation

WARM_UP_TICKS, MEASURED_TICKS = 12, 15
TICK_SECONDS = 15.0
TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class FleetCost:
    """What one tick for ``models`` models of two pools takes on one core."""

    models: int
    tick_seconds: float  # median
    slowest_tick_seconds: float
    resident_megabytes: float  # the whole process, Python and the observations included


def measure(models: int) -> FleetCost:
    """Run :func:`main` for this many models in a new interpreter."""
    command = [sys.executable, "-m", "recmodel.lab.benchmark.fleet_cost", str(models)]
    done = subprocess.run(  # noqa: S603  this interpreter and this module
        command, capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS
    )
    return FleetCost(**json.loads(done.stdout))


def _observations(models: int, tick: int, generator: np.random.Generator) -> list[Observation]:
    seen = []
    for load in generator.uniform(20.0, 400.0, models) * (1.0 + 0.02 * math.sin(tick)):
        pools = {}
        for name, share, ready, startup in (("cpu", 0.6, 4, 45.0), ("gpu", 0.4, 1, 180.0)):
            rate = float(share * load)
            late = 0.98 * rate
            latency = {0.025: 0.5 * rate, 0.05: 0.9 * rate, 0.1: late, 0.25: 0.999 * rate, math.inf: rate}
            pools[name] = PoolObservation(ready, ready, 0, share, startup, rate, 0.0, latency, 0.5, 0.0)
        seen.append(Observation(tick * TICK_SECONDS, pools))
    return seen


def main(models: int) -> FleetCost:
    """Warm up, then time the ticks, with one model's record; building the observations is not in the time."""
    pools = (Pool("cpu", 1, 200, 1.0), Pool("gpu", 0, 60, 1.6))
    memory = begin([Model(f"bench/{i}", 0.95, 0.1, pools) for i in range(models)], TICK_SECONDS)
    times = []
    for tick in range(WARM_UP_TICKS + MEASURED_TICKS):
        seen = _observations(models, tick, np.random.default_rng(0))
        started = time.perf_counter()
        memory, decisions = step(memory, seen, tick * TICK_SECONDS)
        _ = decisions[0]
        times.append(time.perf_counter() - started)
    measured = times[WARM_UP_TICKS:]
    return FleetCost(models, float(np.median(measured)), max(measured), _largest_resident_megabytes())


def _largest_resident_megabytes() -> float:
    """Of this program so far. ``getrusage`` would not do: it remembers the process that started this one (Linux only)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(status.split("VmHWM:")[1].split()[0]) * 1024.0 / 1e6


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1])).__dict__) + "\n")
