"""What is run: who decides, for how long, in which periods, and under which load. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from schedule import compress, steepest_rise

Series = NDArray[np.float64]

# Replicas help each other out, so what one of a few carries is more than one alone does.
PROBE_REPLICAS = 3
PROBE_FROM_PER_SECOND, PROBE_TO_PER_SECOND, PROBE_SECONDS = 36.0, 150.0, 120
PROBE_WARM_UP_SECONDS = 60  # a pod that has just started answers slowly, and no pool consists of such pods for long


class Who(Enum):
    """Who decides how many replicas there are. The value names folders and objects."""

    HPA = "hpa"
    KEDA = "keda"
    RECMODEL = "recmodel"


@dataclass(frozen=True)
class Plan:
    """The same for everybody. What was run under another plan is never mixed with this one: see ``key``.

    ``tick_seconds`` is RecModel's: as often as Prometheus scrapes, which is what the chart's defaults do too. ``decide_seconds`` is HPA's,
    a flag of the cluster, and ``down_window_seconds`` its 300 s, shortened as the recording is.
    """

    recorded_minutes: int = 90
    replay_seconds: int = 540
    warm_up_seconds: int = 300
    peak_per_second: float = 110.0
    tick_seconds: int = 5
    decide_seconds: int = 15
    window_seconds: int = 20
    down_window_seconds: int = 30

    @property
    def faster(self) -> float:
        """How many recorded seconds pass in one. Worked: 90 minutes in 540 s are 10."""
        return self.recorded_minutes * 60.0 / self.replay_seconds

    @property
    def minute_seconds(self) -> int:
        """Seconds of the replay in a recorded minute. Raises ValueError where they are no whole number."""
        seconds, rest = divmod(self.replay_seconds, self.recorded_minutes)
        if rest:
            raise ValueError(
                f"{self.recorded_minutes} recorded minutes in {self.replay_seconds} s: a minute must be whole seconds; "
                f"choose a multiple of {self.recorded_minutes}"
            )
        return seconds

    @property
    def seconds(self) -> int:
        """Of the replay and of what goes before it."""
        return self.warm_up_seconds + self.replay_seconds

    @property
    def key(self) -> str:
        """A name for everything that was run under it."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:8]


def load(recorded: Series, step_seconds: float, plan: Plan) -> tuple[int, Series]:
    """The first recorded step that counts, and requests/s by second: the recording's steepest lasting rise, after what was recorded
    before it.
    """
    window = round(plan.recorded_minutes * 60.0 / step_seconds)
    before = round(plan.warm_up_seconds * plan.faster / step_seconds)
    start = steepest_rise(recorded, window, skip=before)
    return start, compress(recorded[start - before : start + window], plan.seconds, plan.peak_per_second)


def probe_load() -> Series:
    """A load that rises until :data:`PROBE_REPLICAS` cannot carry it, after a warm-up at its first rate."""
    rise = np.linspace(PROBE_FROM_PER_SECOND, PROBE_TO_PER_SECOND, PROBE_SECONDS)
    return np.concatenate([np.full(PROBE_WARM_UP_SECONDS, PROBE_FROM_PER_SECOND), rise])


def csv_of(rates: Series) -> str:
    """As the load generator and the live view read it."""
    return "seconds,rps,mark\n" + "".join(f"{second},{rate:.3f},\n" for second, rate in enumerate(rates))
