"""An open-loop load generator for a V2 (Open Inference Protocol) ranker: late answers never slow the arrivals down.

    python generator.py --url http://GATEWAY/v2/models/ranker/infer --host ranker.example --schedule schedule.csv
    python generator.py --url ... --rps 50 --seconds 60

Prints one JSON line a second of arrivals, then a summary line; exits 0 when the schedule is through (a failing
server is a measurement, not an error), 2 on a wrong argument. SIGTERM and SIGINT end it early, with the summary of what
was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
from arrivals import Series, poisson, read_schedule
from prometheus_client import CollectorRegistry, start_http_server
from tally import CONNECTION, OK, TIMEOUT, UNSENT, LoadMetrics, Tally

# Who answered: set by a gateway, or by MLServer (its MLSERVER_SERVER_NAME).
POOL_HEADERS = ("x-recmodel-pool", "ce-inferenceservicename")
# The event loop's timers are about this exact; shorter sleeps only cost wake-ups. What falls due meanwhile leaves then.
SHORTEST_SLEEP_SECONDS = 0.002


@dataclass(frozen=True)
class Target:
    """Where requests go, and when an answer counts as lost."""

    url: str
    host: str | None
    timeout_seconds: float
    in_flight_limit: int


def payloads(count: int, users: int, items: int, generator: np.random.Generator) -> list[bytes]:
    """Ready-made request bodies. Candidates of each: lognormal(5.1, 0.2), at most 1,024 (DeepRecSys; median 164)."""
    bodies = []
    for _ in range(count):
        rows = int(np.clip(generator.lognormal(5.1, 0.2), 1, 1024))
        user = int(generator.integers(1, users + 1))
        tensors = (("user", [user] * rows), ("item", generator.integers(1, items + 1, rows).tolist()))
        inputs = [{"name": name, "shape": [rows], "datatype": "INT64", "data": data} for name, data in tensors]
        bodies.append(json.dumps({"inputs": inputs}, separators=(",", ":")).encode())
    return bodies


class Generator:
    """Sends what is due when it is due. One instance runs once."""

    def __init__(
        self, target: Target, arrivals: Series, bodies: list[bytes], tally: Tally, metrics: LoadMetrics
    ) -> None:
        self._target = target
        self._arrivals = arrivals
        self._bodies = bodies
        self._tally = tally
        self._metrics = metrics
        self._in_flight: set[asyncio.Task[None]] = set()
        self._headers = {"content-type": "application/json"} | ({"host": target.host} if target.host else {})

    async def run(self, rates: Series, stop: asyncio.Event) -> None:
        """Plays all arrivals (or until ``stop``), then waits for the answers still due. Prints the lines meanwhile."""
        # No limit in the connector: a request that waits for a connection would no longer be open loop.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0)
        timeout = aiohttp.ClientTimeout(total=self._target.timeout_seconds)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            started = time.monotonic()
            reporting = asyncio.create_task(self._report(started, rates))
            await self._send_all(session, started, stop)
            if self._in_flight:
                await asyncio.wait(self._in_flight)
            if not stop.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(stop.wait(), max(started + len(rates) - time.monotonic(), 0.0))
            reporting.cancel()
            self._print(time.monotonic() - started)

    async def _send_all(self, session: aiohttp.ClientSession, started: float, stop: asyncio.Event) -> None:
        for number, due in enumerate(self._arrivals.tolist()):
            wait = started + due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(max(wait, SHORTEST_SLEEP_SECONDS))
            if stop.is_set():
                return
            if len(self._in_flight) >= self._target.in_flight_limit:
                self._tally.record(int(due), UNSENT)
                continue
            body = self._bodies[number % len(self._bodies)]
            task = asyncio.create_task(self._send(session, body, int(due), started + due))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _send(self, session: aiohttp.ClientSession, body: bytes, second: int, intended: float) -> None:
        try:
            async with session.post(self._target.url, data=body, headers=self._headers) as answer:
                await answer.read()
                pool = next((answer.headers[name] for name in POOL_HEADERS if name in answer.headers), "")
                if answer.status == 200:
                    self._tally.record(second, OK, time.monotonic() - intended, pool)
                else:
                    self._tally.record(second, str(answer.status), pool=pool)
        except TimeoutError:
            self._tally.record(second, TIMEOUT)
        except (aiohttp.ClientError, OSError):
            self._tally.record(second, CONNECTION)

    async def _report(self, started: float, rates: Series) -> None:
        while True:
            now = time.monotonic() - started
            self._metrics.offered.set(float(rates[int(now)]) if now < len(rates) else 0.0)
            self._metrics.in_flight.set(len(self._in_flight))
            self._print(now)
            await asyncio.sleep(0.25)

    def _print(self, now_seconds: float) -> None:
        for line in self._tally.lines(now_seconds):
            print(line, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="open-loop load for a V2 ranker")
    parser.add_argument("--url", required=True)
    parser.add_argument("--host", help="Host header, when the URL names a gateway")
    parser.add_argument("--schedule", type=Path, help="CSV with seconds,rps; one row a second")
    parser.add_argument("--rps", type=float, help="a steady rate instead of a schedule")
    parser.add_argument("--seconds", type=int, default=60, help="length of the steady rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--threshold-ms", type=float, default=100.0, help="the latency objective: an edge of the histogram"
    )
    parser.add_argument("--timeout-ms", type=float, default=2000.0)
    parser.add_argument("--in-flight-limit", type=int, default=1000)
    parser.add_argument("--metrics-port", type=int, help="serve Prometheus metrics on this port")
    parser.add_argument("--users", type=int, default=15031, help="users that the ranker knows")
    parser.add_argument("--items", type=int, default=9925, help="items that the ranker knows")
    arguments = parser.parse_args()
    if (arguments.schedule is None) == (arguments.rps is None):
        parser.error("give either --schedule or --rps")
    return arguments


async def _main(arguments: argparse.Namespace) -> None:
    rates = (
        read_schedule(arguments.schedule)
        if arguments.schedule is not None
        else np.full(arguments.seconds, arguments.rps, dtype=np.float64)
    )
    random = np.random.default_rng(arguments.seed)
    arrivals = poisson(rates, random)
    registry = CollectorRegistry()
    metrics = LoadMetrics(arguments.threshold_ms / 1000.0, registry)
    if arguments.metrics_port is not None:
        start_http_server(arguments.metrics_port, registry=registry)
    due = np.bincount(arrivals.astype(np.int64), minlength=len(rates)).tolist()
    tally = Tally(due, arguments.threshold_ms / 1000.0, metrics)
    target = Target(arguments.url, arguments.host, arguments.timeout_ms / 1000.0, arguments.in_flight_limit)
    bodies = payloads(500, arguments.users, arguments.items, random)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Generator(target, arrivals, bodies, tally, metrics).run(rates, stop)
    print(json.dumps(tally.summary()), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(_arguments()))
