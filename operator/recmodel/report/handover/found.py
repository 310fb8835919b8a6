"""What stands, as values: the pools of a RecModel, what scales each of them now, and what was stored of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.cluster.observed.objects import identity_of, uid_of
from recmodel.cluster.observed.scales import ScaleShape
from recmodel.cluster.scale_targets import APPS
from recmodel.report.adopted import autoscaler_of
from recmodel.report.adopted_shapes import Target, WorkloadSpec, read, scales
from recmodel.report.handover import others
from recmodel.report.handover.shapes import RecModelShape, Replicated, ScaledObjectShape, WorkloadStatus
from recmodel.report.handover.sought import targets
from recmodel.report.handover.store import Object, Stored, restorable, store_name
from recmodel.report.handover.weights import StoredRule, standing_rule, unreadable

PAUSED = "autoscaling.keda.sh/paused"  # KEDA leaves the replicas as they are, and removes its autoscaler
HELD = "autoscaling.keda.sh/paused-replicas"  # KEDA keeps them at this number, so it still scales
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})  # to KEDA any other value of PAUSED pauses


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """A HorizontalPodAutoscaler that scales a pool."""

    name: str
    uid: str
    maker: str  # what made it and keeps it, as ``ScaledObject ranker-gpu``; empty: nothing does
    said: str  # what it does: ``2 to 40, on cpu at 70%``
    body: Object  # as it is stored and restored
    hindrance: str = ""  # why it cannot scale now


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """A ScaledObject that scales a pool, or did. ``pause`` and ``held``: its annotations, None where they are absent; ``ours``:
    ``recmodel handover`` has set the former.
    """

    name: str
    pause: str | None = None
    held: str | None = None
    ours: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)
    autoscalers: tuple[str, ...] = ()  # that KEDA made of it
    hindrance: str = ""  # why these cannot scale now

    @property
    def paused(self) -> bool:
        """Whether KEDA leaves the replicas alone by the annotation."""
        return self.pause is not None and self.pause not in FALSE

    @property
    def scales(self) -> bool:
        """Whether KEDA scales by it."""
        return self.held is not None or not self.paused


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool by reference, and what scales its workload."""

    name: str
    workload: str  # with its kind
    replicas: int | None  # asked for; None: there is no such workload
    ready: int | None  # None: it does not say
    least: int
    most: int
    autoscalers: tuple[Autoscaler, ...] = ()  # KEDA's are with their ScaledObject
    scaled_objects: tuple[ScaledObject, ...] = ()
    backend: str = ""  # of the rule that sends to it, as ``ranker-cpu:80``

    @property
    def scaled(self) -> bool:
        """Whether something else than the operator scales it."""
        return bool(self.autoscalers) or any(one.scales for one in self.scaled_objects)


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a plan is made of. ``mode`` is None where there is no such RecModel, or ``unread`` says why it is left alone."""

    namespace: str
    name: str
    mode: str | None = None
    pools: tuple[Pool, ...] = ()
    store: Stored | None = None
    recmodel: Mapping[str, Any] = field(default_factory=dict)
    autoscalers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # all of the namespace, by name
    scaled_objects: Mapping[str, ScaledObject] = field(default_factory=dict)  # the same
    keda_unread: bool = False  # KEDA is installed, and its objects may not be read
    unread: str = ""
    rule: StoredRule | None = None  # that the RecModel refers to, as it stands
    restored: StoredRule | None = None  # the one that is stored, as it stands
    routes: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)  # by kind and name
    unrouted: Mapping[tuple[str, str], str] = field(default_factory=dict)  # why a route is not known
    workloads: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)  # the same
    others: Sequence[Mapping[str, Any]] = ()  # the other RecModels of the namespace, as far as they may be listed
    stores: Mapping[str, Stored] = field(default_factory=dict)  # of others, by ConfigMap, the newest first
    unlisted: frozenset[Kind] = frozenset()  # of which only single objects may be listed

    @property
    def replicas(self) -> str:
        """Of all pools: ``cpu 6, gpu 1``."""
        return ", ".join(f"{pool.name} {pool.replicas}" for pool in self.pools if pool.replicas is not None)

    def may_not_list(self, kind: Kind) -> str:
        """That all of a kind may not be listed; empty where they may."""
        may_not = f"your account may not list {kind.resource} in namespace {self.namespace}"
        return may_not if kind in self.unlisted else ""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the API server listed of a namespace. ``scaled_objects`` is None where they may not be listed."""

    recmodel: Mapping[str, Any] | None
    workloads: Mapping[tuple[str, str], Mapping[str, Any]]  # by kind and name
    autoscalers: Sequence[Mapping[str, Any]]
    scaled_objects: Sequence[Mapping[str, Any]] | None
    store: Stored | None
    scales: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # of workloads that only that tells of, by name
    unknown: str = ""  # why a workload could not be looked at
    routes: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)  # by kind and name
    unrouted: Mapping[tuple[str, str], str] = field(default_factory=dict)  # why a route could not be read
    others: Sequence[Mapping[str, Any]] | None = ()  # the other RecModels; None: they may not be listed
    stores: Sequence[Mapping[str, Any]] | None = ()  # ConfigMaps; the same


def standing(namespace: str, name: str, found: Answers) -> Standing:
    """The same as values; ``ValueError`` where something that is needed cannot be read, with the field, the value and the rule."""
    if found.unknown:
        raise ValueError(found.unknown)
    makers = [(body, _maker(body)) for body in found.autoscalers]
    scaled = {one.name: one for one in (_scaled_object(body, makers) for body in found.scaled_objects or ()) if one}
    shape = read(RecModelShape, found.recmodel or {}, f"RecModel {namespace}/{name}")
    refs = targets(found.recmodel, f"{namespace}/{name}") if found.recmodel is not None else []
    ref, kept = shape.spec.route.ref, found.store.rule if found.store is not None else None
    illegible = {key: why for key, body in found.routes.items() if (why := unreadable(*key, body))}
    routes = {key: body for key, body in found.routes.items() if key not in illegible}
    return Standing(
        namespace,
        name,
        mode=shape.spec.mode if found.recmodel is not None else None,
        pools=tuple(
            replace(
                _pool(pool.name, (pool.replicas.min, pool.replicas.max), target, found, scaled),
                backend=f"{pool.service.name}:{pool.service.port}" if pool.service is not None else "",
            )
            for pool, target in zip((p for p in shape.spec.pools if p.target_ref is not None), refs, strict=True)
        ),
        store=found.store,
        recmodel=found.recmodel or {},
        autoscalers={identity_of(body)[1]: body for body in found.autoscalers},
        scaled_objects=scaled,
        keda_unread=found.scaled_objects is None,
        rule=standing_rule(ref.kind, ref.name, ref.rule, routes.get((ref.kind, ref.name))) if ref else None,
        restored=standing_rule(*kept.ref, routes.get((kept.kind, kept.name))) if kept else None,
        routes=routes,
        unrouted={**found.unrouted, **illegible},
        workloads=found.workloads,
        others=found.others or (),
        stores={key: store for key, store in others.stores(found.stores or ()).items() if key != store_name(name)},
        unlisted=frozenset(
            kind
            for kind, bodies in ((names.RECMODEL, found.others), (names.CONFIG_MAP, found.stores))
            if bodies is None
        ),
    )


def without_recmodel(namespace: str, name: str, found: Answers, why: ValueError) -> Standing:
    """What is stored, where the RecModel is none whose pools could be given back: that needs only the store. One that stands may set
    weights, as any other.
    """
    others = found.others if found.others is None or found.recmodel is None else [*found.others, found.recmodel]
    return replace(standing(namespace, name, replace(found, recmodel=None, others=others, unknown="")), unread=str(why))


def _pool(
    name: str,
    limits: tuple[int, int],
    target: tuple[Kind, str],
    found: Answers,
    scaled: Mapping[str, ScaledObject],
) -> Pool:
    kind, workload = target
    body = found.workloads.get((kind.kind, workload))
    shape = _replicated(kind, workload, body, found.scales.get(workload)) if body is not None else None
    ready = shape.status.ready_replicas if shape is not None else None
    mine = [_autoscaler(body) for body in found.autoscalers if scales(body, kind, workload)]
    of_keda = {one.name: one for one in scaled.values() if _target(one.body).names(kind, workload)}
    for one in mine:  # also where the ScaledObjects may not be read
        made_by, _, maker = one.maker.partition(" ")
        if made_by == names.SCALED_OBJECT.kind and maker not in of_keda:
            of_keda[maker] = scaled.get(maker, ScaledObject(maker, autoscalers=(one.name,), hindrance=one.hindrance))
    return Pool(
        name,
        f"{kind.kind} {workload}",
        shape.spec.replicas if shape else None,
        ready or 0 if kind.group == APPS else ready,
        *limits,
        autoscalers=tuple(one for one in mine if not one.maker.startswith(f"{names.SCALED_OBJECT.kind} ")),
        scaled_objects=tuple(of_keda.values()),
    )


def _replicated(kind: Kind, name: str, body: Mapping[str, Any], scale: Mapping[str, Any] | None) -> Replicated:
    """What it runs. Of a kind that only its scale tells of, it may say itself how many replicas are ready."""
    if kind.group == APPS:
        return read(Replicated, body, f"{kind.kind} {name}")
    replicas = read(ScaleShape, scale, f"the scale of {kind.kind} {name}").spec.replicas
    status = body.get("status")
    ready = status.get("readyReplicas") if isinstance(status, Mapping) else None
    known = ready if isinstance(ready, int) and not isinstance(ready, bool) and ready >= 0 else None
    return Replicated(spec=WorkloadSpec(replicas=replicas), status=WorkloadStatus(ready_replicas=known))


def _autoscaler(body: Mapping[str, Any]) -> Autoscaler:
    found = autoscaler_of(body)
    return Autoscaler(
        found.name, uid_of(body) or "", found.maker, does(body), restorable(body), hindrance=found.hindrance
    )


def does(autoscaler: Mapping[str, Any]) -> str:
    """What a HorizontalPodAutoscaler does: ``2 to 40, on cpu at 70%``."""
    found = autoscaler_of(autoscaler)
    on = f", on {', '.join(found.metrics)}" if found.metrics else ""
    return f"{found.minimum} to {found.maximum}{on}"


def _maker(body: Mapping[str, Any]) -> str:
    try:
        return autoscaler_of(body).maker
    except ValueError:  # of another workload, or told where it is one of ours
        return ""


def _scaled_object(body: Mapping[str, Any], makers: Iterable[tuple[Mapping[str, Any], str]]) -> ScaledObject | None:
    """One that cannot be read scales nothing: KEDA cannot read it either."""
    name = identity_of(body)[1]
    try:
        metadata = ScaledObjectShape.model_validate(body).metadata
    except ValidationError:
        return None
    made = [one for one, maker in makers if maker == f"{names.SCALED_OBJECT.kind} {name}"]
    return ScaledObject(
        name,
        pause=metadata.annotations.get(PAUSED),
        held=metadata.annotations.get(HELD),
        ours=names.HANDING_OVER in metadata.owner_of(PAUSED),
        body=body,
        autoscalers=tuple(identity_of(one)[1] for one in made),
        hindrance=next(filter(None, (autoscaler_of(one).hindrance for one in made)), ""),
    )


def _target(body: Mapping[str, Any]) -> Target:
    return ScaledObjectShape.model_validate(body).spec.scale_target_ref
