"""One attempt at each child of a RecModel: what fails of one is noted, and stops none of the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable

from recmodel.cluster import names
from recmodel.cluster.transport.errors import (
    SERVER_IN_TROUBLE,
    ApiRefused,
    ApiUnavailable,
    ClusterError,
    NameTaken,
    Unreadable,
)
from recmodel.cluster.transport.request import RETRIES
from recmodel.cluster.writing.drift import Child
from recmodel.cluster.writing.outcome import Failure

# What observes or protects what serves, and what no request passes.
_BESIDE_SERVING = (names.POD_MONITOR, names.DISRUPTION_BUDGET)


class Attempts:
    """What came of them. Children in ``left`` stay as they are; what was ``refused`` of these before counts on."""

    def __init__(self, left: Collection[Child] = (), refused: Iterable[Failure] = ()) -> None:
        self.left = set(left)
        self.written: list[str] = []
        self.failures: list[Failure] = []
        self._refused = {failure.child: failure for failure in refused}

    async def make(self, child: Child, work: Callable[[int], Awaitable[bool]], serves: bool = True) -> None:
        """Does the work on a child, which says whether it wrote; raises only what would stop all others, too.

        The work is told how often its write may be sent again. One that failed before is sent once: it comes back by itself,
        and the weights wait behind it. With a webhook that is down, the retries of two PodDisruptionBudgets take six seconds.
        """
        if child in self.left:
            self.failures += [self._refused[child]] if child in self._refused else []
            return
        try:
            if await work(0 if child in self._refused else RETRIES):
                self.written.append(f"{child[0].kind} {child[1]}")
        except Exception as error:
            if stops_all(error):
                raise
            self.failures.append(Failure(child, error, serves and child[0] not in _BESIDE_SERVING))


def stops_all(error: Exception) -> bool:
    """Whether the next child would fare no better: the API server is in trouble, not the object."""
    if isinstance(error, ApiUnavailable):
        return error.status in SERVER_IN_TROUBLE
    return isinstance(error, ClusterError) and not isinstance(error, ApiRefused | NameTaken | Unreadable)
