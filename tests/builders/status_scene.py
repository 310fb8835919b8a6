"""A RecModel as it was observed, for the tests of what is said of it: healthy, unless told otherwise."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from recmodel.api.status import RecModelStatus
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.controller.registry import learned
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Decision, PoolDecision, PoolEstimate, PoolForecast, Reason
from recmodel.prometheus import Bracket, ModelReading, PoolReading, Verdict
from recmodel.report.snapshot import Applied, Decided, Desired, Versions
from recmodel.report.status import judge

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TEMPLATE = {"spec": {"containers": [{"name": "s", "image": "s:1"}]}}
SPEC = RecModelSpec.model_validate(
    {
        "objective": {"latency": {"threshold": "100ms"}},
        "pools": [{"name": "cpu", "replicas": {"max": 9}, "port": 8080, "template": TEMPLATE}],
    }
)
EXACT = Bracket(0.97, 0.97)
STATE = PoolState(True, 3, 3, 0, 40.0, ("a", "b", "c"), False, None)

PARTS: dict[str, Any] = {"desired": Desired, "versions": Versions, "decided": Decided, "applied": Applied}


def reading(within: Bracket | None = EXACT, rate: float | None = 100.0) -> ModelReading:
    latency = None if rate is None else {0.05: 0.8 * rate, 0.1: 0.97 * rate, float("inf"): rate}
    verdict = Verdict.MISSING if rate is None else Verdict.AVAILABLE
    pools = {"cpu": PoolReading(rate_per_second=rate, latency=latency)}
    return ModelReading(verdict, "NoSeries" if rate is None else "MetricsFound", "said so", pools, within)


def decision(replicas: int = 3, state: str = "Tracking", reason: str = "Steady", capacity: float = 40.0) -> Decision:
    return Decision(
        NOW.timestamp(),
        {"cpu": PoolDecision(replicas, 1.0)},
        state,
        (Reason(reason, f"{reason} at 100 requests/s"),),
        forecast={"cpu": PoolForecast(76.0, 120.0, 150.0)},
        proposed_replicas={"cpu": replicas},
        estimates={"cpu": PoolEstimate(capacity, 0.9 * capacity, 33.3, 0.97, 0.97, 0.95 * capacity)},
        cost_per_hour=3.0,
    )


def tracked(**facts: Any) -> Tracked:
    """A RecModel of which these facts are known, each in the part that it belongs to."""
    facts = {"generation": 2, "spec": SPEC, "decision": decision(), "reading": reading(), **facts}
    parts: dict[str, Any] = {
        name: part(**{f.name: facts.pop(f.name) for f in fields(part) if f.name in facts})
        for name, part in PARTS.items()
    }
    return Tracked(Owner("shop", "feed", "u"), **parts, **facts)


def status(t: Tracked | None = None, pools: dict[str, PoolState] | None = None, **more: Any) -> RecModelStatus:
    pools = {"cpu": STATE} if pools is None else pools
    return judge(
        (t or tracked()).snapshot(), pools, {"cpu": 1000}, more.get("now", NOW), more.get("written", RecModelStatus())
    )


def condition(kind: str, found: RecModelStatus) -> tuple[str, str]:
    return next((c.status, c.reason) for c in found.conditions if c.type == kind)


def with_records(*found: dict[str, Any]) -> Tracked:
    variants = [{"name": "full", "accuracy": {"metric": "AUC", "value": "0.81"}}, {"name": "int8"}]
    objective = {"latency": {"threshold": "100ms"}, "accuracy": {"maxLoss": "1%"}}
    t = tracked(written=SPEC.model_validate(
        {**SPEC.model_dump(by_alias=True, exclude_none=True), "variants": variants, "objective": objective}
    ))  # fmt: skip
    t.desired = learned(t.desired, t.owner, found)
    return t
