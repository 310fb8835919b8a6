"""Whether one replica of a workload is one pod, as it is for every Deployment: what is decided by ready pods needs that.

A kind may run a group of pods for each replica. Nothing of its API says so, so its pods are counted beside the replicas that its
scale has. Of a kind that was seen with one pod a replica a difference may be a roll-out, or news that come one after the other:
it has to last.
"""

from __future__ import annotations

LASTING_SECONDS = 60.0


class ReplicaPods:
    """Of one workload. ``saw`` is told at each change; a time is of any clock that only goes on."""

    def __init__(self) -> None:
        self._one_each = False  # it was seen so
        self._differs: tuple[int, int] | None = None  # pods and replicas
        self._since = 0.0

    def saw(self, pods: int, replicas: int | None, now_seconds: float) -> None:
        """So many pods stay, and the scale has so many replicas; None: it is not known. Fewer pods than replicas are a start-up,
        none at all are the pods of nobody.
        """
        if replicas is None or pods == replicas or 0 < pods < replicas:
            self._one_each = self._one_each or (replicas is not None and pods == replicas > 0)
            self._differs = None
            return
        if self._differs is None:
            self._since = now_seconds
        self._differs = pods, replicas

    def differs(self, now_seconds: float) -> tuple[int, int] | None:
        """Pods and replicas, where one replica is not known to be one pod."""
        if self._differs is None:
            return None
        pods, replicas = self._differs
        at_once = not self._one_each and pods > replicas
        return self._differs if at_once or now_seconds - self._since >= LASTING_SECONDS else None
