"""Which version each pool is to be made for: one pool of a RecModel at a time is on trial, and goes back if it is worse.

What is on trial stands in the Deployment's annotation (``cluster.children.versions``), so a new process finds it there; how far
it has come stands in the status. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from recmodel.api.pool import PoolSpec
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.builders import digest
from recmodel.cluster.children.versions import POOL_ON_TRIAL, VERSION_ON_TRIAL, ModelVersion, Serving
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.core import reasons
from recmodel.core.types import Reason
from recmodel.prometheus.readings import PoolReading, Rates
from recmodel.rollout import comparison, steps
from recmodel.rollout.known_variants import Variants
from recmodel.rollout.trial import Trial, counted, policy_of


@dataclass(frozen=True)
class RolloutContext:
    """One tick of one RecModel, as the releases see it."""

    variants: Variants
    states: Mapping[str, PoolState]
    shares: Mapping[str, float | None]  # of the traffic in the route, 0..1; None without a route of ours
    readings: Mapping[str, PoolReading]
    in_danger: bool  # the objective is missed, or nobody can see
    now_seconds: float
    tick_seconds: float
    quality: Mapping[str, Rates] = field(default_factory=dict)

    @property
    def spec(self) -> RecModelSpec:
        """With what the records say filled in."""
        return self.variants.spec

    def target(self, pool: PoolSpec) -> ModelVersion | None:
        """The version that the pool is to come to; None where none is known, which asks for no change."""
        return self.variants.target(pool.name)


Servings = dict[str, Serving]
Trials = dict[str, Trial]


def adopted(
    variants: Variants | None, spec: RecModelSpec, known: Mapping[str, Serving], states: Mapping[str, PoolState]
) -> Servings:
    """What each pool of the spec serves: as it is known, else as its Deployment says; a pool that is yet to be made
    begins with its newest version. A pool that its owner has given another variant takes it over at once.
    """
    result: Servings = {}
    for pool in spec.pools:
        state = states[pool.name]
        serving = known.get(pool.name, state.serving if state.exists else None)
        if serving is not None and serving.now is not None and not serving.now.variant:
            # Its pods say what they serve, but not of which variant: of the pool's.
            serving = replace(serving, now=replace(serving.now, variant=spec.variant_of(pool) or ""))
        if serving is None:
            serving = _first(variants, spec, pool, states)
        elif serving.now is not None and serving.now.variant != spec.variant_of(pool):
            serving = Serving(variants.target(pool.name) if variants is not None else None)
        result[pool.name] = serving
    return result


def _first(variants: Variants | None, spec: RecModelSpec, pool: PoolSpec, states: Mapping[str, PoolState]) -> Serving:
    """A new pool is on trial where the model serves already, and no other pool serves what it brings."""
    target = variants.target(pool.name) if variants is not None else None
    others = {p.name: p for p in spec.pools if p.name != pool.name and states[p.name].exists}
    if spec.route is None or not any(states[name].ready for name in others):
        return Serving(target)
    served = [states[name].serving for name in others]
    if target is not None:
        familiar = target.name in {s.now.name for s in served if s.now and s.trial is None}
    else:
        variant = spec.variant_of(pool)
        familiar = variant is None or variant in {spec.variant_of(p) for p in others.values()}
    return Serving(target, trial=None if familiar else POOL_ON_TRIAL)


def brought(pool: PoolSpec, serving: Serving, spec: RecModelSpec) -> str:
    """The name of what a pool on trial brings; without a version its template identifies it."""
    if serving.now is not None:
        return serving.now.name
    template = pool.own_template.model_dump(by_alias=True, exclude_none=True)
    return f"{spec.variant_of(pool) or pool.name}@template-{digest(template)[:8]}"


def limits(spec: RecModelSpec, serving: Mapping[str, Serving], trials: Mapping[str, Trial]) -> dict[str, float]:
    """The largest share of the traffic of each pool that is on trial as a pool; a pool that waits for its turn, or was
    rolled back, gets none.
    """
    on_trial = [pool for pool in spec.pools if pool.name in serving and serving[pool.name].trial == POOL_ON_TRIAL]
    if not on_trial:
        return {}
    policy, result = policy_of(spec, stepwise=True), {}
    for pool in on_trial:
        found, trial = serving[pool.name], trials.get(pool.name)
        here = trial is not None and trial.rollout.version == brought(pool, found, spec) and found.refused is None
        result[pool.name] = steps.limit_ratio(policy, trial.rollout) if trial is not None and here else 0.0
    return result


def released(
    serving: Mapping[str, Serving], trials: Mapping[str, Trial], context: RolloutContext
) -> tuple[Servings, Trials]:
    """One tick: what each pool is to serve from now on, and how far each trial has come."""
    pools = {pool.name: pool for pool in context.spec.pools}
    serves: Servings = {name: serving[name] for name in pools if name in serving}
    kept: Trials = {name: trial for name, trial in trials.items() if name in pools}
    if any(state.releaser for state in context.states.values()):
        return serves, {}
    for name in serves:
        serves[name] = _without_trial(pools[name], serves, context)
    serves = _carried(serves, context)
    kept = {n: trial for n, trial in kept.items() if trial.phase != "RolledBack" or serves[n].refused is not None}
    chosen = _turn(pools, serves, context)
    if chosen is None:
        return serves, {name: trial for name, trial in kept.items() if trial.phase in ("Proven", "RolledBack")}
    found, trial = _advanced(pools[chosen], serves[chosen], kept.get(chosen), context)
    serves[chosen] = found
    kept[chosen] = trial
    return serves, kept


def _without_trial(pool: PoolSpec, serves: Servings, context: RolloutContext) -> Serving:
    """What needs no trial: an accuracy measured again, a pool without pods, one whose version was proven elsewhere, and
    another try for a pool that was rolled back and has changed since.
    """
    found, target = serves[pool.name], context.target(pool)
    state = context.states[pool.name]
    others = any(s.ready for name, s in context.states.items() if name != pool.name)
    unproven = POOL_ON_TRIAL if others and context.spec.route is not None else None
    if target is not None and found.now is not None and _same_model(found.now, target):
        found = replace(found, now=target)
        if found.trial == VERSION_ON_TRIAL and state.desired == state.ready == 0:  # nobody would wait for it for ever
            found = Serving(target, trial=unproven)
    elif target is not None and found.refused is not None and found.trial == POOL_ON_TRIAL:
        found = Serving(target, trial=POOL_ON_TRIAL)  # its pods have no traffic
    elif target is not None and state.ready == 0 and target.name not in _refused(serves):
        found = Serving(target, trial=unproven)
    if found.trial is None and target is not None and found.refused not in (None, target.name):
        found = replace(found, refused=None)  # nobody asks for it any more
    if found.trial == POOL_ON_TRIAL:
        name = brought(pool, found, context.spec)
        proven = {s.now.name for n, s in serves.items() if n != pool.name and s.now and s.trial is None}
        if name in proven:
            return replace(found, trial=None, refused=None)
        if found.refused is not None and found.refused != name:
            return replace(found, refused=None)
    return found


def _carried(serves: Servings, context: RolloutContext) -> Servings:
    """Where every pool is on trial, since its owner took the others away or they were without pods, nobody could carry the
    rest or be compared with: the pool that answers most, of those that were not rolled back, serves for good.
    """
    if not serves or any(found.trial != POOL_ON_TRIAL for found in serves.values()):
        return serves
    first = max(serves, key=lambda name: (serves[name].refused is None, context.shares.get(name) or 0.0))
    return {**serves, first: replace(serves[first], trial=None, refused=None)}


def _turn(pools: Mapping[str, PoolSpec], serves: Servings, context: RolloutContext) -> str | None:
    """The pool whose turn it is: one whose pods are being replaced goes on; then the one with the smallest share."""
    replaced = [name for name, found in serves.items() if found.trial == VERSION_ON_TRIAL]
    if replaced:
        return replaced[0]
    waiting = [
        name
        for name, found in serves.items()
        if context.states[name].ready > 0
        and (found.trial == POOL_ON_TRIAL or _wants(pools[name], found, serves, context))
        and found.refused != brought(pools[name], found, context.spec)
    ]
    return min(waiting, key=lambda name: context.shares.get(name) or 0.0, default=None)


def _wants(pool: PoolSpec, found: Serving, serves: Servings, context: RolloutContext) -> bool:
    """Whether another version than it serves is to come to the pool."""
    target = context.target(pool)
    if target is None or target.name in _refused(serves):
        return False
    return found.now is None or not _same_model(found.now, target)


def _refused(serves: Servings) -> set[str]:
    """What was rolled back in some pool is tried in no other."""
    return {found.refused for found in serves.values() if found.refused is not None}


def _same_model(one: ModelVersion, other: ModelVersion) -> bool:
    return (one.name, one.uri, one.sha256) == (other.name, other.uri, other.sha256)


def _advanced(pool: PoolSpec, found: Serving, trial: Trial | None, context: RolloutContext) -> tuple[Serving, Trial]:
    """One tick of the trial whose turn it is."""
    target, now = context.target(pool), context.now_seconds
    stepwise = found.trial == POOL_ON_TRIAL
    if stepwise and target is not None and found.now is not None and not _same_model(found.now, target):
        found, trial = Serving(target, trial=POOL_ON_TRIAL), None  # its next version came before this one was proven
    if found.trial == VERSION_ON_TRIAL and target is not None and found.now is not None:
        if found.before is not None and _same_model(found.before, target):  # its owner took it back
            said = f"{pool.name}: {found.now.name} was withdrawn before it was proven"
            back = replace(steps.begin(pool.name, found.now.name, now), phase="RolledBack")
            return Serving(target), Trial(back, Reason(reasons.ROLLOUT_ROLLED_BACK, said), target.name)
        if not _same_model(found.now, target):
            found, trial = replace(found, now=target), None
    to = brought(pool, found if found.trial is not None or target is None else replace(found, now=target), context.spec)
    if trial is None or trial.rollout.version != to or trial.phase in ("Proven", "RolledBack"):
        trial = _started(pool, found, to, now)
    policy = policy_of(context.spec, stepwise, context.tick_seconds)
    seen = _seen(pool, trial, stepwise, context)
    rollout = trial.rollout
    if context.states[pool.name].updating and not stepwise:  # what counts for the step comes from new pods alone
        rollout = replace(rollout, requests=0.0)
    if rollout.phase == "Stepping" and not stepwise and context.states[pool.name].stalled:
        rollout, reason = replace(rollout, phase="RolledBack", began_seconds=now), _stalled(pool, to)
    else:
        rollout, advanced = steps.advance(policy, rollout, seen, now)
        reason = advanced or trial.reason
        if not stepwise and trial.rollout.phase == "Waiting" and rollout.phase == "Stepping":
            before = f" {trial.before}" if trial.before else " what was there"
            reason = Reason(reasons.ROLLOUT_ADVANCED, f"{pool.name}: {to} replaces{before}, pod by pod")
    shares_before = trial.shares_before
    if not stepwise and trial.rollout.phase == "Waiting":
        shares_before = comparison.shares_of(
            context.readings.get(pool.name), context.spec.objective.latency.threshold_seconds, False
        )
    after = Trial(rollout, reason, trial.before, shares_before, now)
    return _serves_after(found, target, rollout, to), after


def _started(pool: PoolSpec, found: Serving, to: str, now_seconds: float) -> Trial:
    before = found.before if found.trial == VERSION_ON_TRIAL else found.now
    rollout = steps.begin(pool.name, to, now_seconds)
    if found.trial == VERSION_ON_TRIAL:  # it is under way, though nothing is remembered of it
        rollout = replace(rollout, phase="Stepping")
    said = Reason(reasons.ROLLOUT_WAITING, f"{pool.name}: {to} begins")
    return Trial(rollout, said, before.name if before and before.name != to else None)


def _seen(pool: PoolSpec, trial: Trial, stepwise: bool, context: RolloutContext) -> steps.RolloutTick:
    latency = context.spec.objective.latency
    threshold, late_budget_ratio = latency.threshold_seconds, 1.0 - latency.within_ratio
    seconds = counted(trial, context.now_seconds, context.tick_seconds)
    state = context.states[pool.name]
    others = [p.name for p in context.spec.pools if p.name != pool.name and context.states[p.name].ready > 0]
    new = comparison.new_side(context.readings.get(pool.name), context.quality.get(pool.name), threshold, seconds)
    current = comparison.current_side(
        [context.readings[name] for name in others if name in context.readings],
        [context.quality[name] for name in others if name in context.quality],
        threshold,
        seconds,
    )
    late_everywhere = bool(current.requests and (current.late or 0.0) > late_budget_ratio * current.requests)
    if not stepwise:
        current = comparison.beside_shares_before(current, new, trial.shares_before, late_budget_ratio)
    share = context.shares.get(pool.name)
    return steps.RolloutTick(
        new=new,
        current=current,
        in_danger=context.in_danger,
        late_everywhere=late_everywhere,
        ready=state.ready > 0 and (stepwise or not state.updating),
        # A replacement leaves the pool its share, so it has none to give up first.
        share_ratio=share if stepwise else 0.0,
    )


def _serves_after(found: Serving, target: ModelVersion | None, rollout: steps.Rollout, to: str) -> Serving:
    """What the pool's Deployment is made for after this tick."""
    if found.trial == POOL_ON_TRIAL:
        if rollout.phase == "RolledBack":
            return replace(found, refused=to)
        return replace(found, trial=None) if rollout.phase == "Done" else found
    if found.trial == VERSION_ON_TRIAL:
        if rollout.phase == "RolledBack":
            return Serving(found.before, refused=to)
        return Serving(found.now) if rollout.phase == "Done" else found
    if rollout.phase == "Stepping" and target is not None:
        return Serving(target, before=found.now, trial=VERSION_ON_TRIAL)
    return found


def _stalled(pool: PoolSpec, to: str) -> Reason:
    said = f"{pool.name}: version {to} was rolled back: its pods were not ready in time"
    return Reason(reasons.ROLLOUT_ROLLED_BACK, said)
