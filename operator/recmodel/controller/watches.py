"""The watches of one process: which kinds of objects are followed, by which label, in which namespaces, and which of
them a RecModel waits for.

Deciding for a RecModel needs the Deployments (how many replicas there are) and the pods (which of them answer), its
route where it has one (the weights), and the ConfigMaps where it has variants (their accuracy and version): without
one of these, what was merely not listed yet would look like nothing. It waits for those of its own namespace, for as long
as it takes; the others go on. Services, PodDisruptionBudgets and PodMonitors are read one by one where they are not known,
other autoscalers and releasers count as absent until they are known, and a Job's end is only reported: for these the
start waits some seconds and no longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Sequence

from recmodel.api.records import RECORD_LABEL
from recmodel.cluster import names
from recmodel.cluster.children.builders import route_kind
from recmodel.cluster.children.optimiser_job import OPTIMISES_LABEL
from recmodel.cluster.observed.conflicting_controllers import TARGET_FIELDS
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiUnavailable
from recmodel.cluster.transport.watch import ABSENT_KIND_SECONDS, Follower, Selection, backoff_seconds, follow
from recmodel.controller.tasks import Tasks
from recmodel.controller.tracked import Tracked

logger = logging.getLogger(__name__)

# Pods and children are watched by our label, so that the API server sends nothing else.
LABELLED = (names.POD, names.DEPLOYMENT, names.SERVICE, names.DISRUPTION_BUDGET, *names.ROUTES)
ABSENT_RECMODELS_SECONDS = 3.0  # a CRD that is installed late, or again, is served within seconds
START_SECONDS = 10.0  # how long the start waits for what it does not need

Place = tuple[str, str | None]  # a kind's plural, and the namespace; None: all


class Watches:
    """Keep the inventory and the RecModels up to date, each in a task that is started again when it dies.

    ``on_known`` is called whenever a kind is listed for the first time, and ``on_turn`` with a kind's plural and whether
    all its watches go well.
    """

    def __init__(
        self,
        client: Client,
        inventory: Inventory,
        tasks: Tasks,
        on_known: Callable[[], None] = lambda: None,
        on_turn: Callable[[str, bool], None] = lambda plural, well: None,  # noqa: ARG005
    ) -> None:
        self._client = client
        self._inventory = inventory
        self._tasks = tasks
        self._on_known = on_known
        self._on_turn = on_turn
        self._synced: dict[Place, asyncio.Event] = {}
        self._ill: set[Place] = set()

    def start(self, namespaces: Sequence[str], monitors: bool, recmodels: Follower) -> None:
        """Begins to follow, in these namespaces or, without any, in all; ``monitors``: PodMonitors, too."""
        for namespace in namespaces or (None,):
            self._follow(Selection(names.RECMODEL, namespace), recmodels, ABSENT_RECMODELS_SECONDS)
            self._follow(Selection(names.CONFIG_MAP, namespace, RECORD_LABEL), self._inventory)
            self._follow(Selection(names.JOB, namespace, OPTIMISES_LABEL), self._inventory)
            for kind in TARGET_FIELDS:
                self._follow(Selection(kind, namespace), self._inventory)

        for kind in (*LABELLED, *([names.POD_MONITOR] if monitors else [])):
            self.add(kind, namespaces)

    def add(self, kind: names.Kind, namespaces: Sequence[str]) -> None:
        """Follows one more kind of children."""
        for namespace in namespaces or (None,):
            self._follow(Selection(kind, namespace, names.MODEL_LABEL), self._inventory)

    def stores(self, namespaces: Sequence[str], follower: Follower) -> None:
        """Follows what was handed over. Nothing waits for it."""
        for namespace in namespaces or (None,):
            selection = Selection(names.CONFIG_MAP, namespace, names.HANDOVER_LABEL)
            following = functools.partial(follow, self._client, selection, follower, synced=asyncio.Event())
            self._tasks.keep(following, f"following stores{f' in {namespace}' if namespace else ''}")

    async def settled(self) -> None:
        """Waits until all but the RecModels was listed once, but not for long."""
        awaited = {place: synced for place, synced in self._synced.items() if place[0] != names.RECMODEL.plural}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                for synced in awaited.values():
                    await synced.wait()
            return
        late = [_shown(place) for place, synced in awaited.items() if not synced.is_set()]
        logger.warning("not listed yet, and not waited for by those who do not need it: %s", ", ".join(late))

    def missing(self, tracked: Tracked) -> list[str]:
        """What deciding for a RecModel needs and was never listed; empty where all is known."""
        makes = tracked.spec is None or bool(tracked.spec.made_pools)
        kinds = [names.DEPLOYMENT, names.POD] if makes else []
        if tracked.spec is not None and tracked.spec.own_route is not None:
            kinds.append(route_kind(tracked.spec))
        if tracked.spec is not None and tracked.spec.variants:
            kinds.append(names.CONFIG_MAP)
        return self._unlisted(kinds, tracked.owner.namespace)

    def scalers_unlisted(self, namespace: str) -> list[str]:
        """The kinds of those that scale or release workloads that were never listed: of a workload that is not ours it is not known
        then whether one does.
        """
        return self._unlisted(TARGET_FIELDS, namespace)

    def _unlisted(self, kinds: Iterable[names.Kind], namespace: str) -> list[str]:
        places: list[Place] = [(kind.plural, where) for kind in kinds for where in (None, namespace)]
        return [_shown(p) for p in places if p in self._synced and not self._synced[p].is_set()]

    def _follow(self, selection: Selection, follower: Follower, absent_seconds: float = ABSENT_KIND_SECONDS) -> None:
        place = selection.kind.plural, selection.namespace
        synced = self._synced[place] = asyncio.Event()
        following = functools.partial(
            follow,
            self._client,
            selection,
            follower,
            synced=synced,
            absent_seconds=absent_seconds,
            on_turn=functools.partial(self._turned, place, set()),
        )
        self._tasks.keep(following, f"following {_shown(place)}")

    def _turned(self, place: Place, known: set[Place], problem: Exception | None) -> None:
        well = problem is None
        (self._ill.discard if well else self._ill.add)(place)
        self._on_turn(place[0], not any(plural == place[0] for plural, _ in self._ill))
        if well and place not in known:
            known.add(place)
            self._on_known()


async def served(client: Client, kind: names.Kind) -> bool:
    """Whether the cluster has a kind at all; asked until the API server answers, as it may be away while the operator starts."""
    failures = 0
    while True:
        try:
            return await client.serves(kind)
        except ApiUnavailable as error:
            failures += 1
            logger.warning("the API server does not answer and is asked again: %s", error)
            await asyncio.sleep(backoff_seconds(failures))


def _shown(place: Place) -> str:
    return place[0] if place[1] is None else f"{place[0]} in {place[1]}"
