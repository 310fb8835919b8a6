"""Why the pods of a pool do not start, in the words of whoever knows: the scheduler, the kubelet, the API server. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from recmodel.cluster.observed.pod_shapes import ContainerStatus, PodStatus, Terminated
from recmodel.cluster.transport.errors import shortened

KEPT_AT_MOST = 4  # different sentences of one pool
SENTENCE_CHARACTERS = 1024
ON_THE_WAY = ("", "ContainerCreating", "PodInitializing")  # every pod waits for these for a moment
_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Waits:
    """What a pod waits for: a reason, and the sentence of whoever makes it wait."""

    reason: str
    message: str
    container: str = ""  # the one that waits; empty where the pod as a whole does
    pods: int = 1  # how many wait for the same
    refused: bool = False  # the API server refuses to create the pod

    @property
    def said(self) -> str:
        """In a sentence, as the cluster says it."""
        count = "" if self.refused else "1 pod: " if self.pods == 1 else f"{self.pods} pods: "
        where = f"container {self.container}: " if self.container else ""
        return f"{count}{where}{self.reason}" + (f": {self.message}" if self.message else "")


def waits_of(status: PodStatus, homeless: bool) -> tuple[Waits, ...]:
    """What one pod waits for. A container that has ended with an error and is not ready again says how it ended, also
    while it is tried once more.
    """
    scheduled = status.condition("PodScheduled")
    found = [Waits(scheduled.reason, scheduled.message)] if scheduled is not None and homeless else []
    containers = (*status.init_container_statuses, *status.container_statuses)
    found += [one for container in containers if (one := _of_container(container)) is not None]
    return tuple(replace(one, message=shortened(one.message, SENTENCE_CHARACTERS)) for one in found)


def together(pods: Iterable[tuple[str, str, tuple[Waits, ...]]]) -> tuple[Waits, ...]:
    """What the pods (name, uid, what each waits for) wait for, refusals first and then the most frequent. Pods of which
    the sentences differ in nothing but numbers and their own names wait for the same.
    """
    found: dict[tuple[str, str, str], Waits] = {}
    for name, uid, waits in sorted(pods, key=lambda pod: pod[0]):
        own = re.compile(rf"(?<![a-z0-9-])(?:{re.escape(name)}|{re.escape(uid)})(?![a-z0-9-])")
        for one in waits:
            key = (one.reason, one.container, _NUMBER.sub("#", own.sub("", one.message)))
            known = found.get(key)
            found[key] = one if known is None else replace(known, pods=known.pods + 1)
    return tuple(sorted(found.values(), key=lambda one: (not one.refused, -one.pods))[:KEPT_AT_MOST])


def _of_container(container: ContainerStatus) -> Waits | None:
    if container.ready:
        return None
    ended = container.state.terminated or container.last_state.terminated
    how = _ending(ended) if ended is not None and ended.exit_code != 0 else ""
    waiting = container.state.waiting
    if waiting is not None and waiting.reason not in ON_THE_WAY:
        said = " ".join(waiting.message.split())
        return Waits(waiting.reason, "; ".join(part for part in (said, how) if part), container.name)
    if ended is not None and how:
        return Waits(ended.reason or "Error", how, container.name)
    return None


def _ending(ended: Terminated) -> str:
    said = " ".join(ended.message.split())
    return f"it ended with exit code {ended.exit_code} ({ended.reason or 'Error'})" + (f": {said}" if said else "")
