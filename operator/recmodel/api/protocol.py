"""What a spec with pools of another protocol than HTTP/1.1 may hold.

A route is of one kind: an HTTPRoute, or a GRPCRoute, which matches services and methods and no paths. A gateway takes the protocol
of a pool from its Service. That changes in one write and the pods do not, so the protocol of a pool that stands never does.
"""

from __future__ import annotations

from typing import Any

from recmodel.api.strict import SpecRule

GRPC = "GRPC"
REST_PROFILES = ("mlserver", "bentoml")  # whose pages count no gRPC call
_ANY = "pools.exists(p, has(p.protocol) && p.protocol == 'GRPC')"
_HTTP = f"!self.{_ANY}"


def speaks_grpc(spec: Any) -> bool:
    """Whether the pools answer gRPC: all of them, where the spec is valid."""
    return any(pool.protocol == GRPC for pool in spec.pools)


RULES: tuple[SpecRule, ...] = (
    SpecRule(
        f"{_HTTP} || self.pools.all(p, has(p.protocol) && p.protocol == 'GRPC')",
        "all pools have protocol GRPC or none: one route leads to all of them",
        "pools[].protocol",
        lambda spec: [pool.protocol for pool in spec.pools],
        lambda spec: not speaks_grpc(spec) or all(pool.protocol == GRPC for pool in spec.pools),
    ),
    SpecRule(
        f"{_HTTP} || !has(self.route) || self.route.paths == ['/']",
        "a GRPCRoute matches no paths: leave route.paths out",
        "route.paths",
        lambda spec: spec.route.paths,
        lambda spec: not speaks_grpc(spec) or spec.route is None or spec.route.paths == ["/"],
    ),
    SpecRule(
        f"{_HTTP} || !(self.metrics.profile in [{', '.join(repr(name) for name in REST_PROFILES)}])",
        f"{' and '.join(REST_PROFILES)} count REST requests alone: with GRPC use a gateway's profile",
        "metrics.profile",
        lambda spec: spec.metrics.profile,
        lambda spec: not speaks_grpc(spec) or spec.metrics.profile not in REST_PROFILES,
    ),
)
# Between the spec that stands and the next one, which the API server alone can compare.
_PROTOCOL = "(has({pool}.protocol) ? {pool}.protocol : 'HTTP')"
TRANSITION_RULES = (
    {
        "rule": "self.pools.all(p, oldSelf.pools.all(q, q.name != p.name || "
        f"{_PROTOCOL.format(pool='p')} == {_PROTOCOL.format(pool='q')} || self.{_ANY} != oldSelf.{_ANY}))",
        "message": "the protocol of a pool stays, as its Service would change before its pods: add a pool with another name instead",
    },
    {
        "rule": f"self.{_ANY} == oldSelf.{_ANY}",
        "message": "a RecModel neither begins nor ceases to answer gRPC: make another one with another hostname, or delete this one "
        "first",
    },
)
CEL_RULES = [*(rule.for_the_api_server for rule in RULES), *TRANSITION_RULES]
