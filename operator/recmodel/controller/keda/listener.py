"""The port of KEDA's external scaler: open while this process acts, with limits on all that a client can ask for.

It has a thread and a loop of its own, so that nothing that a client does can stand in the way of a tick.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from recmodel.cluster.transport.watch import backoff_seconds

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
STOP_SECONDS = 5.0
KIBI = 1024
# A call of KEDA has some hundred bytes and takes a millisecond; of connections KEDA needs one for each address and set of certificates.
LIMITS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),  # a port that another process has is an error, not shared
    ("grpc.max_receive_message_length", 64 * KIBI),
    ("grpc.max_metadata_size", 8 * KIBI),
    ("grpc.absolute_max_metadata_size", 16 * KIBI),
    ("grpc.max_concurrent_streams", 32),  # of one connection
    ("grpc.max_allowed_incoming_connections", 64),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_connection_idle_ms", 300_000),
    # A call that never ends, and a connection to a pod that has fallen silent, end with their connection. KEDA makes another one.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 5_000),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where it listens. ``certificates`` is a folder with ``tls.crt`` and ``tls.key``; None: no TLS. With ``known_clients_only`` a
    client must show a certificate that ``ca.crt`` in that folder has signed.
    """

    address: str
    port: int
    certificates: Path | None = None
    known_clients_only: bool = False

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def check(self) -> None:
        """Whether it can be had: ``OSError`` says why not, in the system's words. gRPC would only say that it failed."""
        with socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET) as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((self.address, self.port))

    def read(self) -> tuple[bytes, ...]:
        """The key, the certificate and, where it is used, the authority; ``OSError`` (also ``ssl.SSLError``) says what is wrong."""
        if self.certificates is None:
            return ()
        key, certificate = self.certificates / "tls.key", self.certificates / "tls.crt"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found = [key.read_bytes(), certificate.read_bytes()]
        context.load_cert_chain(certificate, key)
        if self.known_clients_only:
            context.load_verify_locations(self.certificates / "ca.crt")
            found.append((self.certificates / "ca.crt").read_bytes())
        return tuple(found)


class Listener:
    """Keeps the port open while ``acts``. ``told`` gets why it cannot be opened, and None once it is open or need not be."""

    def __init__(
        self, place: Place, handler: Any, acts: Callable[[], bool], told: Callable[[str | None], None]
    ) -> None:
        self._place = place
        self._handler = handler
        self._acts = acts
        self._told = told
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="external-scaler", daemon=True)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begins in the background; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Closes the port. What does not end soon is left to the process's end."""
        self._stopped.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._keep())
        except Exception:
            logger.exception("KEDA's external scaler has ended")
            self._told("it has ended: the log says why")

    async def _keep(self) -> None:
        server: Any = None
        secrets: tuple[bytes, ...] | None = None
        failures = 0
        try:
            while not self._stopped.is_set():
                pause = LOOK_SECONDS
                try:
                    wanted = self._place.read() if self._acts() else None
                    if server is not None and wanted != secrets:  # it acts no more, or the certificate was renewed
                        await server.stop(None)
                        server = None
                    if server is None and wanted is not None:
                        server, secrets = await self._opened(wanted), wanted
                        logger.info("KEDA's external scaler is served at %s", self._place)
                    failures = 0
                    self._say(None)
                except Exception as error:
                    failures += 1
                    pause = backoff_seconds(failures)
                    self._say(_sentence(error), served=server is not None)
                await asyncio.to_thread(self._stopped.wait, pause)
        finally:
            if server is not None:
                await server.stop(None)

    async def _opened(self, secrets: tuple[bytes, ...]) -> Any:
        self._place.check()
        server = grpc.aio.server(options=LIMITS)
        server.add_generic_rpc_handlers((self._handler,))
        try:
            if secrets:
                key, certificate, *authorities = secrets
                server.add_secure_port(
                    str(self._place),
                    grpc.ssl_server_credentials(
                        [(key, certificate)], authorities[0] if authorities else None, bool(authorities)
                    ),
                )
            else:
                server.add_insecure_port(str(self._place))
            await server.start()
        except BaseException:
            with contextlib.suppress(Exception):
                await server.stop(None)
            raise
        return server

    def _say(self, problem: str | None, served: bool = False) -> None:
        if problem is not None and problem != self._problem:
            how = "goes on with the certificates that it has" if served else "cannot be served"
            logger.error("KEDA's external scaler at %s %s: %s", self._place, how, problem)
        self._problem = problem
        self._told(problem)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; the Secret that it comes from must have it"
    return str(error) or type(error).__name__
