"""One request to Prometheus, bounded in time and size, and what can go wrong with it.

PrometheusError                  the question has no usable answer
├── PrometheusUnavailable        nobody answered in time, or 429 or 5xx: ask again later
├── QueryRefused                 4xx or a redirect: asking again will not help
└── AnswerUnusable               too large, not JSON, or not of the form that was asked for

Messages say what was asked and which rule failed. They never carry the answer's body, a header or a token.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from recmodel.prometheus.clock import ServerClock

_CHUNK_BYTES = 256 * 1024
# Larger answers are read one at a time: parsed, JSON takes six times its size, and up to 24 times in its worst shapes.
_LARGE_BYTES = 2**20
_RETRY_PAUSE_SECONDS = 0.2
_ANNOTATIONS = ("PromQL info:", "PromQL warning:")
# What Prometheus says of an error; nothing else of the answer is repeated.
_ERROR_TYPES = {
    "timeout",
    "canceled",
    "execution",
    "bad_data",
    "internal",
    "unavailable",
    "not_found",
    "not_acceptable",
}


class PrometheusError(Exception):
    """The question has no usable answer."""


class PrometheusUnavailable(PrometheusError):
    """Nobody answered in time, or the server said that it can not now."""


class QueryRefused(PrometheusError):
    """The server does not want this question from us."""


class AnswerUnusable(PrometheusError):
    """There is an answer, but not one that can be read."""


@dataclass(frozen=True)
class Connection:
    """Where Prometheus is and how it is asked: the operator's setting, never a user's.

    The token's file is read before each request, as the kubelet renews it. ``headers`` and ``parameters`` are for
    several tenants and for Thanos (``X-Scope-OrgID``, ``dedup=true``). ``ValueError`` if the address is not http(s).
    """

    url: str
    bearer_token_file: str | None = None
    ca_file: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_timeout_seconds: float = 2.0
    read_timeout_seconds: float = 5.0
    deadline_seconds: float = 8.0  # of one query, its retries included
    retries: int = 1
    max_answer_bytes: int = 24 * 2**20  # the chart's memory limit holds such an answer, parsed, in any shape

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise ValueError(
                "the address of Prometheus must be http(s)://HOST[:PORT][/PATH], without user, query or fragment"
            )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What prometheus-api-client reads of a response; parsed once, and the warnings that it would drop are kept."""

    status_code: int
    body: Any

    content = b""  # prometheus-api-client puts it into its exceptions: nothing of the body may get there

    def json(self) -> Any:
        return self.body


class Session:
    """What prometheus-api-client needs of a ``requests.Session``, and all that it leaves open: a deadline, a limit to
    the answer's size, no redirects, a fresh token."""

    cert = None

    def __init__(self, connection: Connection, large: threading.Lock, clock: ServerClock) -> None:
        self._connection = connection
        self._clock = clock
        self._large = large  # held by whoever reads a large answer, from its arrival to ``release``
        self._holds = False
        self._session = requests.Session()
        self._session.trust_env = False  # no proxies and no .netrc from the surroundings
        self.verify: bool | str = connection.ca_file or True
        self.mount = self._session.mount
        self.close = self._session.close
        self.deadline = math.inf  # monotonic
        self.partial = False

    def request(self, url: str, params: Mapping[str, object], **_given: object) -> _Answer:
        """Ask once. The method and the rest of what is given do not count: this session decides on them."""
        connection = self._connection
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise PrometheusUnavailable("no time was left to ask Prometheus")
        read_seconds = min(left, connection.read_timeout_seconds)
        headers = {**connection.headers, "Accept-Encoding": "identity", "Accept": "application/json"}
        if connection.bearer_token_file:
            headers["Authorization"] = f"Bearer {_token(connection.bearer_token_file)}"
        sent_seconds = time.time()
        # A form, not the address: a long query must not meet a proxy's limit, nor stand in its log.
        response = self._session.request(
            "POST",
            url,
            data={**connection.parameters, **params, "timeout": f"{max(read_seconds, 0.001):.3f}"},
            headers=headers,
            timeout=(min(left, connection.connect_timeout_seconds), read_seconds),
            allow_redirects=False,
            stream=True,
            verify=self.verify,
        )
        self._clock.see(response.headers.get("Date"), sent_seconds, time.time())
        with contextlib.closing(response):
            _raise_for_status(response, self)
            body = _parsed(self.body(response))
        if (
            body.get("status") == "error"
        ):  # with status 200, from a proxy or a cache: what data it has is not the answer
            raise PrometheusUnavailable(f"Prometheus answered with an error{_kind(body)}")
        data = body.get("data")
        if not isinstance(data, dict) or not isinstance(data.get("result"), list):
            raise AnswerUnusable("Prometheus' answer is not a list of series")
        self.partial = lacks_a_part(body)
        return _Answer(response.status_code, body)

    def body(self, response: requests.Response) -> bytes:
        limit = self._connection.max_answer_bytes
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise AnswerUnusable("Prometheus sent a compressed answer, which was not asked for")
        chunks: list[bytes] = []
        size = 0
        for chunk in self._chunks(response):
            size += len(chunk)
            if size > limit:
                raise AnswerUnusable(
                    f"Prometheus' answer is larger than the {limit} bytes allowed (prometheus.maxAnswerMebibytes)"
                )
            if size > _LARGE_BYTES:
                self._take_turn()
            chunks.append(chunk)
        return b"".join(chunks)

    def release(self) -> None:
        """The answer has been read: the next large one may be."""
        if self._holds:
            self._holds = False
            self._large.release()

    def _take_turn(self) -> None:
        if not self._holds:
            left = self.deadline - time.monotonic()
            if left <= 0 or not self._large.acquire(timeout=min(left, threading.TIMEOUT_MAX)):
                raise PrometheusUnavailable("Prometheus' large answers were not read within the deadline")
            self._holds = True

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        # read1 gives what has come; read would wait for a full chunk, however slowly the bytes drip in.
        while chunk := response.raw.read1(_CHUNK_BYTES):
            yield chunk
            if time.monotonic() > self.deadline:
                raise PrometheusUnavailable("Prometheus' answer did not end within the deadline")


def _token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PrometheusUnavailable(f"the file of the bearer token can not be read ({type(error).__name__})") from None
    if not token or any(c.isspace() for c in token):
        raise PrometheusUnavailable("the file of the bearer token must hold one word")
    return token


def _raise_for_status(response: requests.Response, session: Session) -> None:
    status = response.status_code
    if status == 200:
        return
    kind = ""
    with contextlib.suppress(AnswerUnusable, HTTPError, OSError):
        kind = _kind(_parsed(session.body(response)))
    if status == 429 or status >= 500:
        raise PrometheusUnavailable(f"Prometheus answered with status {status}{kind}")
    if 300 <= status < 400:
        raise QueryRefused(f"Prometheus answered with a redirect ({status}); redirects are not followed")
    raise QueryRefused(f"Prometheus refused the query with status {status}{kind}")


def _kind(body: Mapping[str, Any]) -> str:
    said = body.get("errorType")
    return f" ({said})" if isinstance(said, str) and said in _ERROR_TYPES else ""


def lacks_a_part(body: Mapping[str, Any]) -> bool:
    """Whether an answer says of itself that some of it may be missing: a warning (Thanos, Mimir, a remote read), or
    ``isPartial`` (VictoriaMetrics).

    Annotations say something of the expression and nothing of the data. Prometheus has its notes in ``infos``, Thanos
    puts all of them into ``warnings``: ``PromQL info: metric might not be a counter``.
    """
    warnings = body.get("warnings") or []
    texts = warnings if isinstance(warnings, list) else [warnings]
    about_data = [text for text in texts if not (isinstance(text, str) and text.lstrip().startswith(_ANNOTATIONS))]
    return bool(about_data) or body.get("isPartial") not in (None, False)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise AnswerUnusable("Prometheus' answer is not JSON") from None
    if not isinstance(value, dict):
        raise AnswerUnusable("Prometheus' answer is not a JSON object")
    return value
