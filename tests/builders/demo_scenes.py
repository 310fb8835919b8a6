"""Made-up moments of a demo, for the tests of what it shows. Nothing here is a measurement."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "demo"
if str(DEMO) not in sys.path:
    sys.path.insert(0, str(DEMO))

import numpy as np  # noqa: E402

from recmodel.core.types import Model, Pool  # noqa: E402
from recmodel.prometheus.client import Matrix  # noqa: E402
from report.collect import Event, Run, Side, measure  # noqa: E402
from watch.generator_log import ClientLog, ClientSecond  # noqa: E402
from watch.questions import questions  # noqa: E402
from watch.scene import Beside, Clients, Scene  # noqa: E402
from watch.schedule import Schedule  # noqa: E402
from watch.snapshot import Bracket, DecisionSeen, PoolSnapshot, Snapshot  # noqa: E402
from watch.subject import Subject  # noqa: E402

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
        START - 10.0,
        "Tracking",
        {"cpu": cpu, "gpu": gpu},
        {"cpu": 600, "gpu": 400},
        "ForecastRise",
        "load 60.0/s, at most 80.0/s expected (q0.95) within 20 s; planned with cpu 25.0/s a replica",
    )
    return Snapshot(
        time_seconds=START + second,
        pools=pools,
        state="Tracking",
        reason="ForecastRise",
        load_per_second=load,
        percentile_seconds=Bracket(0.05, 0.06),
        within_ratio=Bracket(0.981, 0.981),
        forecast_upper_per_second=80.0,
        forecast_seconds=20.0,
        conditions={"Ready": "True"},
        decisions=(decision,),
    )


def scene(second: float | None = 410.0) -> Scene:
    """Inside the flash crowd."""
    seconds = range(0, int(second or 0), 2)
    return Scene(
        MODEL,
        SCHEDULE,
        snapshot(second or 0.0),
        second,
        loads={s: 20.0 + s / 10.0 for s in seconds},
        uppers={s: 35.0 + s / 9.0 for s in seconds},
        clients=Clients(9000, 8990, 4, 86, 0.984, 0.071),
        spent=0.31,
        beside=Beside(4, 3, Clients(9000, 8980, 5, 115, 0.912, 0.13), 0.35),
    )


SUBJECT = Subject("demo", "ranker", "2023-11-14T22:12:00Z", MODEL, DEVICES, frozenset({"gpu"}))


def client_second(second: int, due: int = 60, late: int = 1, lost: int = 0) -> ClientSecond:
    """All but ``lost`` are answered, ``late`` of them after the threshold."""
    ok = due - lost
    return ClientSecond(second, due, ok, ok - late, lost, 0, 0, 0.04, 0.12 if late > 0.05 * due else 0.07, 0.1)


def answer(query: str) -> Matrix:
    """Prometheus' range: 36/s and 24/s, all in time, p95 in (50 ms, 100 ms], every 2 s from 10 s before the start."""
    asked = questions("demo", "ranker")
    times = [START - 10.0 + 2.0 * i for i in range(311)]
    clusters = {f"httproute/demo/ranker/rule/0/backend/{i}": rate for i, rate in enumerate((36.0, 24.0))}
    edges = {"49": 0.5, "99": 0.98, "+Inf": 1.0}

    def flat(value: float) -> tuple[tuple[float, float], ...]:
        return tuple((at, value) for at in times)

    if query == asked.requests:
        return Matrix(tuple(({"envoy_cluster_name": name}, flat(rate)) for name, rate in clusters.items()))
    if query == asked.failures:
        return Matrix(())
    if query == asked.pool_buckets:
        return Matrix(
            tuple(
                ({"envoy_cluster_name": n, "le": le}, flat(r * part))
                for n, r in clusters.items()
                for le, part in edges.items()
            )
        )
    if query == asked.forecast:
        return Matrix((({"pool": "cpu"}, flat(70.0)), ({"pool": "gpu"}, flat(80.0))))
    raise AssertionError(f"not expected: {query}")


def run(seconds: list[ClientSecond] | None = None, snapshots: list[Snapshot] | None = None) -> Run:
    """Ten minutes in which two CPU pods and one accelerator serve 60/s, and the flash crowd brings one more of each. The HPA beside
    it runs three CPU pods, then four, and twice as many requests are late.
    """
    if snapshots is None:
        snapshots = [snapshot(s, *((3, 2) if 410 <= s < 500 else (2, 1))) for s in range(-10, 606, 2)]
    log = ClientLog(START, tuple(seconds if seconds is not None else [client_second(s) for s in range(600)]), True)
    beside = [replace(s, pools=s.pools[:1]) for s in (snapshot(s, 4 if s >= 300 else 3) for s in range(-10, 606, 2))]
    measured = measure(answer, SUBJECT, START, START + np.arange(-10.0, 611.0, 2.0))
    events = [Event("2023-11-14T22:14:00Z", "Normal", "ForecastRise", "cpu 2 -> 3", 1)]
    return Run(
        SUBJECT,
        SCHEDULE,
        Side(log, START, snapshots),
        Side(ClientLog(START, tuple(client_second(s, late=2) for s in range(600)), True), START, beside),
        measured,
        events,
        {"RECMODEL_TICK_SECONDS": "5"},
        [("the cluster", 31.0)],
        "a trace: 90 min in 600 s",
    )
