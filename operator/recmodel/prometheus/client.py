"""Asking Prometheus: prometheus-api-client over our own bounded session, with few retries within a deadline."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from recmodel.prometheus.session import (
    AnswerUnusable,
    Connection,
    PrometheusError,
    PrometheusUnavailable,
    QueryRefused,
    Session,
)

_RETRY_PAUSE_SECONDS = 0.2
Question = Callable[[PrometheusConnect], Any]


@dataclass(frozen=True, slots=True)
class Vector:
    """An instant answer: (labels, value) a series. ``partial``: the server said that some of it may be missing."""

    rows: tuple[tuple[Mapping[str, str], float], ...]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Matrix:
    """A range answer: (labels, [(seconds, value)]) a series. ``partial`` as of a ``Vector``."""

    rows: tuple[tuple[Mapping[str, str], tuple[tuple[float, float], ...]], ...]
    partial: bool = False


class PrometheusClient:
    """Asks one Prometheus (or Thanos, Mimir, VictoriaMetrics: the same API). Safe to use from several threads."""

    def __init__(self, connection: Connection, threads: int = 4) -> None:
        self.connection = connection
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="prometheus")
        self._local = threading.local()
        self._sessions: list[Session] = []
        self._lock = threading.Lock()

    def query(self, query: str, at_seconds: float, budget_seconds: float | None = None) -> Vector:
        """The instant vector of ``query`` at ``at_seconds``. Raises ``PrometheusError``."""
        result, partial = self._ask(
            lambda connect: connect.custom_query(query, params={"time": f"{at_seconds:.3f}"}), budget_seconds
        )
        try:
            return Vector(tuple((_labels(row), float(row["value"][1])) for row in result), partial)
        except (TypeError, KeyError, ValueError, IndexError):
            raise AnswerUnusable("Prometheus' answer is not an instant vector") from None

    def query_all(
        self, queries: Iterable[str], at_seconds: float, budget_seconds: float
    ) -> dict[str, Vector | PrometheusError]:
        """The answer, or what went wrong, of each query; all of them together take ``budget_seconds`` at most."""
        deadline = time.monotonic() + budget_seconds

        def one(query: str) -> Vector | PrometheusError:
            try:
                return self.query(query, at_seconds, deadline - time.monotonic())
            except PrometheusError as error:
                return error

        distinct = list(dict.fromkeys(queries))
        return dict(zip(distinct, self._threads.map(one, distinct), strict=True))

    def query_range(
        self,
        query: str,
        start_seconds: float,
        end_seconds: float,
        step_seconds: float,
        budget_seconds: float | None = None,
    ) -> Matrix:
        """The values of ``query`` from start to end (both whole seconds, Unix time). Raises ``PrometheusError``."""
        start, end = (datetime.fromtimestamp(s, UTC) for s in (start_seconds, end_seconds))
        result, partial = self._ask(
            lambda connect: connect.custom_query_range(query, start, end, f"{step_seconds:.3f}"), budget_seconds
        )
        try:
            rows = ((_labels(row), tuple((float(t), float(v)) for t, v in row["values"])) for row in result)
            return Matrix(tuple(rows), partial)
        except (TypeError, KeyError, ValueError):
            raise AnswerUnusable("Prometheus' answer is not a range of values") from None

    def close(self) -> None:
        """Let the threads and the connections go."""
        self._threads.shutdown(cancel_futures=True)
        with self._lock:
            while self._sessions:
                self._sessions.pop().close()

    def _connect(self) -> tuple[PrometheusConnect, Session]:
        # A session a thread: requests does not promise that one may be shared.
        if not hasattr(self._local, "pair"):
            session = Session(self.connection)
            url = self.connection.url.rstrip("/")
            # No retries below ours: theirs wait a second and more, and know no deadline.
            connect = PrometheusConnect(url=url, session=session, retry=Retry(total=0, redirect=False), method="POST")
            self._local.pair = (connect, session)
            with self._lock:
                self._sessions.append(session)
        pair: tuple[PrometheusConnect, Session] = self._local.pair
        return pair

    def _ask(self, question: Question, budget_seconds: float | None) -> tuple[list[Any], bool]:
        connect, session = self._connect()
        deadline_seconds = min(self.connection.deadline_seconds, math.inf if budget_seconds is None else budget_seconds)
        session.deadline = time.monotonic() + deadline_seconds
        for left in range(self.connection.retries, -1, -1):
            try:
                result = _asked(question, connect)
            except PrometheusUnavailable:
                if not left or time.monotonic() + _RETRY_PAUSE_SECONDS >= session.deadline:
                    raise
                time.sleep(_RETRY_PAUSE_SECONDS)
            else:
                return result, session.partial
        raise AssertionError("unreachable: the last attempt returns or raises")


def _asked(question: Question, connect: PrometheusConnect) -> Any:
    try:
        return question(connect)
    except requests.exceptions.SSLError:
        raise QueryRefused("Prometheus' certificate was not accepted, or the TLS handshake failed") from None
    except requests.exceptions.Timeout:
        raise PrometheusUnavailable("Prometheus did not answer in time") from None
    except (requests.exceptions.RequestException, HTTPError, OSError) as error:
        raise PrometheusUnavailable(f"Prometheus could not be reached ({type(error).__name__})") from None
    except PrometheusApiClientException:
        raise QueryRefused("Prometheus refused the query") from None


def _labels(row: Any) -> Mapping[str, str]:
    labels = row["metric"]
    if not isinstance(labels, dict):
        raise TypeError("labels must be an object")
    return labels
