"""How often a request is sent again that the API server could not do."""

from __future__ import annotations

from recmodel.cluster.transport.errors import SERVER_IN_TROUBLE
from recmodel.cluster.transport.request import Request

RETRIES = 4


class Retries:
    """A write that failed at every retry, for a reason of its own, is sent once from then on, until it succeeds.

    Its sender comes back at growing intervals, and what keeps the traffic right waits behind it meanwhile: with a webhook that is
    down the retries of two PodDisruptionBudgets take six seconds.
    """

    def __init__(self) -> None:
        self._failed: set[str] = set()

    def of(self, request: Request) -> int:
        """How often it may be sent again now."""
        return 0 if str(request) in self._failed else RETRIES

    def succeeded(self, request: Request) -> None:
        """It was done."""
        self._failed.discard(str(request))

    def exhausted(self, request: Request, status: int | None) -> None:
        """It was not done at the last retry either; ``status`` is that of the last answer, None where there was none."""
        if request.method != "GET" and status not in SERVER_IN_TROUBLE:
            self._failed.add(str(request))
