"""Deleting a RecModel hands back what was handed over, as ``recmodel handback`` does: what its store holds is restored, then the
store goes.

The stores are followed. One whose RecModel is gone says so itself, so an operator that was down meanwhile finds it, too, and there is
no finalizer that could hang. The plan is that of the command; the API server lets only those write such a store who may make by
themselves what it holds (the chart's policy ``stores``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime
from typing import Any

from recmodel.cluster import names
from recmodel.cluster.observed.objects import identity_of
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, ClusterError, Conflict, LeadershipLost
from recmodel.controller import handover
from recmodel.controller.namespace_reading import bodies, find, listed, scaled_objects
from recmodel.controller.restored_weights import restore_weights
from recmodel.core.types import Reason
from recmodel.report.events import event
from recmodel.report.handover.found import Answers, Standing, without_recmodel
from recmodel.report.handover.plan import Plan, hand_back
from recmodel.report.handover.rule_steps import rule_kept
from recmodel.report.handover.sought import backing
from recmodel.report.handover.steps import Step, Wait, still_lacking
from recmodel.report.handover.store import Stored, leaving, restored_of, stored
from recmodel.report.handover.weights import KINDS
from recmodel.report.way_out import with_way_out

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
GRACE_SECONDS = 30.0  # a tool may delete a RecModel to make it again
RETRY_SECONDS = 60.0
# Reasons of Events about a store. API: never renamed.
HANDING_BACK = "HandingBack"
HANDED_BACK = "HandedBack"
HANDBACK_STOPPED = "HandbackStopped"

STARTED = (
    "this was done once, and something has taken it to 0 again, such as a ScaledObject that scales to zero. The weights follow when a "
    "pod of it is ready: have it keep one"
)

Object = dict[str, Any]
Identity = tuple[str, str]  # namespace and name


class GivingBack:
    """Receives the stores, as a follower. ``known`` has the keys of the RecModels that stand, ``may_act`` says whether this process
    acts in a namespace.
    """

    def __init__(self, client: Client, known: Container[str], may_act: Callable[[str], bool]) -> None:
        self._client = client
        self._known = known
        self._may_act = may_act
        self._stores: dict[Identity, Object] = {}
        self._missed: dict[
            Identity, tuple[float, datetime]
        ] = {}  # since when the RecModel is: monotonic, and as a time
        self._due: dict[Identity, float] = {}  # when the next attempt is, monotonic
        self._said: dict[Identity, str] = {}
        self._started: dict[Identity, set[str]] = {}  # workloads that were scaled from 0 to 1, once for each store

    # --- the stores, from their watch ---

    def replace(self, kind: names.Kind, objects: list[Object], namespace: str | None) -> None:  # noqa: ARG002
        """All of them, in one namespace or in all."""
        self._stores = {key: body for key, body in self._stores.items() if namespace not in (None, key[0])}
        self._stores |= {identity_of(body): body for body in objects}

    def see(self, kind: names.Kind, change: str, obj: Object) -> None:  # noqa: ARG002
        """One change."""
        if change == "DELETED":
            self._stores.pop(identity_of(obj), None)
        else:
            self._stores[identity_of(obj)] = obj

    def rewound(self, kind: names.Kind, namespace: str | None) -> None:
        """Nothing is remembered by its resource version."""

    # --- what they hold ---

    @property
    def namespaces(self) -> set[str]:
        """Where something is to be given back."""
        return {namespace for namespace, _ in self._missed}

    async def run(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Gives back what is due. One store that cannot be given back keeps no other."""
        now = time.monotonic()
        found = {key: restored_of(body) for key, body in self._stores.items()}
        orphans = {key: name for key, name in found.items() if name and f"{key[0]}/{name}" not in self._known}
        self._missed = {key: self._missed.get(key, (now, datetime.now(UTC))) for key in orphans}
        for gone in (self._due.keys() | self._said.keys()) - orphans.keys():
            self._due.pop(gone, None)
            self._said.pop(gone, None)
            self._started.pop(gone, None)
        for key, name in orphans.items():
            due = self._due.get(key, self._missed[key][0] + GRACE_SECONDS)
            if now < due or not self._may_act(key[0]):
                continue
            self._due[key] = now + RETRY_SECONDS
            try:
                await self._give_back(key, name)
            except LeadershipLost as lost:
                logger.info("%s/%s: %s", *key, lost)
            except (ClusterError, ValueError) as error:  # one that cannot be read, too
                await self._stopped(key, str(error))
            except Exception:
                logger.exception("ConfigMap %s/%s: what it holds cannot be given back", *key)

    async def _give_back(self, key: Identity, name: str) -> None:
        namespace, client = key[0], self._client
        recmodels = await listed(client, names.RECMODEL, namespace)
        if any(identity_of(body)[1] == name for body in recmodels):  # not to be read, or just made again
            return
        store = await find(client, names.CONFIG_MAP, *key)
        if store is None or restored_of(store) != name or leaving(store):
            return
        kept = stored(store)
        scaled = await scaled_objects(client, namespace) if kept.paused else []
        if scaled is None:
            raise ValueError(
                f"the operator may not list {names.SCALED_OBJECT.resource}: upgrade its roles (helm upgrade)"
            )
        autoscalers = await listed(client, names.AUTOSCALER, namespace)
        read, problems = await self._read(namespace, kept)
        workloads = {ref: body for ref, body in read.items() if ref[0] not in KINDS}
        routes = {ref: body for ref, body in read.items() if ref[0] in KINDS}
        answers = Answers(None, workloads, autoscalers, scaled, kept, routes=routes, others=recmodels)
        found = without_recmodel(namespace, name, answers, ValueError(""))
        plan = hand_back(found)
        said = f"RecModel {name} was deleted, so what ConfigMap {key[1]} holds is given back"
        if not await self._announced(key, store, said):
            return
        gone = [] if problems else _route_gone(found, kept)
        problems += _weights_left(found, kept)
        for step in plan.steps:
            if problems and not step.restores:  # the store stays until all is restored
                continue
            try:
                await self._do(step, plan, self._started.setdefault(key, set()))
            except LeadershipLost:
                raise
            except (ClusterError, ValueError) as error:
                problems.append(f"{step.said}: {with_way_out(str(error), error)}")
        if problems or plan.different:
            left = [plan.settled.rstrip(".")] if plan.different else []
            await self._stopped(key, "; ".join([*problems, *left]), store)
            return
        done = "; ".join([*(step.said for step in plan.steps), *gone])
        await self._tell(key, store, "Normal", Reason(HANDED_BACK, done))

    async def _read(self, namespace: str, kept: Stored) -> tuple[dict[tuple[str, str], Object], list[str]]:
        """The route whose weights are stored and the workloads that answer, and which of them cannot be read: what scales does not wait
        for that.
        """
        found: dict[tuple[str, str], Object] = {}
        problems: list[str] = []
        if kept.rule is None:
            return found, problems
        for kind, name in [(kept.rule.of, kept.rule.name), *sorted(backing(kept), key=lambda one: one[1])]:
            try:
                found |= await bodies(self._client, namespace, [(kind, name)])
            except (ClusterError, ValueError) as error:
                left = f"cannot be read, so the weights of {kept.rule.shown} are left as they are"
                problems.append(f"{kind.kind} {name} {left}: {error}")
        return found, problems

    async def _do(self, step: Step, plan: Plan, started: set[str]) -> None:
        """One step of handing back without a RecModel; ``ValueError`` where it cannot be done now."""
        namespace, client = plan.standing.namespace, self._client
        if isinstance(step, Wait):
            body = await find(client, step.kind, namespace, step.name)
            if lacks := still_lacking(step, body, datetime.now(UTC)):
                raise ValueError(lacks)
        elif step.rule is not None:
            await restore_weights(client, namespace, step, step.rule)
        elif step.subresource:
            seen, shown = _seen(plan.standing.workloads[step.kind.kind, step.name]), f"{step.kind.kind} {step.name}"
            if shown in started:
                raise ValueError(STARTED)
            await client.scale(step.kind, (namespace, step.name), seen, (step.body or {})["spec"]["replicas"])
            started.add(shown)
        elif step.verb == "create":
            await handover.created(client, namespace, step)
        elif step.verb == "delete":
            await client.delete(step.kind, namespace, step.name, step.uid, version=step.version)
        else:
            patch, seen = step.body or {}, _seen(plan.standing.scaled_objects[step.name].body)
            body = {**patch, "metadata": {**patch["metadata"], **seen}}
            await client.patch(step.kind, {"namespace": namespace, "name": step.name}, body, "merge-patch")

    async def _announced(self, key: Identity, store: Object, said: str) -> bool:
        """Says what is begun, the same Event at each attempt; False where the namespace takes none, as while it is being deleted."""
        body = event(store, "Normal", Reason(HANDING_BACK, said), self._missed[key][1], names.CONFIG_MAP)
        try:
            await self._client.create_event(key[0], body)
        except Conflict:
            return True
        except ApiRefused as error:
            logger.info("%s/%s: nothing is given back now: %s", *key, error)
            return False
        logger.info("%s/%s: %s", *key, said)
        return True

    async def _stopped(self, key: Identity, said: str, store: Object | None = None) -> None:
        """What is in the way, once as long as it stays the same."""
        if self._said.get(key) == said:
            return
        self._said[key] = said
        way = f"{said}. It is tried again; or run recmodel handback, or delete ConfigMap {key[1]} to give nothing more back"
        logger.warning("%s/%s: %s", *key, way)
        if (about := store or self._stores.get(key)) is not None:
            await self._tell(key, about, "Warning", Reason(HANDBACK_STOPPED, way))

    async def _tell(self, key: Identity, store: Object, kind: str, reason: Reason) -> None:
        try:
            await self._client.create_event(key[0], event(store, kind, reason, datetime.now(UTC), names.CONFIG_MAP))
        except ClusterError as error:
            logger.info("%s/%s: an Event is lost: %s", *key, error)


def _seen(body: Mapping[str, Any]) -> dict[str, str]:
    return {key: body["metadata"][key] for key in ("uid", "resourceVersion") if body["metadata"].get(key)}


def _route_gone(found: Standing, kept: Stored) -> list[str]:
    """What is not restored for good."""
    rule = kept.rule
    if rule is None or (rule.kind, rule.name) in found.routes:
        return []
    return [f"{rule.kind} {rule.name} is gone, so nothing of its weights is restored"]


def _weights_left(found: Standing, kept: Stored) -> list[str]:
    """The weights that cannot be restored. What does it by hand says the plan of ``recmodel handback``."""
    why = rule_kept(found, kept)
    if kept.rule is None or not why:
        return []
    return [f"the weights of {kept.rule.shown} are left as they are, and were {kept.rule.weights}: {why}"]
