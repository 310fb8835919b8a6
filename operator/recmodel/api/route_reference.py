"""A route by reference: which backend is whose, and what a spec with one may hold. Nothing of it is ignored: what cannot be is refused."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from recmodel.api.protocol import REST_PROFILES
from recmodel.api.strict import SpecRule, Strict
from recmodel.api.text import DnsLabel, Port


class ServiceRef(Strict):
    """A Service of the same namespace, as a backendRef of a route has it."""

    name: Annotated[DnsLabel, Field(description="Name of the Service.")]
    port: Annotated[Port, Field(description="Port of the Service.")]

    @property
    def shown(self) -> str:
        """For messages: ``ranker-cpu:80``."""
        return f"{self.name}:{self.port}"


_ROUTED = "(has(self.route) && has(self.route.ref))"
_REFERRING = "self.pools.exists(p, has(p.targetRef))"


def _routed(spec: Any) -> bool:
    return spec.route is not None and spec.route.ref is not None


def _with_template(spec: Any) -> list[str]:
    return [pool.name for pool in spec.made_pools]


def _without_service(spec: Any) -> list[str]:
    return [pool.name for pool in spec.pools if pool.service is None]


def _services(spec: Any) -> list[str]:
    return [pool.service.name for pool in spec.pools if pool.service is not None]


RULES: tuple[SpecRule, ...] = (
    SpecRule(
        f"!{_ROUTED} || {_REFERRING}",
        "route.ref is for pools with a targetRef: for pools with a template name the Gateways in route.parentRefs",
        "pools",
        _with_template,
        lambda spec: not _routed(spec) or spec.by_reference,
    ),
    SpecRule(
        f"!{_ROUTED} || !{_REFERRING} || self.pools.all(p, has(p.targetRef))",
        "with route.ref each pool needs a targetRef: one with a template goes when its RecModel is deleted, and your route would still "
        "send requests to it. Make its Deployment yourself and refer to it; or leave spec.route and service out, and each pool is scaled "
        "for the requests that it gets",
        "pools",
        _with_template,
        lambda spec: not _routed(spec) or not spec.by_reference or not spec.made_pools,
    ),
    SpecRule(
        f"!{_ROUTED} || self.pools.all(p, has(p.service))",
        "with route.ref each pool needs its service, {name, port} as a backendRef of that rule has them, so that the pool's weight is "
        "known",
        "pools[].service",
        lambda spec: f"absent in {', '.join(_without_service(spec))}",
        lambda spec: not _routed(spec) or not _without_service(spec),
    ),
    SpecRule(
        f"{_ROUTED} || !self.pools.exists(p, has(p.service))",
        "service says which backend of route.ref is the pool's: set route.ref, or leave service out",
        "pools[].service",
        _services,
        lambda spec: _routed(spec) or not _services(spec),
    ),
    SpecRule(
        "self.pools.all(p, !has(p.service) || self.pools.exists_one(q, has(q.service) && p.service.name == q.service.name))",
        "each service.name may stand once, as a pool's weight is that of its own Service",
        "pools[].service",
        _services,
        lambda spec: len({*_services(spec)}) == len(_services(spec)),
    ),
    SpecRule(
        f"!{_ROUTED} || self.route.ref.kind != 'GRPCRoute' || "
        f"!(self.metrics.profile in [{', '.join(repr(name) for name in REST_PROFILES)}])",
        f"{' and '.join(REST_PROFILES)} count REST requests alone, and a GRPCRoute sends gRPC calls: use custom with series that count "
        "them",
        "metrics.profile",
        lambda spec: spec.metrics.profile,
        lambda spec: (
            not _routed(spec) or spec.route.ref.kind != "GRPCRoute" or spec.metrics.profile not in REST_PROFILES
        ),
    ),
)
CEL_RULES = [rule.for_the_api_server for rule in RULES]
