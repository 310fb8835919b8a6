"""The traffic of a RecModel, as the Gateway API takes it: a route that the operator makes, or a rule of one that stands already."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recmodel.api.quantity import Duration, Percent, at_most, ratio, seconds
from recmodel.api.strict import Distinct, Rule, Strict, one_of
from recmodel.api.text import DnsLabel, Hostname, Subdomain, UrlPath


class ParentRef(Strict):
    """A Gateway."""

    name: Subdomain
    namespace: DnsLabel | None = None
    section_name: Subdomain | None = None


class RouteRef(Strict):
    """A rule of a route of the same namespace that stands already. Of that rule the weights are written, and nothing else."""

    kind: Annotated[Literal["HTTPRoute", "GRPCRoute"], Field(description="Kind of the route.")]
    name: Annotated[Subdomain, Field(description="Name of the route.")]
    rule: Annotated[
        int,
        Field(
            ge=0,
            le=15,
            description="Place of the rule in the route's spec.rules, from 0. Its backends must be the Services of the pools.",
        ),
    ] = 0

    @property
    def shown(self) -> str:
        """For messages: ``rule 0 of HTTPRoute ranker``."""
        return f"rule {self.rule} of {self.kind} {self.name}"


_SAME = (
    "p.name == q.name && (has(p.__namespace__) ? p.__namespace__ : '') == (has(q.__namespace__) ? q.__namespace__ : '')"
)
_LISTENERS = "(has(p.sectionName) ? p.sectionName : '') == (has(q.sectionName) ? q.sectionName : '')"


def _parents_are_distinct(parents: list[ParentRef]) -> bool:
    """As the Gateway API has it: the same Gateway twice only by two listeners."""
    listeners: dict[tuple[str, str | None], list[str | None]] = {}
    for parent in parents:
        listeners.setdefault((parent.name, parent.namespace), []).append(parent.section_name)
    return all(len(set(found)) == len(found) and (len(found) == 1 or None not in found) for found in listeners.values())


class Shift(Strict):
    """How fast the traffic moves between pools. Without it, it moves as fast as ready pods can bear it."""

    max_step: Annotated[
        Percent,
        Rule(
            "double(self.replace('%', '')) >= 1.0",
            "must be at least 1%: weights are thousandths, and less is not worth a write",
            lambda percent: ratio(percent) >= 0.01,
        ),
        Field(
            description="Largest share of the traffic that moves to other pools in an interval. What leaves a pool that has no ready "
            "pods, answers with errors or may answer nothing by its rollout is not bounded."
        ),
    ]
    interval: Annotated[
        Duration, at_most("10m"), Field(description="Shortest time between two such moves; at most 10m.")
    ] = "15s"

    @property
    def max_step_ratio(self) -> float:
        """``10%`` is 0.1."""
        return ratio(self.max_step)

    @property
    def interval_seconds(self) -> float:
        """``15s`` is 15."""
        return seconds(self.interval)


class Route(Strict):
    """The traffic that the model answers. The operator makes one route from it and sets its weights: an HTTPRoute, or a
    GRPCRoute where the pools have protocol GRPC. With ref it makes none: it sets the weights of a rule that stands.
    Without a route, the operator routes no traffic to the pools.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        one_of("parentRefs", "ref"),
        Rule(
            "!has(self.ref) || !has(self.hostnames) && self.paths == ['/']",
            "hostnames and paths are those of the route that ref names: leave them out",
            lambda route: route.ref is None or (route.hostnames is None and route.paths == ["/"]),
        ),
    )

    parent_refs: (
        Annotated[
            list[ParentRef],
            Field(min_length=1, max_length=8),
            Rule(
                f"self.all(p, self.exists_one(q, {_SAME} && {_LISTENERS})) && "
                f"self.all(p, has(p.sectionName) || self.exists_one(q, {_SAME}))",
                "the same Gateway may stand twice only with different sectionNames",
                _parents_are_distinct,
            ),
        ]
        | None
    ) = None
    hostnames: Annotated[list[Hostname], Field(max_length=16), Distinct()] | None = None
    paths: Annotated[
        list[UrlPath],
        Field(min_length=1, max_length=8, description="Path prefixes, without //, /./, /../ and %2F."),
        Distinct(),
    ] = ["/"]
    ref: Annotated[
        RouteRef | None,
        Field(
            description="A rule that sends to the Services of pools with a targetRef already, in place of a route of ours. Mode "
            "Recommend says which weights it would set; mode Auto writes them, and nothing else of the route."
        ),
    ] = None
    # No default in the schema, see pool.protocol.
    shift: Shift | None = None
