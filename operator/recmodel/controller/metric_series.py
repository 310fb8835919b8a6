"""How one of the operator's own metrics is declared, apart from any registry."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

Kind = TypeVar("Kind", bound=Counter | Gauge | Histogram)


class Series(Generic[Kind]):
    """One metric as it is declared in a class of metrics: on an instance, the attribute is the metric itself."""

    def __init__(
        self, kind: type[Kind], name: str, documentation: str, labels: Sequence[str] = (), **options: Any
    ) -> None:
        self.name = name
        self.registered = partial(kind, name, documentation, labels, **options)  # takes ``registry``

    def __get__(self, metrics: object, owner: type) -> Kind:
        raise AttributeError(f"{self.name} is of an instance of {owner.__name__}, which holds the metric itself")
