"""What the shares of the traffic rest on in one tick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed
from recmodel.core.capacity.estimate import Capacity


@dataclass(frozen=True)
class TrafficContext:
    """What the shares of the traffic rest on in one tick."""

    fleet: Fleet
    seen: Observed
    replicas: Ints  # [M, P] that were decided
    capacity: Capacity  # as it is believed, not stretched to any head-room
    each: Floats  # [M, P] requests/s a replica that the plan counts on; NaN unknown
    load: Floats  # [M] requests/s; NaN unknown
    rises: Bools  # [M] the load is larger than its rate, or that is not known
    slower: Bools  # [M, P] a faster pool of the same model can fill the gap meanwhile
    blind_seconds: Floats  # [M] age of the newest known load

    @property
    def staying(self) -> Ints:
        """Ready replicas ``[M, P]`` that stay: what is about to leave gets nothing any more."""
        return np.minimum(self.seen.ready, self.replicas)

    @property
    def counted(self) -> Floats:
        """The same as the weights count them: a warming one by the part of its warm-up that is over, so that its pool's share grows as
        it warms. Of 4 that stay with 2 that are halfway, 3.
        """
        seen, staying = self.seen, self.staying
        warm = np.minimum(seen.warm, staying)
        result: Floats = warm + (staying - warm) * seen.warmed_ratio
        return result

    @property
    def ready(self) -> Bools:
        """Pools ``[M, P]`` with ready replicas that stay."""
        result: Bools = self.fleet.exists & (self.staying > 0)
        return result
