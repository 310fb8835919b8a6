"""Pools by reference: a workload that stands already, and what a spec with such pools may hold.

Of a referenced workload only the number of replicas is written, and of a referenced route only weights (``route_reference``). So what
only makes sense for a template of ours is refused, and not ignored.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from recmodel.api.strict import SpecRule, Strict
from recmodel.api.text import GroupVersion, KindName, Subdomain

# Whose histograms are of the pods themselves. A gateway counts by route, and these pools have none of ours.
POD_PROFILES = ("triton", "tensorflow-serving", "openvino", "mlserver", "bentoml", "kserve", "custom")


class TargetRef(Strict):
    """A workload of the same namespace that runs already."""

    api_version: Annotated[GroupVersion, Field(description="API group and version of the workload.")] = "apps/v1"
    kind: Annotated[
        KindName,
        Field(
            description="Deployment or StatefulSet of apps/v1, or a kind with a scale that the setting scaleTargets names."
        ),
    ]
    name: Annotated[Subdomain, Field(description="Name of the workload.")]


_NONE = "!self.pools.exists(p, has(p.targetRef))"
_MADE = "self.pools.exists(p, !has(p.targetRef))"
_SHOWN = 80  # characters of a value


def _none(spec: Any) -> bool:
    return all(pool.target_ref is None for pool in spec.pools)


def _targets(spec: Any) -> list[str]:
    return [pool.target_ref.name for pool in spec.pools if pool.target_ref is not None]


def _versions(spec: Any) -> list[str]:
    return [variant.name for variant in spec.variants if variant.version or variant.uri or variant.sha256]


def _of_apps(spec: Any) -> list[tuple[str, str]]:
    refs = [pool.target_ref for pool in spec.pools if pool.target_ref is not None]
    return [(ref.api_version, ref.kind) for ref in refs if ref.api_version.startswith("apps/")]


RULES: tuple[SpecRule, ...] = (
    SpecRule(
        "self.pools.all(p, !has(p.targetRef) || !p.targetRef.apiVersion.startsWith('apps/') || (p.targetRef.apiVersion == 'apps/v1' "
        "&& p.targetRef.kind in ['Deployment', 'StatefulSet']))",
        "of the group apps targetRef takes Deployment and StatefulSet of apps/v1: for another kind set its apiVersion",
        "pools",
        _of_apps,
        lambda spec: {*_of_apps(spec)} <= {("apps/v1", "Deployment"), ("apps/v1", "StatefulSet")},
    ),
    SpecRule(
        f"{_NONE} || !has(self.route) || has(self.route.ref)",
        "the operator makes no route while a pool has a targetRef: leave spec.route out, the traffic stays as it is; or, where all pools "
        "have one, name yours in route.ref (a pool with a template: make its Deployment yourself, and refer to it)",
        "route",
        lambda spec: str(spec.route)[:_SHOWN],
        lambda spec: _none(spec) or spec.route is None or spec.route.ref is not None,
    ),
    SpecRule(
        f"{_NONE} || !has(self.optimisation)",
        "the operator starts no Job for pools with a targetRef: leave spec.optimisation out",
        "optimisation",
        lambda spec: str(spec.optimisation)[:_SHOWN],
        lambda spec: _none(spec) or spec.optimisation is None,
    ),
    SpecRule(
        f"{_NONE} || self.metrics.profile in [{', '.join(repr(name) for name in POD_PROFILES)}]",
        f"pools with a targetRef are measured at their pods: set metrics.profile to their model server, one of "
        f"{', '.join(POD_PROFILES)}",
        "metrics.profile",
        lambda spec: spec.metrics.profile,
        lambda spec: _none(spec) or spec.metrics.profile in POD_PROFILES,
    ),
    SpecRule(
        f"{_NONE} || {_MADE} || !(has(self.metrics.port) || has(self.metrics.path))",
        "the operator makes no PodMonitor for pools with a targetRef: leave metrics.port and metrics.path out, Prometheus must "
        "read the pods already",
        "metrics",
        lambda spec: {"port": spec.metrics.port, "path": spec.metrics.path},
        lambda spec: _none(spec) or bool(spec.made_pools) or (spec.metrics.port is None and spec.metrics.path is None),
    ),
    SpecRule(
        "self.pools.all(p, !has(p.targetRef) || self.pools.exists_one(q, has(q.targetRef) && "
        "q.targetRef.name == p.targetRef.name))",
        "each targetRef.name may stand once, as pods are told apart by it",
        "pools",
        _targets,
        lambda spec: len({*_targets(spec)}) == len(_targets(spec)),
    ),
    SpecRule(
        f"{_NONE} || self.variants.all(v, !has(v.version) && !has(v.uri) && !has(v.sha256))",
        "versions are rolled out by templates, and pools with a targetRef serve what they serve: leave version, uri and sha256 "
        "out",
        "variants",
        _versions,
        lambda spec: _none(spec) or not _versions(spec),
    ),
)
# Between the spec that stands and the next one, which the API server alone can compare. What the operator made for templates
# is neither left without an owner nor deleted under a reference to it.
TRANSITION_RULES = [
    {
        "rule": "self.pools.all(p, !has(p.targetRef) || oldSelf.pools.all(q, q.name != p.name || has(q.targetRef)))",
        "message": "a pool with a template cannot become a reference: give the pool with the targetRef another name",
    },
    {
        "rule": f"{_MADE} || oldSelf.pools.all(p, has(p.targetRef))",
        "message": "the last pool with a template cannot leave beside pools with a targetRef: make another RecModel with those",
    },
]
CEL_RULES = [*(rule.for_the_api_server for rule in RULES), *TRANSITION_RULES]
