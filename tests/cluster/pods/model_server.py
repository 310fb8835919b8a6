"""A model server that costs no CPU: it answers each request after a fixed time, so many at once, the others wait.

So its capacity is known beforehand (SLOTS / SERVICE_MS requests a second), and a cluster of 2 cores carries a dozen of
them. Runs in the operator's own image, on the standard library alone. GET /ready answers 503 while /tmp/unready exists.
BEHAVIOUR says, as JSON by version of the model (RECMODEL_MODEL_VERSION), how another one does: {"2": {"service_ms": 300,
"failing": 0.3, "clicked": 0.1}}. The version comes back in each answer's header x-recmodel-version; GET /metrics has the
counters shown_total and clicked_total, as if of each answer so large a share was clicked on, and the histogram
request_seconds of all requests, the wait for their turn included.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from pathlib import Path

VERSION = os.environ.get("RECMODEL_MODEL_VERSION", "")
MINE = json.loads(os.environ.get("BEHAVIOUR", "{}")).get(VERSION, {})
SERVICE_SECONDS = float(MINE.get("service_ms", os.environ["SERVICE_MS"])) / 1000.0
FAILING = float(MINE.get("failing", 0.0))  # share of the answers that are 500
CLICKED = float(MINE.get("clicked", 0.5))
CHANCE = random.Random(1)
COUNTS = {"shown_total": 0, "clicked_total": 0}
EDGES = (0.025, 0.05, 0.1, 0.2, 0.5, 1.0, float("inf"))  # in seconds
LATENCIES = dict.fromkeys(EDGES, 0)  # requests that took no longer, by edge
SLOTS = asyncio.Semaphore(int(os.environ["SLOTS"]))
START_SECONDS = float(os.environ.get("START_SECONDS", "0"))
UNREADY = Path("/tmp/unready")


async def answered() -> str:
    """The status of one request, when it was its turn."""
    async with SLOTS:
        await asyncio.sleep(SERVICE_SECONDS)
    if CHANCE.random() < FAILING:
        return "500 Internal Server Error"
    COUNTS["shown_total"] += 1
    COUNTS["clicked_total"] += CHANCE.random() < CLICKED
    return "200 OK"


async def timed() -> str:
    """The status of one request, counted in the histogram."""
    began = time.monotonic()
    status = await answered()
    took = time.monotonic() - began
    for edge in EDGES:
        LATENCIES[edge] += took <= edge
    return status


def page() -> str:
    """What GET /metrics answers."""
    lines = [f"# TYPE {name} counter\n{name} {count}\n" for name, count in COUNTS.items()]
    lines.append("# TYPE request_seconds histogram\n")
    for edge, count in LATENCIES.items():
        lines.append(f'request_seconds_bucket{{le="{"+Inf" if edge == float("inf") else edge}"}} {count}\n')
    return "".join([*lines, f"request_seconds_count {LATENCIES[EDGES[-1]]}\n"])


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, request after request."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            line, *fields = head.decode("latin-1").split("\r\n")
            headers = {k.strip().lower(): v.strip() for k, _, v in (field.partition(":") for field in fields)}
            await reader.readexactly(int(headers.get("content-length", "0")))
            status, body = "200 OK", ""
            path = line.split()[1]
            if path == "/ready":
                status = "503 Service Unavailable" if UNREADY.exists() else status
            elif path == "/metrics":
                body = page()
            else:
                status = await timed()
            pool = headers.get("x-recmodel-pool", "")
            said = (
                f"x-recmodel-pool: {pool}\r\nx-recmodel-version: {VERSION}\r\ncontent-type: text/plain; version=0.0.4"
            )
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{said}\r\n\r\n{body}".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serves until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await asyncio.sleep(START_SECONDS)
    await asyncio.start_server(serve, "0.0.0.0", 8080, backlog=1024)
    await stop.wait()


asyncio.run(main())
