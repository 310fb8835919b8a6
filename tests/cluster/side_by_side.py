"""Tests that mostly wait run side by side: each in a namespace of its own, and each is judged by its own test.

The first one begins all marked tests that come after it without another test between, and each then waits for its own end. They
share the cluster: none of them may touch the operator, Prometheus, the gateway or a node.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
from kube import Kube
from namespaces import SAID, fresh_namespace, said_of
from serving import Served, recmodel

AT_ONCE = 3  # with 60 requests/s each, as much as test_weights.py sends alone
GIVEN = ("kube", "namespace", "serve")  # what such a test may ask for, beside its parameters

Test = Callable[..., None]


def serving(kube: Kube, namespace: str) -> Callable[..., Served]:
    """Applies a RecModel with these pools; ``serve(Pool(), GPU, name="ranker", mode="Auto")``."""
    return lambda *pools, name="ranker", **settings: Served(kube, recmodel(namespace, name, *pools, **settings))


def together(test: Test) -> Test:
    """Marks a test that may run beside others that are so marked."""

    @functools.wraps(test)
    def judged(side_by_side: SideBySide, request: pytest.FixtureRequest, **_: Any) -> None:
        side_by_side.judge(request.node)

    asked = inspect.signature(test).parameters.values()
    fixtures = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("side_by_side", "request")]
    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in asked if each.name not in GIVEN]
    judged.__signature__ = inspect.Signature([*fixtures, *own])  # type: ignore[attr-defined]
    judged.itself = test  # type: ignore[attr-defined]
    return judged


def is_together(item: pytest.Item) -> bool:
    """Whether a test is so marked."""
    return isinstance(item, pytest.Function) and hasattr(item.function, "itself")


class SideBySide:
    """The tests of a session that run side by side."""

    def __init__(self, kube: Kube, items: Sequence[pytest.Item]) -> None:
        self._kube = kube
        self._items = items  # in the order in which they are judged
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._begun: dict[str, Future[None]] = {}
        self._ended: set[str] = set()

    def judge(self, item: pytest.Function) -> None:
        """Raises what the test raised, when it has ended. A test that is judged again runs again, alone."""
        if item.nodeid in self._ended:
            wait(self._begun.values())
            self._run(item)
            return
        if item.nodeid not in self._begun:
            marked = itertools.takewhile(is_together, self._following(item))
            self._begun = {each.nodeid: self._threads.submit(self._run, each) for each in marked}
        self._ended.add(item.nodeid)
        self._begun.pop(item.nodeid).result()

    def _following(self, item: pytest.Function) -> Iterator[pytest.Function]:
        found = (each for each in self._items if isinstance(each, pytest.Function))
        return itertools.dropwhile(lambda each: each is not item, found)

    def close(self) -> None:
        """Waits for those that have begun; begins no other."""
        self._threads.shutdown(cancel_futures=True)

    def _run(self, item: pytest.Function) -> None:
        test: Test = item.function.itself
        settings = dict(item.callspec.params) if hasattr(item, "callspec") else {}
        with fresh_namespace(self._kube) as namespace:
            given = {"kube": self._kube, "namespace": namespace, "serve": serving(self._kube, namespace)}
            asked = inspect.signature(test).parameters
            try:
                test(**settings, **{name: value for name, value in given.items() if name in asked})
            except BaseException:
                said = said_of(namespace)
                item.stash[SAID] = lambda: said
                raise
