"""Which version each pool shall be made for: one pool of a RecModel at a time is on trial, and goes back if it is worse.

What is on trial stands in the Deployment's annotation (``cluster.versions``), so a new process finds it there; how far
it has come stands in the status.
"""

from __future__ import annotations

from collections.abc import Mapping

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.inventory import PoolState
from recmodel.cluster.versions import POOL_ON_TRIAL, Serving
from recmodel.controller.variants import Variants


def adopted(
    variants: Variants | None, spec: RecModelSpec, known: Mapping[str, Serving], states: Mapping[str, PoolState]
) -> dict[str, Serving]:
    """What each pool of the spec serves: as it is known, else as its Deployment says; a pool that is yet to be made
    begins with its newest version.
    """
    result: dict[str, Serving] = {}
    for pool in spec.pools:
        if pool.name in known:
            result[pool.name] = known[pool.name]
        elif states[pool.name].exists:
            result[pool.name] = states[pool.name].serving
        else:
            result[pool.name] = _first(variants, spec, pool.name, states)
    return result


def _first(variants: Variants | None, spec: RecModelSpec, pool: str, states: Mapping[str, PoolState]) -> Serving:
    """A new pool is on trial where the model serves already, and no other pool serves what it brings."""
    target = variants.target(pool) if variants is not None else None
    others = {name: state for name, state in states.items() if name != pool and state.exists}
    if not any(state.ready for state in others.values()):
        return Serving(target)
    by_name = {p.name: p for p in spec.pools}
    variant = spec.variant_of(by_name[pool])
    if target is not None:
        proven = {s.serving.now.name for s in others.values() if s.serving.now and s.serving.trial is None}
        return Serving(target, trial=None if target.name in proven else POOL_ON_TRIAL)
    familiar = variant is None or variant in {spec.variant_of(by_name[name]) for name in others}
    return Serving(trial=None if familiar else POOL_ON_TRIAL)
