"""A decider that is told what to decide."""

from __future__ import annotations

from collections.abc import Sequence

from builders.operator_stage import Seeing
from recmodel.core.types import Decision, Model, NodeBuffer, Observation, PoolDecision, Reason
from recmodel.prometheus import GatherSettings


class Deciding(Seeing):
    """Decides for ``wanted`` replicas where the model acts, and else for what runs; by key of the model."""

    def __init__(self, wanted: int = 5) -> None:
        super().__init__(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
        self.wanted = wanted
        self.ahead: dict[str, int | None] = {}  # by pool the replicas for which nodes are asked for; None: not known
        self.acting: dict[str, bool] = {}

    def decide(
        self, models: Sequence[Model], observations: Sequence[Observation], now_seconds: float
    ) -> tuple[dict[str, Decision], dict[str, str]]:
        self.acting = {model.key: model.acts for model in models}
        return {m.key: self._one(m, o, now_seconds) for m, o in zip(models, observations, strict=True)}, {}

    def _one(self, model: Model, seen: Observation, now_seconds: float) -> Decision:
        runs = {name: pool.desired for name, pool in seen.pools.items()}
        state = "Tracking" if model.acts else "Recommending"
        both = dict.fromkeys(runs, self.wanted)
        pools = {name: PoolDecision(self.wanted if model.acts else count, 1.0) for name, count in runs.items()}
        ahead = {
            pool.name: NodeBuffer(self.ahead[pool.name], 280.0, Reason("NodeBufferSized", "as the test says"))
            for pool in model.pools
            if pool.node_lead_seconds is not None and pool.name in self.ahead
        }
        return Decision(now_seconds, pools, state, (), proposed_replicas=both, acting_replicas=both, node_buffers=ahead)
