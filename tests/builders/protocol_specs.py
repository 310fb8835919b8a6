"""Specs whose pools speak HTTP/2 or gRPC, as whole specs: those that are taken, those that are refused, and edits."""

from __future__ import annotations

from typing import Any

from builders.references import reference_spec, referring
from builders.spec_cases import Case, recmodel

Object = dict[str, Any]


def speaking(*protocols: str, **more: Any) -> Object:
    """The spec of the tables with a pool for each of these protocols (empty: none is named), and other fields."""
    made: Object = recmodel()["spec"]
    (first, *_) = made["pools"]
    spoken = [{"protocol": protocol} if protocol else {} for protocol in protocols]
    pools = [{**first, "name": f"p{i}", **words} for i, words in enumerate(spoken)]
    return {**made, "pools": pools, **more}


_EDGE = {"parentRefs": [{"name": "edge"}], "hostnames": ["feed.example"]}

REFUSED_PROTOCOLS = [
    Case("spec", spec, says)
    for spec, says in (
        (speaking("GRPC", ""), "all pools have protocol GRPC or none: one route leads to all of them"),
        (speaking("GRPC", "HTTP"), "all pools have protocol GRPC or none: one route leads to all of them"),
        (speaking("H2C", "GRPC"), "all pools have protocol GRPC or none: one route leads to all of them"),
        (speaking("GRPC", route={**_EDGE, "paths": ["/v2"]}), "a GRPCRoute matches no paths: leave route.paths out"),
        (speaking("GRPC", route={**_EDGE, "paths": ["/", "/v2"]}), "a GRPCRoute matches no paths: leave route.paths out"),
        (speaking("GRPC", metrics={"profile": "mlserver"}), "count REST requests alone: with GRPC use a gateway's profile"),
        (speaking("GRPC", metrics={"profile": "bentoml"}), "count REST requests alone: with GRPC use a gateway's profile"),
        (reference_spec(referring(protocol="GRPC")), "protocol is for pools with a template: leave it out"),
        (reference_spec(referring(protocol="HTTP")), "protocol is for pools with a template: leave it out"),
        (speaking("http"), "H2C"),
        (speaking("HTTP/2"), "H2C"),
    )
]  # fmt: skip
TAKEN_PROTOCOLS = [
    Case("spec", spec)
    for spec in (
        speaking("HTTP", "H2C", ""),
        speaking("GRPC", "GRPC"),
        speaking("GRPC", route={**_EDGE, "paths": ["/"]}),
        speaking("GRPC", metrics={"profile": "triton"}),
        speaking("H2C", metrics={"profile": "mlserver"}, route={**_EDGE, "paths": ["/v2"]}),
        {key: value for key, value in speaking("GRPC").items() if key != "route"},
    )
]
GRPC_STAYS = "a RecModel neither begins nor ceases to answer gRPC: make another one with another hostname, or delete this one first"
# From one valid spec to another: what the answer says; empty: it is taken.
EDITED_PROTOCOLS: list[tuple[Object, Object, str]] = [
    (speaking("HTTP", "HTTP"), speaking("HTTP", "H2C"), "add a pool with another name instead"),
    (speaking("H2C"), speaking("HTTP"), "add a pool with another name instead"),
    (speaking("HTTP"), speaking("HTTP", "H2C"), ""),
    (speaking("HTTP", "H2C"), speaking("HTTP"), ""),
    (speaking(""), speaking("HTTP"), ""),
    (speaking("HTTP"), speaking("GRPC"), GRPC_STAYS),
    (speaking(""), speaking("GRPC"), GRPC_STAYS),
    (speaking("GRPC"), speaking("H2C"), GRPC_STAYS),
    (speaking("HTTP"), {**speaking("GRPC"), "pools": [{**speaking("GRPC")["pools"][0], "name": "new"}]}, GRPC_STAYS),
    (speaking("GRPC"), speaking("GRPC", "GRPC"), ""),
]  # fmt: skip
