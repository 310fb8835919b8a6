"""Made-up moments of a demo, for the tests of what it shows. Nothing here is a measurement."""

from __future__ import annotations

import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "demo"
if str(DEMO) not in sys.path:
    sys.path.insert(0, str(DEMO))

from recmodel.core.types import Model, Pool  # noqa: E402
from watch.scene import Clients, Scene  # noqa: E402
from watch.schedule import Schedule  # noqa: E402
from watch.snapshot import Bracket, DecisionSeen, PoolSnapshot, Snapshot  # noqa: E402

START = 1_700_000_000.0
DEVICES = {"cpu": "cpu", "gpu": "nvidia.com/gpu"}
MODEL = Model(
    key="demo/ranker",
    within_ratio=0.95,
    threshold_seconds=0.1,
    pools=(Pool("cpu", 1, 6, 1.0), Pool("gpu", 0, 4, 1.6)),
)
SCHEDULE = Schedule(tuple(20.0 + second / 10.0 for second in range(600)), flash_start=400, flash_end=440)


def snapshot(second: float, cpu: int = 2, gpu: int = 1, load: float | None = 60.0) -> Snapshot:
    """At ``second`` of the replay: all is well, unless told otherwise."""
    pools = (
        PoolSnapshot("cpu", "cpu", False, 1.0, cpu, cpu, 600, 36.0, Bracket(0.05, 0.06), 25.0, 12.0),
        PoolSnapshot("gpu", "nvidia.com/gpu", True, 1.6, gpu, gpu, 400, 24.0, Bracket(0.04, 0.049), 40.0, 14.0),
    )
    decision = DecisionSeen(
        START + second - 3.0, "Tracking", {"cpu": cpu, "gpu": gpu}, {"cpu": 600, "gpu": 400}, "ForecastRise",
        "load 60.0/s, at most 80.0/s expected (q0.95) within 20 s; planned with cpu 25.0/s a replica",
    )  # fmt: skip
    return Snapshot(
        time_seconds=START + second, pools=pools, state="Tracking", reason="ForecastRise", load_per_second=load,
        percentile_seconds=Bracket(0.05, 0.06), within_ratio=Bracket(0.981, 0.981), forecast_upper_per_second=80.0,
        forecast_seconds=20.0, conditions={"Ready": "True"}, decisions=(decision,),
    )  # fmt: skip


def scene(second: float | None = 410.0) -> Scene:
    """Inside the flash crowd."""
    seconds = range(0, int(second or 0), 2)
    return Scene(
        MODEL, SCHEDULE, snapshot(second or 0.0), second,
        loads={s: 20.0 + s / 10.0 for s in seconds}, uppers={s: 35.0 + s / 9.0 for s in seconds},
        clients=Clients(9000, 8990, 4, 0.984, 0.071), spent=0.31, hpa_spent=0.35,
    )  # fmt: skip
