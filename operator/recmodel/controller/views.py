"""What the inventory knows, in the words of those who are asked next: Prometheus' gathering, and the core. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from recmodel.api.pool import PoolSpec
from recmodel.api.quantity import amount, ratio
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names, weight_steps
from recmodel.cluster.children.versions import POOL_ON_TRIAL, Serving
from recmodel.cluster.observed.backends import Backend
from recmodel.cluster.observed.pool_state import PoolState, jointly_routed, ours_to_change
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Model, Observation, Pool, PoolObservation
from recmodel.prometheus import BackendView, ModelView, PoolReading, PoolView, pod_prefix
from recmodel.prometheus.readings import NO_READY_POOL, NO_REQUESTS_SEEN
from recmodel.rollout.known_variants import served_losses
from recmodel.rollout.wanted_versions import limits

_UNKNOWN = PoolReading()


def pool_state(tracked: Tracked, pool: str, state: PoolState, cut_off: bool = False) -> PoolState:
    """What stands for a pool, with what the RecModel's own record adds: the start-up time that another process had learned;
    and a pool whose Deployment the API refuses, or that is ``cut_off`` for lack of a Service of its own, is as one whose pods
    find no node, so that it is planned around.
    """
    if cut_off:
        return replace(state, exists=False, desired=0, ready=0, unschedulable=1)
    refused = any(
        r.child == (names.DEPLOYMENT, names.child_name(tracked.owner.name, pool)) for r in tracked.applied.refusals
    )
    return replace(
        state,
        recalled_startup_seconds=tracked.recalled.startups.get(pool),
        unschedulable=1 if refused and not state.exists else state.unschedulable,
    )


def model_view(
    tracked: Tracked, pools: Mapping[str, PoolState], weights: Mapping[str, int], backends: Sequence[Backend] = ()
) -> ModelView:
    """What the gathering must know of a RecModel; ``ValueError`` where it has no valid spec. ``backends`` as they stand in
    its route, which may still be in the order of the spec before.
    """
    spec = tracked.spec
    if spec is None:
        raise ValueError(f"{tracked.key} has no valid spec")
    routed = spec.own_route is not None
    by_service = {names.child_name(tracked.owner.name, name): name for name in pools}
    away = pools.keys() - {pool.name for pool in spec.pools}
    return ModelView(
        namespace=tracked.owner.namespace,
        name=tracked.owner.name,
        threshold_seconds=spec.objective.latency.threshold_seconds,
        within_ratio=spec.objective.latency.within_ratio,
        metrics=spec.metrics,
        pools=tuple(
            PoolView(
                name=pool.name,
                weight=_weight(spec, weights, pool.name),
                ready=pools[pool.name].ready,
                cpu_limit_cores=_cpu_limit_cores(pool, pools[pool.name]),
                pod_prefix=prefix,
            )
            for pool, prefix in zip(spec.pools, pod_prefixes(tracked.owner.name, spec), strict=True)
        )
        + tuple(PoolView(name, float(weights.get(name, 0)), pools[name].ready) for name in sorted(away)),
        pods={pod: name for name, state in pools.items() for pod in state.pods},
        backends=tuple(BackendView(by_service.get(service), since_seconds) for service, since_seconds in backends)
        if routed
        else None,
        counted=tracked.counted,
        grpc=spec.grpc,
    )


def pod_prefixes(name: str, spec: RecModelSpec) -> list[str | None]:
    """What the names of each pool's pods begin with, by which their series are found where any of the pools stands already, so that
    all are measured alike; None where they have labels of ours.
    """
    return [pod_prefix(workload) if spec.by_reference else None for workload in workloads(name, spec).values()]


def workloads(name: str, spec: RecModelSpec) -> dict[str, str]:
    """By pool the name of the workload whose replicas are its own: what it refers to, or the operator's Deployment."""
    return {
        pool.name: pool.target_ref.name if pool.target_ref else names.child_name(name, pool.name) for pool in spec.pools
    }


def core_model(tracked: Tracked, pools: Mapping[str, PoolState]) -> Model:
    """The core's model of a valid RecModel: each pool with what it serves now, and the share that its rollout lets it
    have. One whose replicas or releases are somebody else's is only reported on.
    """
    spec, model = tracked.spec, tracked.desired.model
    if spec is None or model is None:
        raise ValueError(f"{tracked.key} has no valid spec")
    acts = model.acts and ours_to_change(pools)
    routed = jointly_routed(pools) if spec.by_reference else model.routed
    model = replace(model, routed=routed, pools=(*model.pools, *_leaving(spec, pools)))
    # A workload that stands already serves what it serves.
    made = {name: state for name, state in pools.items() if state.reference is None}
    serving = {name: tracked.versions.serving.get(name, state.serving) for name, state in made.items()}
    if all(found.now is None and found.trial is None for found in serving.values()):
        return replace(model, acts=acts)
    losses = served_losses(spec, {name: found.now for name, found in serving.items()})
    limit = limits(spec, serving, tracked.versions.trials)
    return replace(
        model,
        acts=acts,
        pools=tuple(
            replace(
                pool,
                accuracy_loss_ratio=losses.get(pool.name, pool.accuracy_loss_ratio),
                version=now.name if (now := serving[pool.name].now) else "",
                max_replicas=pool.min_replicas if _taken_back(serving[pool.name]) else pool.max_replicas,
                traffic_limit_ratio=limit.get(pool.name, 1.0),
            )
            if pool.name in serving
            else pool
            for pool in model.pools
        ),
    )


def _leaving(spec: RecModelSpec, pools: Mapping[str, PoolState]) -> list[Pool]:
    """Those of the pools that the spec has no more. It says neither what they cost, so they count as the dearest pool, nor what they
    serve: their Deployments do. Where nobody does, they neither give nor take room of an accuracy budget.
    """
    away = pools.keys() - {pool.name for pool in spec.pools}
    price = max(float(pool.cost_per_hour) for pool in spec.pools)
    losses, budget = spec.accuracy_loss_ratios(), spec.objective.accuracy
    unknown = ratio(budget.max_loss) if budget else None
    now = {name: pools[name].serving.now for name in sorted(away)}
    return [
        Pool(name, 0, 0, price, losses.get(found.variant, unknown) if found else unknown, leaving=True)
        for name, found in now.items()
    ]


def _taken_back(serving: Serving) -> bool:
    """Whether the pool as a whole was found worse: then its minimum is all that it keeps."""
    return serving.trial == POOL_ON_TRIAL and serving.refused is not None


def observation(
    tracked: Tracked, pools: Mapping[str, PoolState], weights: Mapping[str, int], now_seconds: float
) -> Observation:
    """What was seen of a RecModel: the cluster's part and Prometheus' part."""
    readings = tracked.decided.reading.pools if tracked.decided.reading is not None else {}
    warm_ups = {pool.name: pool.warm_up_seconds for pool in tracked.spec.pools} if tracked.spec is not None else {}
    return Observation(
        time_seconds=now_seconds,
        pools={
            name: _with_nodes(
                state,
                readings.get(name, _UNKNOWN).observation(
                    desired=state.desired,
                    ready=state.ready,
                    unschedulable=state.unschedulable,
                    weight=_weight(tracked.spec, weights, name),
                    startup_seconds=state.startup_seconds,
                    ready_for_seconds=state.warming_for(now_seconds, warm_ups.get(name, 0.0)),
                ),
            )
            for name, state in pools.items()
        },
        requested=_requested(tracked),
    )


def _with_nodes(state: PoolState, seen: PoolObservation) -> PoolObservation:
    """What was seen of a pool, with the nodes that it waits for and those that are asked for ahead of need."""
    buffered = state.node_buffer.replicas if state.node_buffer is not None else None
    return replace(seen, node_startup_seconds=state.node_startup_seconds, buffered=buffered)


def _weight(spec: RecModelSpec | None, weights: Mapping[str, int], pool: str) -> float | None:
    """The weight of a pool in a route; None where there is no route, or it is not known."""
    if spec is None or spec.route is None or (spec.by_reference and pool not in weights):
        return None
    return float(weights.get(pool, 0))


def measured_weights(tracked: Tracked) -> dict[str, int]:
    """What share of the requests each pool answers, of 1,000, as it was measured; empty where that is not known."""
    reading = tracked.decided.reading
    rates = {name: pool.rate_per_second for name, pool in reading.pools.items()} if reading is not None else {}
    known = {name: rate for name, rate in rates.items() if rate is not None}
    if len(known) < len(rates) or not sum(known.values()):
        return {}
    return {**dict.fromkeys(known, 0), **weight_steps.spread({name: rate for name, rate in known.items() if rate > 0})}


def _requested(tracked: Tracked) -> bool:
    """Whether load that is unknown is missing: a request was counted at some time, or ought to be by now."""
    reading = tracked.decided.reading
    if reading is None:
        return True
    if reading.reason == NO_READY_POOL:
        return tracked.counted
    return reading.reason != NO_REQUESTS_SEEN


def _cpu_limit_cores(pool: PoolSpec, state: PoolState) -> float | None:
    return state.reference.cpu_limit_cores if state.reference is not None else cpu_limit_cores(pool)


def cpu_limit_cores(pool: PoolSpec) -> float | None:
    """The CPU limit of one pod in cores; None where a container has none. ``{"cpu": "500m"}`` and ``{"cpu": 2}`` are
    2.5. A side-car counts; an init container that has ended does not.
    """
    template = pool.own_template.spec
    sidecars = [container for container in template.init_containers or [] if container.restart_policy is not None]
    limits = [(c.resources.limits or {}).get("cpu") if c.resources else None for c in [*template.containers, *sidecars]]
    known = [amount(limit) for limit in limits if limit is not None]
    return sum(known) if len(known) == len(limits) else None
