"""Plants drawn by seed: pools, prices, service laws and a peak, in families that each hold one thing which is hard.

A plant is known by its family and seed alone. Capacities are those of the objective, measured by simulation, so "a GPU costs
the same per request" holds for what the pools carry in time, not for what they do when saturated.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from recmodel.lab.controllers.clairvoyant import capacity_per_replica, capacity_table
from recmodel.lab.simulator.scenario import (
    EDGES_SECONDS,
    Floats,
    PoolScenario,
    Scenario,
    service_law,
    size_law,
)

Range = tuple[float, float]
ServiceLaw = Literal["deterministic", "lognormal", "exponential", "heavy-tailed"]
Sizes = Literal["equal", "mlperf", "lognormal"]

MOST_PER_SECOND = 1000.0  # a plant with more is drawn with longer services instead, then with fewer workers: less work
RUNNING_RATIO = 0.75  # of what they carry, at which the CPU pods that run at first take the first load
MOST_FACTOR = 3  # the limit of a pool, over the replicas that would carry the peak alone
LAST_POD_RATIO = 0.8  # of what the last of the pods adds, up to which the peak goes: that many are needed, and no more
SIZING_ROUNDS = 3
PRICE_STEP = 0.01
PERCENTILE = 0.95
THRESHOLDS_SECONDS = tuple(edge for edge in EDGES_SECONDS if 0.05 <= edge <= 1.0)
STARTS_SECONDS: tuple[Range, Range] = (20.0, 90.0), (60.0, 300.0)


@dataclass(frozen=True)
class Family:
    """Ranges that a plant's numbers are drawn from."""

    summary: str
    pods: Sequence[int]  # CPU pods that would carry the peak alone
    price_ratio: Range = (0.4, 1.5)  # a request on a GPU over one on a CPU pod, evenly in its logarithm
    gpu_size: Range = (1.5, 6.0)  # CPU pods that carry as much as one GPU
    workers: tuple[int, int] = (1, 8)
    laws: Sequence[ServiceLaw] = ("deterministic", "lognormal", "exponential", "heavy-tailed")
    sizes: Sequence[Sizes] = ("equal", "equal", "mlperf")
    cpu_start_seconds: Range = STARTS_SECONDS[0]
    gpu_start_seconds: Range = STARTS_SECONDS[1]
    begins_with: int | None = None  # CPU pods; None: as many as carry the first load


FAMILIES: dict[str, Family] = {
    "parity": Family(
        "a request costs the same on either pool, within 10 %", pods=(8, 10, 12, 14), price_ratio=(0.91, 1.1)
    ),
    "coarse GPU": Family(
        "one GPU carries as much as four CPU pods, at 0.77 of their price",
        pods=(5, 6, 7, 8, 9),
        price_ratio=(0.77, 0.77),
        gpu_size=(4.0, 4.0),
    ),
    "useless GPU": Family(
        "a request on a GPU costs nine times as much; requests differ widely in size",
        pods=(5, 6, 7, 8, 9),
        price_ratio=(9.0, 9.0),
        gpu_size=(1.0, 2.0),
        sizes=("lognormal",),
    ),
    "heavy tail": Family(
        "heavy-tailed service times on pods of one or two workers",
        pods=(6, 8, 10, 12),
        workers=(1, 2),
        laws=("heavy-tailed",),
    ),
    "slow start": Family("a GPU starts for 300 s", pods=(8, 10, 12, 14), gpu_start_seconds=(300.0, 300.0)),
    "tiny fleet": Family("three CPU pods carry the peak", pods=(3,), gpu_size=(1.5, 3.0)),
    "large fleet": Family("a hundred CPU pods carry the peak", pods=(100,), gpu_size=(4.0, 8.0), workers=(1, 3)),
    "cold start": Family(
        "it begins with one CPU pod, whatever the first load is, and four to eight carry the peak",
        pods=(4, 5, 6, 7, 8),
        begins_with=1,
    ),
    "anything": Family("all of it drawn, the peak 3, 10 or 30 CPU pods", pods=(3, 10, 30)),
}


@dataclass(frozen=True)
class Plant:
    """What is simulated, up to its load."""

    family: str
    seed: int
    scenario: Scenario  # what runs at first is not set yet: see running()
    peak_per_second: float
    tables: dict[str, Floats]  # the largest load that 0, 1, ... replicas carry within the objective, by pool

    def running(self, first_per_second: float, start_seconds: float) -> Scenario:
        """CPU pods that carry the first load run, and no GPU: as where one is added to what is there. A family may begin with fewer."""
        cpu, gpu = self.scenario.pools
        enough = FAMILIES[self.family].begins_with
        if enough is None:
            enough = int(np.searchsorted(RUNNING_RATIO * self.tables[cpu.name], first_per_second))
        cpu = replace(cpu, initial_replicas=min(max(enough, cpu.min_replicas), cpu.max_replicas))
        return replace(
            self.scenario, pools=(cpu, replace(gpu, initial_replicas=gpu.min_replicas)), start_seconds=start_seconds
        )

    def __str__(self) -> str:
        cpu, gpu = self.scenario.pools
        law = "exponential" if cpu.service_law == "exponential" else f"cv {cpu.service_cv:.2f}"
        return (
            f"{self.family} {self.seed}: peak {self.peak_per_second:.0f}/s, threshold {1000 * self.scenario.threshold_seconds:g} ms; "
            f"cpu {cpu.workers} workers of {1000 * cpu.service_seconds:.1f} ms ({law}, sizes {self.scenario.sizes}), "
            f"ready after {cpu.startup_seconds:.0f} s; gpu batches of {gpu.max_batch} in {1000 * gpu.base_seconds:.1f} + "
            f"{1000 * gpu.item_seconds:.2f} ms each, ready after {gpu.startup_seconds:.0f} s, price {gpu.price:g}"
        )


def draw_plant(family: str, seed: int) -> Plant:
    """The plant of a family and a seed; the same each time. A KeyError where there is no such family."""
    ranges = FAMILIES[family]
    generator = np.random.default_rng([seed, zlib.crc32(family.encode())])
    pods = int(generator.choice(ranges.pods))
    scenario = _with_cpu(ranges, pods, generator)
    cpu = scenario.pools[0]
    each = capacity_per_replica(scenario, cpu, pods)
    gpu = _gpu(ranges, scenario, (pods, each), generator)
    gpu_each = capacity_per_replica(scenario, gpu, _alone(pods * each, gpu))
    price = float(np.exp(generator.uniform(*np.log(ranges.price_ratio)))) * gpu_each / each
    gpu = replace(
        gpu,
        price=max(round(price / PRICE_STEP), 1) * PRICE_STEP,
        max_replicas=MOST_FACTOR * math.ceil(pods * each / gpu_each),
    )
    cpu = replace(cpu, max_replicas=MOST_FACTOR * pods)
    scenario = replace(scenario, pools=(cpu, gpu))
    tables = {pool.name: capacity_table(scenario, pool) for pool in scenario.pools}
    fewer, enough = tables[cpu.name][pods - 1 : pods + 1]
    return Plant(family, seed, scenario, float(fewer + LAST_POD_RATIO * (enough - fewer)), tables)


def _with_cpu(ranges: Family, pods: int, generator: np.random.Generator) -> Scenario:
    """A scenario of the CPU pool alone; the threshold is an edge of the histogram, as users are told to have it."""
    law = ranges.laws[int(generator.integers(len(ranges.laws)))]
    low, high = {"deterministic": (0.0, 0.0), "lognormal": (0.2, 0.9), "exponential": (1.0, 1.0)}.get(law, (1.2, 1.8))
    cpu = PoolScenario(
        "cpu",
        workers=int(generator.integers(ranges.workers[0], ranges.workers[1] + 1)),
        service_cv=float(generator.uniform(low, high)),
        service_law="exponential" if law == "exponential" else "lognormal",
        startup_seconds=float(generator.uniform(*ranges.cpu_start_seconds)),
    )
    sizes = ranges.sizes[int(generator.integers(len(ranges.sizes)))]
    # How much longer a request may take than all but few do without a queue: less, and a lone worker is never good enough.
    room = float(generator.uniform(2.0, 4.0)) + 1.0 / cpu.workers
    longest = room * float(np.quantile(service_law(cpu, generator) * size_law(sizes, generator), PERCENTILE))
    first = int(generator.integers(len(THRESHOLDS_SECONDS) - 1))
    threshold = next(
        (edge for edge in THRESHOLDS_SECONDS[first:] if pods * cpu.workers * longest / edge <= MOST_PER_SECOND),
        THRESHOLDS_SECONDS[-1],
    )
    most_workers = max(int(MOST_PER_SECOND * threshold / (pods * longest)), 1)
    return Scenario(
        (replace(cpu, service_seconds=threshold / longest, workers=min(cpu.workers, most_workers)),),
        threshold_seconds=threshold,
        timeout_seconds=max(1.0, 5.0 * threshold),
        sizes=sizes,
    )


def _gpu(ranges: Family, scenario: Scenario, cpu: tuple[int, float], generator: np.random.Generator) -> PoolScenario:
    """A batching pool of the drawn size, which is one of capacity at the objective: found in a few rounds.

    ``cpu``: the CPU pods that carry the peak, and what each of them does.
    """
    threshold = scenario.threshold_seconds
    peak_per_second, wanted = cpu[0] * cpu[1], float(generator.uniform(*ranges.gpu_size)) * cpu[1]
    full_seconds = threshold * float(generator.uniform(0.25, 0.45))  # a request waits for a batch, and is in the next
    base_seconds = full_seconds * float(generator.uniform(0.05, 0.6))
    wait_seconds = threshold * float(generator.choice([0.0, 0.0, 0.05]))
    cv = float(generator.choice([0.0, 0.1]))
    startup_seconds = float(generator.uniform(*ranges.gpu_start_seconds))
    nominal = 1.2 * wanted

    def pool(nominal_per_second: float) -> PoolScenario:
        batch = max(round(nominal_per_second * full_seconds), 2)
        scale = batch / (nominal_per_second * full_seconds)  # a whole batch, at the wanted capacity
        return PoolScenario(
            "gpu",
            "batch",
            min_replicas=0,
            max_replicas=1,
            startup_seconds=startup_seconds,
            base_seconds=base_seconds * scale,
            item_seconds=(full_seconds - base_seconds) * scale / batch,
            max_batch=batch,
            max_wait_seconds=wait_seconds,
            service_cv=cv,
        )

    for _ in range(SIZING_ROUNDS):
        carried = capacity_per_replica(scenario, pool(nominal), _alone(peak_per_second, pool(nominal)))
        nominal *= wanted / max(carried, 0.1 * wanted)
    return pool(nominal)


def _alone(peak_per_second: float, pool: PoolScenario) -> int:
    """About as many replicas as carry the peak without the other pool."""
    return max(round(peak_per_second / pool.nominal_capacity_per_second()), 1)
