"""An open-loop load generator for a V2 (Open Inference Protocol) ranker: late answers never slow the arrivals down.

    python generator.py --url http://GATEWAY/v2/models/ranker/infer --host ranker.example --schedule schedule.csv
    python generator.py --url ... --rps 50 --seconds 60
    python generator.py --url ... --rps 50 --grpc

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
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
from arrivals import Series, poisson, read_schedule
from clients import Client, Target, by_grpc, by_http, place
from prometheus_client import CollectorRegistry, start_http_server
from tally import OK, UNSENT, LoadMetrics, Tally

# The event loop's timers are about this exact; shorter sleeps only cost wake-ups. What falls due meanwhile leaves then.
SHORTEST_SLEEP_SECONDS = 0.002


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

    def __init__(self, in_flight_limit: int, arrivals: Series, tally: Tally, metrics: LoadMetrics) -> None:
        self._in_flight_limit = in_flight_limit
        self._arrivals = arrivals
        self._tally = tally
        self._metrics = metrics
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self, connected: AbstractAsyncContextManager[Client], rates: Series, stop: asyncio.Event) -> None:
        """Plays all arrivals (or until ``stop``), then waits for the answers still due. Prints the lines meanwhile."""
        async with connected as client:
            started = time.monotonic()
            reporting = asyncio.create_task(self._report(started, rates))
            await self._send_all(client, started, stop)
            if self._in_flight:
                await asyncio.wait(self._in_flight)
            if not stop.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(stop.wait(), max(started + len(rates) - time.monotonic(), 0.0))
            reporting.cancel()
            self._print(time.monotonic() - started)

    async def _send_all(self, client: Client, started: float, stop: asyncio.Event) -> None:
        for number, due in enumerate(self._arrivals.tolist()):
            wait = started + due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(max(wait, SHORTEST_SLEEP_SECONDS))
            if stop.is_set():
                return
            if len(self._in_flight) >= self._in_flight_limit:
                self._tally.record(int(due), UNSENT)
                continue
            task = asyncio.create_task(self._send(client, number, int(due), started + due))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _send(self, client: Client, number: int, second: int, intended: float) -> None:
        outcome, pool = await client.send(number)
        self._tally.record(second, outcome, time.monotonic() - intended if outcome == OK else None, pool)

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
    parser.add_argument(
        "--grpc",
        action="store_true",
        help="call the model of the URL by gRPC, at the URL's address (the demo's view shows HTTPRoutes alone)",
    )
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
    if arguments.grpc:
        try:
            place(arguments.url)
        except ValueError as problem:
            parser.error(str(problem))
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
    connected = (by_grpc if arguments.grpc else by_http)(target, bodies)
    await Generator(target.in_flight_limit, arrivals, tally, metrics).run(connected, rates, stop)
    print(json.dumps(tally.summary()), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(_arguments()))
