"""The load generator against a real server on loopback: open loop, honest latencies, every request accounted for."""

import asyncio
import json
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

LOAD = Path(__file__).resolve().parents[2] / "demo" / "load"
sys.path.insert(0, str(LOAD))

from generator import payloads  # noqa: E402
from tally import OK, TIMEOUT, UNSENT, Tally  # noqa: E402

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _play(
    handler: Handler, *arguments: str, during: Callable[[Any], Awaitable[None]] | None = None
) -> list[dict[str, Any]]:
    """Runs the generator as its own process against ``handler``; returns its lines. Fails unless it exits with 0."""
    application = web.Application()
    application.router.add_post("/v2/models/ranker/infer", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v2/models/ranker/infer"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(LOAD / "generator.py"),
        *("--url", url, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    if during is not None:
        await during(process)
    out, error = await asyncio.wait_for(process.communicate(), 30)
    await runner.cleanup()
    assert process.returncode == 0, error.decode()
    return [json.loads(line) for line in out.splitlines()]


def test_late_answers_do_not_slow_the_arrivals() -> None:
    arrivals: list[float] = []

    async def slow(_: web.Request) -> web.Response:
        arrivals.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.8)
        return web.json_response({})

    lines = asyncio.run(_play(slow, "--rps", "60", "--seconds", "3"))
    summary = lines[-1]
    assert summary["ok"] == summary["due"] == len(arrivals)
    assert summary["due"] > 120
    # A closed loop would be spread over many times 3 s: 60/s at 0.8 s each needs 48 in flight at once.
    assert max(arrivals) - min(arrivals) < 3.5
    assert np.bincount((np.array(arrivals) - min(arrivals)).astype(int))[:3].min() > 30
    assert summary["p50_ms"] > 790
    assert summary["within"] == 0
    assert [line["second"] for line in lines[:-1]] == [0, 1, 2]


def test_a_stall_of_the_server_is_charged_to_all_that_arrived_in_it() -> None:
    stalled = False

    async def stalling(_: web.Request) -> web.Response:
        nonlocal stalled
        if not stalled:
            stalled = True
            time.sleep(1.0)  # blocks the whole server: nobody is accepted, let alone answered
        return web.json_response({})

    lines = asyncio.run(_play(stalling, "--rps", "50", "--seconds", "3"))
    # Arrivals of the first second waited about half of it on average; a clock started at the send would hide that.
    assert lines[0]["p50_ms"] > 250
    assert lines[2]["p50_ms"] < 100
    assert lines[-1]["ok"] == lines[-1]["due"]


def test_failures_timeouts_and_pools_are_counted_apart() -> None:
    seen = 0

    async def mixed(request: web.Request) -> web.Response:
        nonlocal seen
        seen += 1
        assert request.headers["host"] == "ranker.example"
        if seen % 4 == 0:
            await asyncio.sleep(2.0)
        if seen % 4 == 1:
            return web.Response(status=503)
        return web.json_response({}, headers={"x-recmodel-pool": "gpu"})

    summary = asyncio.run(
        _play(mixed, "--rps", "40", "--seconds", "2", "--timeout-ms", "300", "--host", "ranker.example")
    )[-1]
    assert summary["failed"]["503"] > 10
    assert summary["timeouts"] > 10
    assert summary["ok"] > 20
    assert summary["ok"] + summary["failed"]["503"] + summary["timeouts"] == summary["sent"] == summary["due"]
    assert summary["pools"] == {"gpu": summary["ok"]}
    assert summary["within_ratio"] == pytest.approx(summary["within"] / summary["due"], abs=1e-4)


def test_what_the_generator_itself_could_not_send_is_unsent_and_not_a_failure() -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(1.0)
        return web.json_response({})

    summary = asyncio.run(_play(slow, "--rps", "50", "--seconds", "2", "--in-flight-limit", "10"))[-1]
    assert summary["unsent"] > 50
    assert summary["failed"] == {}
    assert summary["ok"] + summary["unsent"] == summary["due"]


def test_a_server_that_is_not_there_is_a_measurement_and_not_a_crash() -> None:
    async def gone(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    summary = asyncio.run(_play(gone, "--rps", "30", "--seconds", "1"))[-1]
    assert summary["failed"] == {"connection": summary["due"]}
    assert summary["p95_ms"] is None


def test_prometheus_reads_outcomes_and_the_edge_at_the_objective() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text, answered = "", 0

    async def quick(_: web.Request) -> web.Response:
        nonlocal answered
        answered += 1
        return web.json_response({}, headers={"x-recmodel-pool": "cpu"})

    async def scrape(process: Any) -> None:
        nonlocal text
        while answered < 20:
            await asyncio.sleep(0.05)
        text = await asyncio.to_thread(
            lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        )
        process.send_signal(signal.SIGTERM)

    lines = asyncio.run(
        _play(
            quick, "--rps", "30", "--seconds", "60", "--threshold-ms", "80", "--metrics-port", str(port), during=scrape
        )
    )
    assert 'load_requests_total{outcome="ok",pool="cpu"}' in text
    assert 'load_latency_seconds_bucket{le="0.08"}' in text
    assert "load_offered_per_second 30.0" in text
    # SIGTERM ended it long before its 60 seconds, with a summary of what was sent.
    assert lines[-1]["summary"]
    assert 19 <= lines[-1]["ok"] < lines[-1]["due"]


def test_a_second_is_reported_once_it_is_over_and_all_its_requests_have_ended() -> None:
    tally = Tally([2, 1], 0.1)
    tally.record(0, OK, 0.05, "cpu")
    assert list(tally.lines(1.5)) == []
    tally.record(1, UNSENT)
    assert list(tally.lines(2.5)) == []  # second 1 is complete, but seconds come in order
    tally.record(0, TIMEOUT)
    first, second = (json.loads(line) for line in tally.lines(2.5))
    assert (first["second"], first["sent"], first["ok"], first["timeouts"], first["within"]) == (0, 2, 1, 1, 1)
    assert (second["second"], second["sent"], second["unsent"], second["p95_ms"]) == (1, 0, 1, None)
    assert list(tally.lines(9.0)) == []


def test_payloads_are_v2_requests_with_one_user_and_known_ids() -> None:
    sizes = []
    for body in payloads(200, 50, 80, np.random.default_rng(1)):
        user, item = json.loads(body)["inputs"]
        assert (user["name"], item["name"]) == ("user", "item")
        assert user["shape"] == item["shape"] == [len(item["data"])] == [len(user["data"])]
        assert len(set(user["data"])) == 1
        assert 1 <= user["data"][0] <= 50
        assert 1 <= min(item["data"]) <= max(item["data"]) <= 80
        sizes.append(len(item["data"]))
    assert 150 < np.median(sizes) < 180
    assert max(sizes) <= 1024
