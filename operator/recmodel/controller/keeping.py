"""When what was learned goes into the status and comes back: with a status that is written anyway, and read once, at the start.

Only who acts writes a status, so an operator that stands by keeps nothing. It learns along, and what it learned itself stays.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from recmodel.api.pool import PoolSpec
from recmodel.cluster.children.builders import digest
from recmodel.controller import kept_memory
from recmodel.controller.decider import Decider
from recmodel.controller.tracked import Tracked
from recmodel.core.kept import KeptModel

logger = logging.getLogger(__name__)

# Between two times, at least: a few KiB, of what changes slowly. At first it is as long as has been learned: a process that is killed
# loses half of that at most.
KEEP_SECONDS = 300.0
MAKING = ("variant", "template", "target_ref", "protocol")  # the fields of a pool that say what its replicas are


class Keeping:
    """Makes the text that is kept of each RecModel. ``now`` is any clock in seconds that only goes forward."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._made: dict[str, tuple[float, float]] = {}  # by RecModel: when it was made first, and last
        self.ending = False  # this process ends: what is newest is kept, however soon

    def text(self, tracked: Tracked, before: str | None) -> str | None:
        """What ``status.memory`` is to be, where it was ``before``: that stays while nothing is known beyond it."""
        now = time.monotonic()
        first, last = self._made.get(tracked.key, (now, -math.inf))
        if not self.ending and now - last < min(KEEP_SECONDS, last - first):
            return before
        try:
            text = self._newest(tracked)
        except Exception:  # a status is worth more than what is kept with it
            logger.exception("%s: what was learned cannot be kept", tracked.key)
            return before
        if text is None:
            return before
        self._made[tracked.key] = first, now
        return text

    def _newest(self, tracked: Tracked) -> str | None:
        kept = self._decider.keep(tracked.key)
        if kept is None:
            return None
        text, wrong = kept_memory.written(kept, made(tracked))
        for sentence in wrong:
            logger.warning("%s: %s", tracked.key, sentence)
        return text

    def forget(self, key: str) -> None:
        """A RecModel that is gone."""
        self._made.pop(key, None)


def recall(decider: Decider, tracked: Tracked) -> None:
    """Hands over what the status says that another process had learned; it is read in the thread that decides. What cannot be believed
    is left out, and said in the log.
    """
    text = kept_text(tracked)
    if text is None:
        return

    def read(now_seconds: float) -> KeptModel | None:
        kept, wrong = kept_memory.read(text, made(tracked), now_seconds)
        for sentence in wrong:
            logger.warning("%s: %s", tracked.key, sentence)
        return kept

    decider.take_back(tracked.key, read)


def kept_text(tracked: Tracked) -> str | None:
    """What the status has, by whomever it was written; None: nothing."""
    status = tracked.desired.body.get("status")
    text = status.get("memory") if isinstance(status, Mapping) else None
    return text if isinstance(text, str) else None


def made(tracked: Tracked) -> dict[str, str]:
    """By pool of the spec, a digest of what its replicas are made from; their number and price are no part of that."""
    return {pool.name: _digest(pool) for pool in tracked.spec.pools} if tracked.spec is not None else {}


def _digest(pool: PoolSpec) -> str:
    said: dict[str, Any] = pool.model_dump(mode="json", include=set(MAKING), exclude_defaults=True, by_alias=True)
    return digest(said)
