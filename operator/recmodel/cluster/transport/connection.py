"""Connections to the API server that do not deliver late."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import aiohttp

# What the kernel could not deliver for so long is thrown away, together with the connection. Otherwise a request of a
# caller that gave up long ago still arrives when a broken network comes back, while another operator acts.
UNDELIVERED_SECONDS = 3.0


def connector(tls: ssl.SSLContext | bool) -> aiohttp.TCPConnector:
    """Connections of one client; call it inside of the event loop.

    Their number has no limit here: each watch keeps one for minutes, and there are as many as kinds and namespaces that are
    served, so that any limit would leave none for writes some day. Who writes and who reads are counted where they start.
    """
    return aiohttp.TCPConnector(limit=0, ssl=tls, socket_factory=_socket)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux, where the operator runs
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * UNDELIVERED_SECONDS))
    return made
