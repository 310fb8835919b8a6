"""How long pods take to start, learned from those that were seen from their beginning until they were Ready for the first time.

The wait for a node is the cluster's, the rest is the pool's: they are kept apart. How long a new node takes is told by pods that
no node took at first. One that was asked for ahead of them shortens their wait, so the longest counts. A pod that was Ready when it
was first seen teaches nothing, nor does one that becomes Ready again: its times are those of a blip.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

from recmodel.cluster.children.builders import PROGRESS_DEADLINE_SECONDS
from recmodel.cluster.observed.pods import UNSCHEDULABLE, PodState
from recmodel.core.pods import UNSCHEDULABLE_PATIENCE_SECONDS

KEPT = 10  # pods of a pool that count: enough for a median, few enough to follow a new image
LONGEST_WAIT_SECONDS = UNSCHEDULABLE_PATIENCE_SECONDS  # a longer one is no start-up: the plan has given such pods up
LONGEST_START_SECONDS = float(PROGRESS_DEADLINE_SECONDS)  # a longer one is a failure, by the Deployment's own rule


@dataclass(frozen=True, slots=True)
class StartUp:
    """Medians of recent pods; None where no pod has taught anything yet."""

    scheduling_seconds: float | None  # creation to a node
    starting_seconds: float | None  # node to Ready
    node_wait_seconds: float | None = None  # the longest of creation to a node, of pods that no node took at first


@dataclass(slots=True)
class _Recent:
    scheduling: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    starting: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    node_waits: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))


class StartUps:
    """What was learned, by model and pool."""

    def __init__(self) -> None:
        self._beginning: set[str] = set()  # uids of pods that were seen before they ever were Ready
        self._homeless: set[str] = set()  # of these, the pods that were seen to fit on no node
        self._recent: dict[str, dict[str, _Recent]] = {}

    def see(self, pod: PodState, first: bool) -> None:
        """A pod as it stands now; ``first``: nothing was known of it before."""
        if pod.waits_for_node == UNSCHEDULABLE:
            self._homeless.add(pod.uid)
        if first and pod.begins:
            self._beginning.add(pod.uid)
        elif pod.answers and pod.uid in self._beginning:
            self._beginning.remove(pod.uid)
            if not pod.restarted:
                self._learn(pod)
            self._homeless.discard(pod.uid)

    def gone(self, uid: str) -> None:
        """A pod that is over or deleted."""
        self._beginning.discard(uid)
        self._homeless.discard(uid)

    def forget(self, key: str) -> None:
        """Lets go of a model that is gone."""
        self._recent.pop(key, None)

    def of(self, key: str, pool: str) -> StartUp:
        """What is known of a pool."""
        recent = self._recent.get(key, {}).get(pool, _Recent())
        scheduling, starting = (median(found) if found else None for found in (recent.scheduling, recent.starting))
        return StartUp(scheduling, starting, max(recent.node_waits, default=None))

    def _learn(self, pod: PodState) -> None:
        recent = self._recent.setdefault(pod.key, {}).setdefault(pod.pool, _Recent())
        # Below 0 the clocks that wrote the two times do not agree, and neither can be believed.
        if pod.scheduling_seconds is not None and 0.0 <= pod.scheduling_seconds <= LONGEST_WAIT_SECONDS:
            recent.scheduling.append(pod.scheduling_seconds)
            if pod.uid in self._homeless:
                recent.node_waits.append(pod.scheduling_seconds)
        if pod.starting_seconds is not None and 0.0 <= pod.starting_seconds <= LONGEST_START_SECONDS:
            recent.starting.append(pod.starting_seconds)
