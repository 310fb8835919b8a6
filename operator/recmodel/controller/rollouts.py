"""Once a tick, for each RecModel: what its pools are to serve from now on. Wiring around ``wanted_versions``, which judges."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.controller.decider import Decider
from recmodel.controller.tracked import Tracked
from recmodel.prometheus import Asked, Rates, Verdict
from recmodel.report.snapshot import Versions
from recmodel.rollout.trial import Trial
from recmodel.rollout.wanted_versions import RolloutContext, adopted, released

logger = logging.getLogger(__name__)

States = Mapping[str, Mapping[str, PoolState]]  # by RecModel, by pool
Weights = Callable[[Tracked], Mapping[str, int]]


class Rollouts:
    """The rollouts of all RecModels; ``wake`` has a RecModel's children looked at."""

    def __init__(self, decider: Decider, wake: Callable[[str], None], weights: Weights, tick_seconds: float) -> None:
        self._decider = decider
        self._wake = wake
        self._weights = weights
        self._tick_seconds = tick_seconds

    async def tick(self, models: Sequence[Tracked], states: States, now_seconds: float) -> None:
        """Advances what is on trial, rolls back what is worse, and starts what is new."""
        asked = [
            Asked(t.owner.namespace, t.owner.name, t.spec.rollout.quality)
            for t in models
            if t.spec is not None and t.spec.rollout.quality is not None and t.rolling
        ]
        quality: Mapping[str, Mapping[str, Rates]] = {}
        try:
            quality = await asyncio.to_thread(self._decider.quality, asked, now_seconds) if asked else {}
        except Exception:  # those that wait for it wait on; the others go on
            logger.exception("the online quality of %d RecModels cannot be read", len(asked))
        for tracked in models:
            if not tracked.desired.makes or tracked.desired.variants is None:
                continue
            try:
                self._one(tracked, states[tracked.key], quality.get(tracked.key, {}), now_seconds)
            except Exception:  # its pools stay as they are; the others go on
                logger.exception("%s: its rollout cannot be judged", tracked.key)

    def _one(
        self, tracked: Tracked, states: Mapping[str, PoolState], quality: Mapping[str, Rates], now_seconds: float
    ) -> None:
        # The children were not looked at since the spec changed, or this process has just started.
        if (
            tracked.desired.variants is None
            or tracked.versions.serving.keys() != states.keys()
            or _nothing_on_trial(tracked)
        ):
            return
        context = RolloutContext(
            variants=tracked.desired.variants,
            # What is wanted and not written yet is under way all the same.
            states={
                name: replace(state, updating=state.updating or state.serving != tracked.versions.serving[name])
                for name, state in states.items()
            },
            shares=_shares(tracked, self._weights(tracked)),
            readings=tracked.decided.reading.pools if tracked.decided.reading is not None else {},
            in_danger=_in_danger(tracked),
            now_seconds=now_seconds,
            tick_seconds=self._tick_seconds,
            quality=quality,
        )
        before = {name: (trial.phase, trial.rollout.step) for name, trial in tracked.versions.trials.items()}
        serving, trials = released(tracked.versions.serving, tracked.versions.trials, context)
        changed = serving != tracked.versions.serving
        tracked.versions = Versions(serving, trials)
        for name, trial in trials.items():
            if before.get(name) != (trial.phase, trial.rollout.step):
                logger.info("%s: %s: %s", tracked.key, trial.reason.reason, trial.reason.message)
        if changed:
            self._wake(tracked.key)


def adopt(tracked: Tracked, spec: RecModelSpec, states: Mapping[str, PoolState]) -> None:
    """Gives each pool of the spec a version to be made for: the one that it has, or the one that its pods serve."""
    serving = adopted(tracked.desired.variants, spec, tracked.versions.serving, states)
    tracked.versions = replace(tracked.versions, serving=serving)


def forget_serving(tracked: Tracked) -> None:
    """What the pods serve counts from now on, as another operator may have acted since."""
    tracked.versions = replace(tracked.versions, serving={})


def recall_trials(tracked: Tracked, trials: Mapping[str, Trial]) -> None:
    """Goes on with the rollouts as another process had them."""
    tracked.versions = replace(tracked.versions, trials=trials)


def _nothing_on_trial(tracked: Tracked) -> bool:
    """Nothing was ever on trial and every pool serves what it is to serve: so it is for most RecModels at most times."""
    targets = tracked.desired.variants.targets if tracked.desired.variants is not None else {}
    return not tracked.versions.trials and all(
        found.trial is None and (targets.get(name) is None or found.now == targets[name])
        for name, found in tracked.versions.serving.items()
    )


def _shares(tracked: Tracked, weights: Mapping[str, int]) -> dict[str, float | None]:
    if tracked.spec is None or tracked.spec.route is None:
        return dict.fromkeys(weights)
    total = sum(weights.values())
    return {name: weight / total if total else None for name, weight in weights.items()}


def _in_danger(tracked: Tracked) -> bool:
    """The objective is missed, or nobody can see. A forecast that the limits do not carry is none: a replacement takes
    nothing from what serves, and a pool at its maximum would never get a new version.
    """
    spec, reading = tracked.spec, tracked.decided.reading
    if spec is None or reading is None or reading.verdict != Verdict.AVAILABLE or reading.within is None:
        return True
    return reading.within.upper < spec.objective.latency.within_ratio
