"""Latency and throughput of several models against a baseline, taken in turns so that a noisy minute hits all of them.

On a shared machine the same file measured twice half an hour apart may differ by a factor of two. So ratios come from rounds in
which every model is asked for a fraction of a second, one after the other, and what is reported is the median of the rounds' ratios
with their range. Servers are pinned to one core, the client to another where there is one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from recmodel.variants import graph
from recmodel.variants.errors import first_line
from recmodel.variants.graph import Array
from recmodel.variants.server import Runtime, Server, request_body

# Clients of the throughput measurement: enough that the server's core never waits for the client's.
CONNECTIONS = 4
BODIES = 16
# Servers beside the baseline's at one time: bounds the memory (about 200 MB each).
SERVERS_AT_ONCE = 5
# The server rounds scores to five digits.
AGREEMENT = 2e-5


_Given = TypeVar("_Given")
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds of a turn, and rounds."""

    latency_seconds: float = 0.2
    throughput_seconds: float = 0.2
    rounds: int = 4


@dataclass(frozen=True)
class SizeSpeed:
    """Of one model at one request size. Ratios are to the baseline in the same round: median, and lowest to highest."""

    p50_seconds: float
    p95_seconds: float
    per_second: float
    latency_ratio: float
    latency_range: tuple[float, float]
    throughput_ratio: float
    throughput_range: tuple[float, float]
    bare_seconds: float  # onnxruntime alone, without a server
    bare_ratio: float


@dataclass(frozen=True)
class Speed:
    """Of one model: by candidates in a request, and the server's memory (None where only the bare session was measured)."""

    by_size: Mapping[int, SizeSpeed]
    resident_bytes: int | None


@dataclass(frozen=True)
class _Bare:
    """Calls of onnxruntime without a server: seconds, and the ratio of medians to the baseline."""

    p50_seconds: float
    p95_seconds: float
    ratio: float
    ratio_range: tuple[float, float]


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """This thread, and those that it starts, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def requests_of(columns: Mapping[str, Array], size: int, seed: int) -> list[dict[str, Array]]:
    """Some requests with ``size`` candidates each, drawn from the rows."""
    generator = np.random.default_rng([seed, size])
    rows = len(next(iter(columns.values())))
    draws = [generator.integers(0, rows, size) for _ in range(BODIES)]
    return [{name: values[draw] for name, values in columns.items()} for draw in draws]


def requests_by_size(
    columns: Mapping[str, Array], sizes: Sequence[int], seed: int = 7
) -> dict[int, list[dict[str, Array]]]:
    """:func:`requests_of` each size."""
    return {size: requests_of(columns, size, seed) for size in sizes}


class Bench:
    """Measures models with the same requests on the same cores."""

    def __init__(
        self,
        requests: Mapping[int, list[dict[str, Array]]],
        core: int,
        runtime: Runtime | None,
        logs: Path,
        effort: Effort = Effort(),
    ) -> None:
        self._requests = requests
        self._core, self._runtime, self._logs, self._effort = core, runtime, logs, effort
        self._client_cores = os.sched_getaffinity(0) - {core} or {core}
        # Why a model could not be measured, by its name: the others are measured without it.
        self.failed: dict[str, str] = {}

    def compare(
        self, baseline: Path, others: Mapping[str, Path], progress: Callable[[str], None]
    ) -> Iterator[dict[str, Speed]]:
        """The speed of each of ``others``, some at a time; the baseline's own, as "", comes with the first ones."""
        names = list(others)
        for first in range(0, max(len(names), 1), SERVERS_AT_ONCE):
            part = names[first : first + SERVERS_AT_ONCE]
            models = {"": baseline, **{name: others[name] for name in part}}
            progress(f"measuring {', '.join(part) or 'the baseline'} in turns with the baseline")
            bare = self._bare(models)
            found = (
                self._served(self._runtime, models, bare)
                if self._runtime
                else {name: _bare_only(bare[name]) for name in self._alive(models)}
            )
            if first:
                del found[""]
            yield found

    def _each(self, models: Mapping[str, _Given], ask: Callable[[str, _Given], _Found]) -> dict[str, _Found]:
        """``ask`` each model that has not failed. One that fails is left out from then on; the baseline's error is raised."""
        found = {}
        for name, one in models.items():
            if name in self.failed:
                continue
            try:
                found[name] = ask(name, one)
            except Exception as error:  # the session's, the server's, the connection's: each has kinds of its own
                if not name:
                    raise
                self.failed[name] = f"cannot be measured: {first_line(error)}"
        return found

    def _bare(self, models: Mapping[str, Path]) -> dict[str, dict[int, _Bare]]:
        """Calls of onnxruntime, by model and size."""
        opened = self._each(models, lambda _, path: graph.session(path))
        found: dict[str, dict[int, _Bare]] = {name: {} for name in models}
        with pinned({self._core}):
            for size, requests in self._requests.items():
                calls = partial(_calls, requests=requests)
                rounds = [self._each(opened, calls) for _ in range(self._effort.rounds + 1)][
                    1:
                ]  # the first one warms up
                for name in self._alive(models):
                    seconds = np.concatenate([one[name] for one in rounds])
                    ratios = [float(np.median(one[name]) / np.median(one[""])) for one in rounds]
                    p50, p95 = np.percentile(seconds, [50, 95])
                    found[name][size] = _Bare(
                        float(p50), float(p95), float(np.median(ratios)), (min(ratios), max(ratios))
                    )
        return found

    def _alive(self, models: Iterable[str]) -> list[str]:
        return [name for name in models if name not in self.failed]

    def _served(
        self, runtime: Runtime, models: Mapping[str, Path], bare: Mapping[str, Mapping[int, _Bare]]
    ) -> dict[str, Speed]:
        servers = {
            name: Server(runtime, models[name], self._core, self._logs / f"server-{name or 'baseline'}.log")
            for name in self._alive(models)
        }
        started: list[Server] = []

        def start(_: str, server: Server) -> None:
            server.start()
            started.append(server)

        def ready(name: str, server: Server) -> None:
            server.wait()
            self._check(server, models[name])

        try:
            self._each(servers, start)
            self._each(servers, ready)
            with pinned(self._client_cores):
                sizes = {size: self._rounds(servers, size) for size in self._requests}
            memory = self._each(servers, lambda _, server: server.resident_bytes())
        finally:
            for server in started:
                server.stop()
        return {
            name: Speed(
                {size: _size_speed(rounds, name, bare[name][size]) for size, rounds in sizes.items()}, memory[name]
            )
            for name in self._alive(models)
        }

    def _check(self, server: Server, model: Path) -> None:
        """That the server serves this very model, with its scores."""
        request = self._requests[max(self._requests)][0]
        gap = float(np.abs(server.scores(request) - graph.scores(model, request)).max())
        if not gap <= AGREEMENT:
            raise RuntimeError(f"{model.name}: the server's scores differ from onnxruntime's by {gap:.1e}")

    def _rounds(self, servers: Mapping[str, Server], size: int) -> list[dict[str, tuple[list[float], float]]]:
        """Each round: latencies and throughput of every model; every second round in the reverse order."""
        bodies = [request_body(request) for request in self._requests[size]]
        effort = self._effort

        def turn(_: str, server: Server) -> tuple[list[float], float]:
            return (
                server.latencies(bodies, effort.latency_seconds),
                server.throughput(bodies, CONNECTIONS, effort.throughput_seconds),
            )

        self._each(servers, lambda _, server: server.latencies(bodies, 0.05))
        orders = (servers, dict(list(servers.items())[::-1]))
        return [self._each(orders[number % 2], turn) for number in range(effort.rounds)]


def _calls(_: str, session: object, requests: Sequence[Mapping[str, Array]]) -> list[float]:
    seconds = []
    for request in requests:
        started = time.perf_counter()
        session.run(None, request)  # type: ignore[attr-defined]
        seconds.append(time.perf_counter() - started)
    return seconds


def _size_speed(rounds: Sequence[Mapping[str, tuple[list[float], float]]], name: str, bare: _Bare) -> SizeSpeed:
    latencies = np.concatenate([one[name][0] for one in rounds])
    slower = [float(np.median(one[name][0]) / np.median(one[""][0])) for one in rounds]
    faster = [one[name][1] / one[""][1] for one in rounds]
    return SizeSpeed(
        float(np.percentile(latencies, 50)),
        float(np.percentile(latencies, 95)),
        float(np.median([one[name][1] for one in rounds])),
        float(np.median(slower)),
        (min(slower), max(slower)),
        float(np.median(faster)),
        (min(faster), max(faster)),
        bare.p50_seconds,
        bare.ratio,
    )


def _bare_only(bare: Mapping[int, _Bare]) -> Speed:
    """The same figures where there is no server: one call after the other is the latency, and its inverse the throughput."""
    return Speed(
        {
            size: SizeSpeed(
                one.p50_seconds, one.p95_seconds, 1.0 / one.p50_seconds,
                one.ratio, one.ratio_range, 1.0 / one.ratio, (1.0 / one.ratio_range[1], 1.0 / one.ratio_range[0]),
                one.p50_seconds, one.ratio,
            )
            for size, one in bare.items()
        },
        None,
    )  # fmt: skip
