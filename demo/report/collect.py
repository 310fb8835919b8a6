"""Everything that is known of a run, from its three sources: the range queries, the API's snapshots, the generator's
log.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recmodel.prometheus.client import Matrix, PrometheusClient
from watch import schedule as schedules
from watch.generator_log import ClientLog, parse
from watch.kubernetes_api import KubernetesApi
from watch.questions import latency, percentile, pool_index, questions
from watch.schedule import Schedule
from watch.snapshot import Snapshot, from_line
from watch.subject import Subject, subject

Series = NDArray[np.float64]
STEP_SECONDS = 2.0
LEAD_SECONDS = 10.0  # shown before the first request
BUDGET_SECONDS = 20.0


class RunIncomplete(Exception):
    """Something without which there is nothing to report is missing; the message says what."""


@dataclass(frozen=True)
class Band:
    """A percentile over time in seconds, as the histogram knows it: between two edges. NaN: no requests, or above all
    edges.
    """

    lower: Series
    upper: Series


@dataclass(frozen=True)
class Measured:
    """What Prometheus holds. ``times`` in seconds of the schedule; every array is as long; NaN is unknown."""

    times: Series
    load: Mapping[str, Series]  # requests/s by pool
    failures: Mapping[str, Series]  # of those, failed
    percentile: Mapping[str, Band]  # by pool
    forecast: Series  # the operator's upper quantile: the largest of the pools'

    def total_load(self) -> Series:
        """Of all pools; NaN where none is known."""
        stack = np.vstack(list(self.load.values()))
        return np.where(np.isnan(stack).all(axis=0), np.nan, np.nansum(stack, axis=0))


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event about the RecModel."""

    time: str
    kind: str  # Normal or Warning
    reason: str
    message: str
    count: int


@dataclass(frozen=True)
class Side:
    """What served the requests. ``start_seconds`` (Unix time) is the schedule's second 0."""

    log: ClientLog
    start_seconds: float
    snapshots: Sequence[Snapshot]


@dataclass(frozen=True)
class Run:
    """One replay, ``served`` by the RecModel. ``beside`` served the same requests under an HPA; None where nothing did. ``settings`` are
    the operator's environment.
    """

    subject: Subject
    schedule: Schedule
    served: Side
    beside: Side | None
    measured: Measured
    events: Sequence[Event]
    settings: Mapping[str, str]
    steps: Sequence[tuple[str, float]]  # name and seconds of each step of the demo
    replayed: str  # what demo/load/schedule.py says of the trace that it took


def collect(folder: Path, api: KubernetesApi, prometheus: PrometheusClient, namespace: str, name: str) -> Run:
    """Reads the run's folder, asks the API and Prometheus. Raises RunIncomplete, NotAnswered or PrometheusError."""
    served = side(folder)
    beside = side(folder / "beside") if (folder / "beside").is_dir() else None
    base = f"/apis/recmodel.dev/v1alpha1/namespaces/{namespace}/recmodels/{name}"
    seen = subject(api.get(base), api.items("/api/v1/nodes"))
    schedule = schedules.read(folder / "schedule.csv")
    start = math.floor(served.start_seconds)
    end = start + schedule.seconds + LEAD_SECONDS

    def ask(query: str) -> Matrix:
        return prometheus.query_range(query, start - LEAD_SECONDS, end, STEP_SECONDS, BUDGET_SECONDS)

    measured = measure(
        ask, seen, served.start_seconds, np.arange(start - LEAD_SECONDS, end + STEP_SECONDS / 2, STEP_SECONDS)
    )
    events = _events(api.items(f"/api/v1/namespaces/{namespace}/events"), name, served.start_seconds - 600)
    steps = [line.split("\t") for line in _text(folder / "steps.tsv").splitlines()]
    run = Run(
        seen,
        schedule,
        served,
        beside,
        measured,
        events,
        _settings(api),
        [(what, float(took)) for what, took in steps],
        _text(folder / "schedule.txt").strip(),
    )
    (folder / "prometheus.json").write_text(json.dumps(asdict(measured), default=_listed))
    return run


def side(folder: Path) -> Side:
    """What was written into a folder while a RecModel was watched. Raises RunIncomplete."""
    log = parse((folder / "generator.log").read_text())
    if log.start_seconds is None:
        raise RunIncomplete(f"the load generator's log holds no second of load: {folder}")
    snapshots = [from_line(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    if not snapshots:
        raise RunIncomplete(f"no snapshot was taken during the replay: {folder}")
    return Side(log, log.start_seconds, snapshots)


def measure(ask: Callable[[str], Matrix], seen: Subject, start_seconds: float, times: Series) -> Measured:
    """The arrays at ``times`` (Unix time, evenly spaced), from range queries over them."""
    asked = questions(seen.namespace, seen.name)
    names = [pool.name for pool in seen.model.pools]
    ratio = seen.model.within_ratio
    buckets = ask(asked.pool_buckets)
    return Measured(
        times - start_seconds,
        _by_pool(ask(asked.requests), names, times),
        _by_pool(ask(asked.failures), names, times),
        {pool: _band(buckets, ratio, times, index) for index, pool in enumerate(names)},
        _largest(ask(asked.forecast), times),
    )


def _by_pool(matrix: Matrix, names: Sequence[str], times: Series) -> dict[str, Series]:
    found = {name: np.full(len(times), np.nan) for name in names}
    for labels, values in matrix.rows:
        index = pool_index(labels)
        if index is not None and index < len(names):
            for at, value in values:
                found[names[index]][_place(at, times)] = value
    return found


def _band(matrix: Matrix, ratio: float, times: Series, index: int) -> Band:
    rows: dict[int, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for labels, values in matrix.rows:
        if pool_index(labels) == index:
            for at, value in values:
                rows[_place(at, times)].append((labels, value))
    lower, upper = np.full(len(times), np.nan), np.full(len(times), np.nan)
    for place, pairs in rows.items():
        bracket = percentile(latency(pairs), ratio)
        if bracket is not None:
            lower[place], upper[place] = bracket.lower, np.nan if bracket.upper is None else bracket.upper
    return Band(lower, upper)


def _largest(matrix: Matrix, times: Series) -> Series:
    found = np.full(len(times), np.nan)
    for _, values in matrix.rows:
        for at, value in values:
            found[_place(at, times)] = np.fmax(found[_place(at, times)], value)
    return found


def _place(at: float, times: Series) -> int:
    return round((at - float(times[0])) / STEP_SECONDS)


def _events(items: Sequence[Mapping[str, Any]], name: str, since_seconds: float) -> list[Event]:
    found = []
    for item in items:
        about = item["involvedObject"]
        time = item.get("lastTimestamp") or item.get("eventTime") or item["metadata"]["creationTimestamp"]
        if about.get("kind") == "RecModel" and about.get("name") == name and _unix(time) >= since_seconds:
            found.append(
                Event(
                    time, item.get("type", ""), item.get("reason", ""), item.get("message", ""), item.get("count") or 1
                )
            )
    return sorted(found, key=lambda event: event.time)


def _settings(api: KubernetesApi) -> dict[str, str]:
    items = api.items("/apis/apps/v1/namespaces/recmodel-system/deployments")
    variables = [v for item in items for c in item["spec"]["template"]["spec"]["containers"] for v in c.get("env", [])]
    return {v["name"]: v["value"] for v in variables if "value" in v and v["name"].startswith("RECMODEL_")}


def _unix(time: str) -> float:
    return float(np.datetime64(time.rstrip("Z").split("+")[0], "ms").astype(np.int64)) / 1000.0


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [None if math.isnan(x) else x for x in value.tolist()]
    raise TypeError(f"{type(value).__name__} is no figure")
