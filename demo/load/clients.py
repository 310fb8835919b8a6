"""How one request is sent, and what came of it: by HTTP, or by gRPC, to the same V2 (Open Inference Protocol) ranker."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
from tally import CONNECTION, OK, TIMEOUT

# Who answered: set by a gateway, or by MLServer (its MLSERVER_SERVER_NAME); by gRPC in the trailing metadata.
POOL_HEADERS = ("x-recmodel-pool", "ce-inferenceservicename")
MODEL_PATH = re.compile(r"/v2/models/([^/]+)/infer")


@dataclass(frozen=True)
class Target:
    """Where requests go, and when an answer counts as lost."""

    url: str
    host: str | None
    timeout_seconds: float
    in_flight_limit: int


class Client(Protocol):
    """Sends one request; returns what came of it, and which pool answered, empty where that is not known."""

    async def send(self, number: int) -> tuple[str, str]: ...


class HttpClient:
    """Bodies in turn, over as many connections as requests are under way."""

    def __init__(self, target: Target, bodies: Sequence[bytes], session: aiohttp.ClientSession) -> None:
        self._target = target
        self._bodies = bodies
        self._session = session
        self._headers = {"content-type": "application/json"} | ({"host": target.host} if target.host else {})

    async def send(self, number: int) -> tuple[str, str]:
        """One POST."""
        body = self._bodies[number % len(self._bodies)]
        try:
            async with self._session.post(self._target.url, data=body, headers=self._headers) as answer:
                await answer.read()
                pool = next((answer.headers[name] for name in POOL_HEADERS if name in answer.headers), "")
                return (OK if answer.status == 200 else str(answer.status)), pool
        except TimeoutError:
            return TIMEOUT, ""
        except (aiohttp.ClientError, OSError):
            return CONNECTION, ""


class GrpcClient:
    """The same requests as calls of ModelInfer, over one connection. ``infer`` makes a call that answers with its status."""

    def __init__(self, target: Target, requests: Sequence[Any], infer: Any) -> None:
        self._target = target
        self._requests = requests
        self._infer = infer

    async def send(self, number: int) -> tuple[str, str]:
        """One call."""
        call = self._infer(self._requests[number % len(self._requests)], timeout=self._target.timeout_seconds)
        status = (await call.code()).name
        answered_by = dict(await call.trailing_metadata() or ())
        pool = next((str(answered_by[name]) for name in POOL_HEADERS if name in answered_by), "")
        return (OK if status == "OK" else status), pool


@asynccontextmanager
async def by_http(target: Target, bodies: Sequence[bytes]) -> AsyncIterator[Client]:
    """A client, until the block ends."""
    # No limit in the connector: a request that waits for a connection would no longer be open loop.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0)
    timeout = aiohttp.ClientTimeout(total=target.timeout_seconds)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        yield HttpClient(target, bodies, session)


@asynccontextmanager
async def by_grpc(target: Target, bodies: Sequence[bytes]) -> AsyncIterator[Client]:
    """A client, until the block ends. grpcio and the protocol's stubs are in the ranker's image only."""
    import grpc
    from mlserver.grpc.dataplane_pb2 import ModelInferRequest
    from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

    address, model = place(target.url)
    requests = []
    for body in bodies:
        request = ModelInferRequest(model_name=model)
        for tensor in json.loads(body)["inputs"]:
            made = request.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
            made.contents.int64_contents.extend(tensor["data"])
        requests.append(request)
    options = [("grpc.default_authority", target.host)] if target.host else []
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield GrpcClient(target, requests, GRPCInferenceServiceStub(channel).ModelInfer)


def place(url: str) -> tuple[str, str]:
    """Address and model of the URL of a V2 inference: ``http://edge/v2/models/ranker/infer`` is edge:80 and ranker."""
    parts = urlsplit(url)
    found = MODEL_PATH.fullmatch(parts.path)
    if found is None or parts.hostname is None:
        raise ValueError(
            f"{url} is no http://HOST[:PORT]/v2/models/MODEL/infer, from which gRPC takes the address and the model"
        )
    return f"{parts.hostname}:{parts.port or 80}", found[1]
