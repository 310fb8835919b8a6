"""The load generator against a real server: open loop, honest latencies, every request accounted for.

It runs in virtual time, on one event loop with the server; at last once as a process of its own, as the demo runs it.
"""

import asyncio
import contextlib
import io
import json
import random
import signal
import socket
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from builders import virtual_time
from builders.served_api import Handler, unix_socket
from builders.virtual_time import VirtualTimeLoop

LOAD = Path(__file__).resolve().parents[3] / "demo" / "load"
sys.path.insert(0, str(LOAD))

import generator  # noqa: E402
from clients import place  # noqa: E402
from generator import payloads  # noqa: E402
from tally import OK, TIMEOUT, UNSENT, Tally  # noqa: E402

PATH = "/v2/models/ranker/infer"


def played(handler: Handler, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The lines of the generator, run in virtual time against ``handler``."""

    async def run() -> None:
        async with unix_socket(handler) as path:
            monkeypatch.setattr(aiohttp, "TCPConnector", lambda **given: aiohttp.UnixConnector(path, **given))
            monkeypatch.setattr(sys, "argv", ["generator.py", "--url", f"http://ranker{PATH}", *arguments])
            await generator._main(generator._arguments())

    with contextlib.redirect_stdout(io.StringIO()) as out:
        virtual_time.run(run())
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_late_answers_do_not_slow_the_arrivals(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals: list[float] = []

    async def slow(_: web.Request) -> web.Response:
        arrivals.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.8)
        return web.json_response({})

    lines = played(slow, "--rps", "60", "--seconds", "3", monkeypatch=monkeypatch)
    summary = lines[-1]
    assert summary["ok"] == summary["due"] == len(arrivals)
    assert summary["due"] > 120
    # A closed loop would be spread over many times 3 s: 60/s at 0.8 s each needs 48 in flight at once.
    assert max(arrivals) - min(arrivals) < 3.0
    assert np.bincount((np.array(arrivals) - min(arrivals)).astype(int)).min() > 30
    assert 800.0 <= summary["p50_ms"] <= 810.0
    assert summary["within"] == 0
    assert [line["second"] for line in lines[:-1]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"http://ranker{PATH}", ("ranker:80", "ranker")),
        ("http://10.0.0.1:8080/v2/models/other/infer", ("10.0.0.1:8080", "other")),
    ],
)
def test_by_grpc_the_url_says_the_address_and_the_model(url: str, found: tuple[str, str]) -> None:
    assert place(url) == found


def test_a_url_without_a_model_is_a_wrong_argument(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["generator.py", "--url", "http://ranker/", "--rps", "1", "--grpc"])
    with pytest.raises(SystemExit) as ended:
        generator._arguments()
    assert ended.value.code == 2
    assert "from which gRPC takes the address and the model" in capsys.readouterr().err


def test_a_stall_is_charged_to_all_that_arrived_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stalled = False

    async def stalling(_: web.Request) -> web.Response:
        nonlocal stalled
        if not stalled:
            stalled = True
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualTimeLoop)
            loop.stall(1.0)  # nothing is answered, and nothing is sent either
        return web.json_response({})

    lines = played(stalling, "--rps", "50", "--seconds", "3", monkeypatch=monkeypatch)
    # Arrivals of the first second waited about half of it on average; a clock started at the send would hide that.
    assert 400.0 < lines[0]["p50_ms"] < 600.0
    assert lines[2]["p50_ms"] < 10.0
    assert lines[-1]["ok"] == lines[-1]["due"]


def test_failures_timeouts_and_pools_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
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

    given = ("--rps", "40", "--seconds", "2", "--timeout-ms", "300", "--host", "ranker.example")
    summary = played(mixed, *given, monkeypatch=monkeypatch)[-1]
    assert summary["failed"]["503"] > 10
    assert summary["timeouts"] > 10
    assert summary["ok"] > 20
    assert summary["ok"] + summary["failed"]["503"] + summary["timeouts"] == summary["sent"] == summary["due"]
    assert summary["pools"] == {"gpu": summary["ok"]}
    assert summary["within_ratio"] == pytest.approx(summary["within"] / summary["due"], abs=1e-4)


def test_what_the_generator_itself_could_not_send_is_unsent_and_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(1.0)
        return web.json_response({})

    given = ("--rps", "50", "--seconds", "2", "--in-flight-limit", "10")
    summary = played(slow, *given, monkeypatch=monkeypatch)[-1]
    assert summary["unsent"] > 50
    assert summary["failed"] == {}
    assert summary["ok"] + summary["unsent"] == summary["due"]


def test_a_server_that_is_not_there_is_a_measurement_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    summary = played(gone, "--rps", "30", "--seconds", "1", monkeypatch=monkeypatch)[-1]
    assert summary["failed"] == {"connection": summary["due"]}
    assert summary["p95_ms"] is None


async def process_of(
    handler: Handler, *arguments: str, during: Callable[[asyncio.subprocess.Process], Awaitable[None]]
) -> list[dict[str, Any]]:
    """The lines of the generator, run as its own process against ``handler``. Fails unless it exits with 0."""
    application = web.Application()
    application.router.add_post(PATH, handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    command = (sys.executable, str(LOAD / "generator.py"), "--url", url, *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await during(process)
    out, error = await asyncio.wait_for(process.communicate(), 60)
    await runner.cleanup()
    assert process.returncode == 0, error.decode()
    return [json.loads(line) for line in out.splitlines()]


def free_port() -> int:
    """One below those that the kernel hands out, so that nobody else is given it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def test_prometheus_reads_outcomes_and_the_edge_at_the_objective() -> None:
    port = free_port()
    text, answered = "", asyncio.Event()
    count = 0

    async def quick(_: web.Request) -> web.Response:
        nonlocal count
        count += 1
        if count == 20:
            answered.set()
        return web.json_response({}, headers={"x-recmodel-pool": "cpu"})

    async def scrape(process: asyncio.subprocess.Process) -> None:
        nonlocal text
        async with asyncio.timeout(60):
            await answered.wait()
        text = await asyncio.to_thread(
            lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read().decode()
        )
        process.send_signal(signal.SIGTERM)

    given = (
        "--rps",
        "30",
        "--seconds",
        "120",
        "--threshold-ms",
        "80",
        "--metrics-port",
        str(port),
        "--timeout-ms",
        "30000",
    )
    lines = asyncio.run(process_of(quick, *given, during=scrape))
    assert 'load_requests_total{outcome="ok",pool="cpu"}' in text
    assert 'load_latency_seconds_bucket{le="0.08"}' in text
    assert "load_offered_per_second 30.0" in text
    # SIGTERM ended it long before its 120 seconds, with a summary of what was sent.
    assert lines[-1]["summary"]
    assert 20 <= lines[-1]["ok"] < lines[-1]["due"]


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
