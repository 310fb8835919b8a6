"""A model server that costs no CPU: it answers each request after a fixed time, so many at once, the others wait.

So its capacity is known beforehand (SLOTS / SERVICE_MS requests a second), and a cluster of 2 cores carries a dozen of
them. Runs in the operator's own image, on the standard library alone. GET /ready answers 503 while /tmp/unready exists.
BEHAVIOUR says, as JSON by version of the model (RECMODEL_MODEL_VERSION), how another one does: {"2": {"service_ms": 300,
"failing": 0.3}}. The version comes back in each answer's header x-recmodel-version.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from pathlib import Path

VERSION = os.environ.get("RECMODEL_MODEL_VERSION", "")
MINE = json.loads(os.environ.get("BEHAVIOUR", "{}")).get(VERSION, {})
SERVICE_SECONDS = float(MINE.get("service_ms", os.environ["SERVICE_MS"])) / 1000.0
FAILING = float(MINE.get("failing", 0.0))  # share of the answers that are 500
CHANCE = random.Random(1)
SLOTS = asyncio.Semaphore(int(os.environ["SLOTS"]))
START_SECONDS = float(os.environ.get("START_SECONDS", "0"))
UNREADY = Path("/tmp/unready")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, request after request."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            line, *fields = head.decode("latin-1").split("\r\n")
            headers = {k.strip().lower(): v.strip() for k, _, v in (field.partition(":") for field in fields)}
            await reader.readexactly(int(headers.get("content-length", "0")))
            status = "200 OK"
            if line.split()[1] == "/ready":
                status = "503 Service Unavailable" if UNREADY.exists() else status
            else:
                async with SLOTS:
                    await asyncio.sleep(SERVICE_SECONDS)
                if CHANCE.random() < FAILING:
                    status = "500 Internal Server Error"
            pool = headers.get("x-recmodel-pool", "")
            said = f"x-recmodel-pool: {pool}\r\nx-recmodel-version: {VERSION}"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n{said}\r\n\r\n".encode())
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
