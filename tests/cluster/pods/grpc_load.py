"""Calls of ModelInfer to the gateway by gRPC (the V2 protocol, as MLServer speaks it), open loop, as many a second as /tmp/rate says.

Runs in the ranker's image, which has grpcio and the protocol's stubs. Prints what load.py prints: a line for each call when it has
ended, with the name of its gRPC status. FAILING is the share of the calls that the model cannot answer (status INTERNAL). SIGTERM
ends it after the last answer.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import grpc
from mlserver.grpc.dataplane_pb2 import ModelInferRequest
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

RATE = Path("/tmp/rate")
TIMEOUT_SECONDS = 15.0
LOOK_SECONDS = 0.1  # how often the rate is read
CANDIDATES = 20
CUT_SHORT = (
    b"\0"  # the bytes of a tensor that has 20 numbers: MLServer raises where it unpacks them, and answers INTERNAL
)
ANSWERED_BY = "ce-inferenceservicename"  # MLSERVER_SERVER_NAME, in the trailing metadata


def rate() -> float:
    """Calls a second; the one of the start where none was written since."""
    return float(RATE.read_text() if RATE.exists() else os.environ["RATE"])


def request(well_formed: bool) -> ModelInferRequest:
    """One user's candidates."""
    made = ModelInferRequest(model_name="ranker")
    for name, ids in (("user", [7] * CANDIDATES), ("item", list(range(1, CANDIDATES + 1)))):
        tensor = made.inputs.add(name=name, datatype="INT64", shape=[CANDIDATES])
        if well_formed:
            tensor.contents.int64_contents.extend(ids)
        else:
            made.raw_input_contents.append(CUT_SHORT)
    return made


async def send(stub: GRPCInferenceServiceStub, well_formed: bool) -> None:
    """One call, and its line."""
    sent, began, pool = time.time(), time.monotonic(), ""
    call = stub.ModelInfer(request(well_formed), timeout=TIMEOUT_SECONDS)
    try:
        await call
        pool = dict(await call.trailing_metadata()).get(ANSWERED_BY, "")
    except grpc.aio.AioRpcError:
        pass
    came = (await call.code()).name
    print(f"{sent:.4f} {1000.0 * (time.monotonic() - began):.1f} {came} {pool}", flush=True)


async def main() -> None:
    """Calls until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    chance, failing = random.Random(1), float(os.environ["FAILING"])
    under_way: set[asyncio.Task[None]] = set()
    options = [("grpc.default_authority", os.environ["HOST"])]
    async with grpc.aio.insecure_channel(os.environ["TARGET"], options=options) as channel:
        stub = GRPCInferenceServiceStub(channel)
        now = due = time.monotonic()
        per_second, looked = rate(), now
        while not stop.is_set():
            now = time.monotonic()
            if now - looked > LOOK_SECONDS:
                per_second, looked = rate(), now
            if due > now:
                await asyncio.sleep(min(due - now, LOOK_SECONDS))
            else:
                task = asyncio.create_task(send(stub, well_formed=chance.random() >= failing))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                due += chance.expovariate(per_second)
        if under_way:
            await asyncio.wait(under_way)


asyncio.run(main())
