"""Asking Prometheus: prometheus-api-client over our own bounded session, with few retries within a deadline.

Every question is asked in a thread and waited for as long as its budget lasts: looking up a name has no time limit of
its own, and such a thread is left behind.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from recmodel.prometheus.clock import NOTICED_SECONDS, ServerClock
from recmodel.prometheus.session import (
    AnswerUnusable,
    Connection,
    PrometheusError,
    PrometheusUnavailable,
    QueryRefused,
    Session,
)

_RETRY_PAUSE_SECONDS = 0.2
# Threads for all groups, and for one: a group that Prometheus does not answer leaves threads to the others.
_THREADS, _THREADS_A_GROUP = 8, 2
Question = Callable[[PrometheusConnect, float], Any]  # given how far the server's clock is ahead
Answer = TypeVar("Answer")


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
    """Asks one Prometheus (or Thanos, Mimir, VictoriaMetrics: the same API). Safe to use from several threads.

    All times given and returned are by our clock; the server is asked by its own (``clock``).
    """

    def __init__(self, connection: Connection, threads: int = _THREADS) -> None:
        self.connection = connection
        self.clock = ServerClock()
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="prometheus")
        self._local = threading.local()
        self._sessions: list[Session] = []
        self._lock = threading.Lock()
        self._large = threading.Lock()  # whoever reads a large answer

    def query(self, query: str, at_seconds: float, budget_seconds: float | None = None) -> Vector:
        """The instant vector of ``query`` at ``at_seconds``. Raises ``PrometheusError``."""
        return self._waited_for(lambda deadline: self._instant(query, at_seconds, deadline), budget_seconds)

    def query_all(
        self, queries: Iterable[str] | Mapping[str, Hashable], at_seconds: float, budget_seconds: float
    ) -> dict[str, Vector | PrometheusError]:
        """The answer, or what went wrong, of each query; all of them together take ``budget_seconds`` at most.

        A mapping names the group of each query: one group's queries that hang or fail take nothing from the other groups.
        """
        deadline = time.monotonic() + budget_seconds
        group_of = queries if isinstance(queries, Mapping) else dict.fromkeys(queries)
        groups: dict[Hashable, deque[str]] = defaultdict(deque)
        for query, group in group_of.items():
            groups[group].append(query)
        answers: dict[str, Vector | PrometheusError] = {}

        def work(mine: deque[str]) -> None:
            while mine:
                try:
                    query = mine.popleft()
                except IndexError:  # the group's other thread took the last one
                    return
                answers[query] = self._outcome(query, at_seconds, deadline)

        working = [self._threads.submit(work, mine) for _ in range(_THREADS_A_GROUP) for mine in groups.values()]
        wait(working, timeout=max(deadline - time.monotonic(), 0.0))
        for future in working:
            future.cancel()
        answered = dict(answers)  # what comes after this comes too late
        return {query: answered.get(query, PrometheusUnavailable(_TOO_LATE)) for query in group_of}

    def query_range(
        self,
        query: str,
        start_seconds: float,
        end_seconds: float,
        step_seconds: float,
        budget_seconds: float | None = None,
    ) -> Matrix:
        """The values of ``query`` from start to end (both whole seconds, Unix time). Raises ``PrometheusError``."""
        step = f"{step_seconds:.3f}"

        def read(result: Any, partial: bool, ahead_seconds: float) -> Matrix:
            shift = round(ahead_seconds)
            samples = ((_labels(row), map(_sample, row["values"])) for row in result)
            return Matrix(
                tuple((labels, tuple((t - shift, v) for t, v in pairs)) for labels, pairs in samples), partial
            )

        def question(connect: PrometheusConnect, ahead_seconds: float) -> Any:
            shift = round(ahead_seconds)
            start, end = (datetime.fromtimestamp(s + shift, UTC) for s in (start_seconds, end_seconds))
            return connect.custom_query_range(query, start, end, step)

        return self._waited_for(lambda deadline: self._ask(question, deadline, read), budget_seconds)

    def close(self) -> None:
        """Let the threads and the connections go. A thread that still looks up a name is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            while self._sessions:
                self._sessions.pop().close()

    def _connect(self) -> tuple[PrometheusConnect, Session]:
        # A session a thread: requests does not promise that one may be shared.
        if not hasattr(self._local, "pair"):
            session = Session(self.connection, self._large, self.clock)
            url = self.connection.url.rstrip("/")
            # No retries below ours: theirs wait a second and more, and know no deadline.
            connect = PrometheusConnect(url=url, session=session, retry=Retry(total=0, redirect=False), method="POST")
            self._local.pair = (connect, session)
            with self._lock:
                self._sessions.append(session)
        pair: tuple[PrometheusConnect, Session] = self._local.pair
        return pair

    def _waited_for(self, asked: Callable[[float], Answer], budget_seconds: float | None) -> Answer:
        """What ``asked`` returns or raises, given the deadline (monotonic); late is an error."""
        limit = self.connection.deadline_seconds
        seconds = limit if budget_seconds is None else min(limit, budget_seconds)
        future = self._threads.submit(asked, time.monotonic() + seconds)
        try:
            return future.result(timeout=max(seconds, 0.0))
        except TimeoutError:
            future.cancel()
            raise PrometheusUnavailable(_TOO_LATE) from None

    def _outcome(self, query: str, at_seconds: float, deadline: float) -> Vector | PrometheusError:
        try:
            return self._instant(query, at_seconds, deadline)
        except PrometheusError as error:
            # Kept as an answer: what it was raised from would keep the parsed answer in memory.
            error.__context__ = None
            return error.with_traceback(None)
        except Exception as error:  # nobody waits for a thread's exception: it must become the answer
            return AnswerUnusable(f"Prometheus' answer could not be read ({type(error).__name__})")

    def _instant(self, query: str, at_seconds: float, deadline: float) -> Vector:
        def read(result: Any, partial: bool, _ahead_seconds: float) -> Vector:
            return Vector(tuple((_labels(row), _sample(row["value"])[1]) for row in result), partial)

        def question(connect: PrometheusConnect, ahead_seconds: float) -> Any:
            return connect.custom_query(query, params={"time": f"{at_seconds + ahead_seconds:.3f}"})

        return self._ask(question, deadline, read)

    def _ask(self, question: Question, deadline: float, read: Callable[[Any, bool, float], Answer]) -> Answer:
        """Asks until the deadline (monotonic), and reads the answer's rows by ``read``; again, and once, where the answer
        tells that the server's clock is elsewhere than it was taken to be.
        """
        _, session = self._connect()
        session.deadline = min(deadline, time.monotonic() + self.connection.deadline_seconds)
        ahead_seconds = self.clock.ahead_seconds
        answer = self._tried(question, ahead_seconds, read)
        if abs(self.clock.ahead_seconds - ahead_seconds) > NOTICED_SECONDS:
            answer = self._tried(question, self.clock.ahead_seconds, read)
        return answer

    def _tried(self, question: Question, ahead_seconds: float, read: Callable[[Any, bool, float], Answer]) -> Answer:
        connect, session = self._connect()
        for left in range(self.connection.retries, -1, -1):
            try:
                return read(_asked(lambda: question(connect, ahead_seconds)), session.partial, ahead_seconds)
            except PrometheusUnavailable:
                if not left or time.monotonic() + _RETRY_PAUSE_SECONDS >= session.deadline:
                    raise
                time.sleep(_RETRY_PAUSE_SECONDS)
            except (TypeError, KeyError, ValueError, IndexError, OverflowError):
                raise AnswerUnusable("Prometheus' answer is not of the form that was asked for") from None
            finally:
                session.release()
        raise AssertionError("unreachable: the last attempt returns or raises")


_TOO_LATE = "Prometheus did not answer in time"


def _asked(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except requests.exceptions.SSLError:
        raise QueryRefused("Prometheus' certificate was not accepted, or the TLS handshake failed") from None
    except requests.exceptions.Timeout:
        raise PrometheusUnavailable(_TOO_LATE) from None
    except (requests.exceptions.RequestException, HTTPError, OSError) as error:
        raise PrometheusUnavailable(f"Prometheus could not be reached ({type(error).__name__})") from None
    except PrometheusApiClientException:
        raise QueryRefused("Prometheus refused the query") from None


def _labels(row: Any) -> Mapping[str, str]:
    labels = row["metric"]
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("labels must be an object of texts")
    return labels


def _sample(pair: Any) -> tuple[float, float]:
    """Time and value of ``[1700000000.0, "2.5"]``; the value may be NaN or infinite, for the reader to judge."""
    if not isinstance(pair, list) or len(pair) != 2 or isinstance(pair[1], bool):
        raise TypeError("a sample must be a time and a value")
    seconds, value = float(pair[0]), float(pair[1])
    if not math.isfinite(seconds):
        raise ValueError("a time must be finite")
    return seconds, value
