"""One real model server (MLServer) with one model, a process of its own pinned to one core, and a client for it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from recmodel.variants.errors import InputError
from recmodel.variants.graph import Array, Floats

START_SECONDS = 90.0
STARTS = 3
REQUEST_SECONDS = 30.0
_DATATYPES = {"int64": "INT64", "int32": "INT32", "float32": "FP32"}


@dataclass(frozen=True)
class Runtime:
    """Which server: MLServer's program, and the folder with model-settings.json and the runtime class."""

    program: Path
    folder: Path

    def check(self) -> str:
        """The model's name. Raises InputError where the server cannot be started with these."""
        if not os.access(self.program, os.X_OK):
            raise InputError("server-program", self.program, "must be MLServer's executable (a file `mlserver`)")
        settings = self.folder / "model-settings.json"
        if not settings.is_file():
            raise InputError("server", self.folder, "must be a folder with model-settings.json and the runtime class")
        return str(json.loads(settings.read_text(encoding="utf-8"))["name"])


def request_body(columns: Mapping[str, Array]) -> bytes:
    """A V2 inference request for these rows."""
    return json.dumps(
        {
            "inputs": [
                {
                    "name": name,
                    "shape": list(values.shape),
                    "datatype": _DATATYPES[values.dtype.name],
                    "data": values.reshape(-1).tolist(),
                }
                for name, values in columns.items()
            ]
        }
    ).encode()


class Server:
    """``with Server(runtime, model, core) as server``: started, ready and warm inside, ended after."""

    def __init__(self, runtime: Runtime, model: Path, core: int, log: Path) -> None:
        self._name = runtime.check()
        self._runtime, self._model, self._core, self._log = runtime, model.resolve(), core, log
        self.port = 0

    def start(self) -> None:
        """Starts the process; ``wait`` waits until it answers."""
        self.port, grpc, metrics = _free_ports(3)
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MLSERVER_")},
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(self.port),
            "MLSERVER_GRPC_PORT": str(grpc),
            "MLSERVER_METRICS_PORT": str(metrics),
            "MLSERVER_METRICS_DIR": str(self._log.parent),
            "MLSERVER_MODEL_URI": str(self._model),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [str(self._runtime.program.absolute()), "start", str(self._runtime.folder.resolve())],
                env=environment,
                cwd=self._log.parent,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Until the model is ready; from then on the server has one core, its start may use all.

        Raises RuntimeError with the server's last words where it does not get ready.
        """
        ends, starts = time.monotonic() + START_SECONDS, 1
        while time.monotonic() < ends:
            if self._process.poll() is not None:
                if starts == STARTS:
                    break
                # Somebody's connection may have got one of the ports between our asking for free ones and its use.
                starts += 1
                self.start()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2.0)
                connection.request("GET", f"/v2/models/{self._name}/ready")
                if connection.getresponse().status == 200:
                    self._pin()
                    return
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.1)
        self.stop()
        words = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
        raise RuntimeError(f"the model server did not get ready with {self._model.name}: {' | '.join(words)}")

    def _pin(self) -> None:
        for thread in os.listdir(f"/proc/{self._process.pid}/task"):
            os.sched_setaffinity(int(thread), {self._core})

    def stop(self) -> None:
        """Ends the process."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10.0)

    def __enter__(self) -> Server:
        self.start()
        self.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def connect(self) -> http.client.HTTPConnection:
        """A connection that stays open, without Nagle's delay."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, connection: http.client.HTTPConnection, body: bytes) -> bytes:
        """The answer's body. Raises RuntimeError on another status than 200."""
        connection.request("POST", f"/v2/models/{self._name}/infer", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise RuntimeError(f"the model server answered {response.status}: {answer[:200]!r}")
        return answer

    def scores(self, columns: Mapping[str, Array]) -> Floats:
        """[rows]: what it answers for these rows."""
        connection = self.connect()
        try:
            answer = json.loads(self.ask(connection, request_body(columns)))
        finally:
            connection.close()
        return np.asarray(answer["outputs"][0]["data"], np.float32)

    def latencies(self, bodies: Sequence[bytes], duration_seconds: float) -> list[float]:
        """Seconds of each request of one client that asks, waits, asks again, for at least this long."""
        connection = self.connect()
        found: list[float] = []
        ends = time.perf_counter() + duration_seconds
        try:
            while (started := time.perf_counter()) < ends or len(found) < 5:
                self.ask(connection, bodies[len(found) % len(bodies)])
                found.append(time.perf_counter() - started)
        finally:
            connection.close()
        return found

    def throughput(self, bodies: Sequence[bytes], connections: int, duration_seconds: float) -> float:
        """Answers a second to so many clients that each ask, wait, ask again."""
        counts = [0] * connections
        failures: list[Exception] = []
        ends = time.perf_counter() + duration_seconds

        def client(number: int) -> None:
            connection = self.connect()
            try:
                while time.perf_counter() < ends:
                    self.ask(connection, bodies[counts[number] % len(bodies)])
                    counts[number] += 1
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                failures.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=client, args=(number,)) for number in range(connections)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise RuntimeError(f"a request failed while measuring: {failures[0]}") from failures[0]
        return sum(counts) / (time.perf_counter() - started)

    def resident_bytes(self) -> int:
        """Memory of the process that is not shared out: VmRSS."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel does not report the server's memory")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for entry in sockets:
            entry.bind(("127.0.0.1", 0))
        return [int(entry.getsockname()[1]) for entry in sockets]
    finally:
        for entry in sockets:
            entry.close()
