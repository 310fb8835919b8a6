"""What is said of each RecModel: its status, the same in the metrics, and at the end once more what the next process is to know."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from recmodel.api.status import RecModelStatus
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.controller.keeping import Keeping
from recmodel.controller.metrics import Metrics
from recmodel.controller.reporter import Reporter
from recmodel.controller.routes import read_route
from recmodel.controller.tracked import Tracked

logger = logging.getLogger(__name__)

LAST_SECONDS = 5.0  # of the end, for what was learned: the next process waits meanwhile


@dataclass(frozen=True)
class Reports:
    """What reporting works with."""

    reporter: Reporter
    keeping: Keeping
    metrics: Metrics
    inventory: Inventory
    pools: Callable[[Tracked], Mapping[str, PoolState]]
    weights: Callable[[Tracked], Mapping[str, int]]
    may_report: Callable[[Tracked], bool]  # it is ours to say, and all is known that it needs

    def report(self, tracked: Tracked) -> bool:
        """Has the status written; False where that failed, since nothing may depend on being reported."""
        try:
            if self.may_report(tracked):
                status = self._judged(tracked)
                self.metrics.judged(tracked, status.conditions)
                self.metrics.recommended(tracked, status.recommendation)
        except Exception:
            logger.exception("%s: its status cannot be made", tracked.key)
            return False
        return True

    async def last(self, models: Sequence[Tracked]) -> None:
        """Writes what was learned, for the next process, as far as the time goes."""
        self.keeping.ending = True
        mine = [tracked for tracked in models if tracked.decision is not None and self.may_report(tracked)]
        await self.reporter.write_last(mine, self._judged, LAST_SECONDS)

    def _judged(self, tracked: Tracked) -> RecModelStatus:
        read_route(tracked, self.inventory)
        return self.reporter.report(tracked, self.pools(tracked), self.weights(tracked))
