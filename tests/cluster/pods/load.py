"""Requests to the gateway, open loop (late answers do not slow them down), as many a second as /tmp/rate says.

Prints one line for each request, when it has ended: time of sending (seconds since 1970), latency in ms, what came (the
status, or the failure's name), the pool that answered. SIGTERM ends it after the last answer.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import aiohttp

RATE = Path("/tmp/rate")
TIMEOUT_SECONDS = 15.0
LOOK_SECONDS = 0.1  # how often the rate is read


def rate() -> float:
    """Requests a second; the one of the start where none was written since."""
    return float(RATE.read_text() if RATE.exists() else os.environ["RATE"])


async def send(session: aiohttp.ClientSession) -> None:
    """One request, and its line."""
    sent, began, pool = time.time(), time.monotonic(), ""
    try:
        async with session.get(os.environ["URL"], headers={"host": os.environ["HOST"]}) as answer:
            await answer.read()
            came, pool = str(answer.status), answer.headers.get("x-recmodel-pool", "")
    except TimeoutError:
        came = "timeout"
    except (aiohttp.ClientError, OSError) as error:
        came = type(error).__name__
    print(f"{sent:.4f} {1000.0 * (time.monotonic() - began):.1f} {came} {pool}", flush=True)


async def main() -> None:
    """Sends until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    gaps = random.Random(1)
    under_way: set[asyncio.Task[None]] = set()
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        now = due = time.monotonic()
        per_second, looked = rate(), now
        while not stop.is_set():
            now = time.monotonic()
            if now - looked > LOOK_SECONDS:
                per_second, looked = rate(), now
            if per_second <= 0:
                due = now
                await asyncio.sleep(LOOK_SECONDS)
            elif due > now:
                await asyncio.sleep(min(due - now, LOOK_SECONDS))
            else:
                task = asyncio.create_task(send(session))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                due += gaps.expovariate(per_second)
        if under_way:
            await asyncio.wait(under_way)


asyncio.run(main())
