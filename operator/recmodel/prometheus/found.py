"""The answers for one profile, by pool: what each of its questions found."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from recmodel.prometheus.answers import Buckets, Owner, PoolKey, Values, buckets, owner_of, served_models, values
from recmodel.prometheus.client import Vector
from recmodel.prometheus.pod_names import ANY_PAGE_LABEL
from recmodel.prometheus.profile import Profile
from recmodel.prometheus.queries import ProfileQueries
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.session import PrometheusError

Answers = Mapping[str, Vector | PrometheusError]
Combined = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Found:
    """The answers for one profile, by pool."""

    profile: Profile
    rates: Values
    answered: Values
    errors: Values
    errors_known: bool
    grpc: Values  # gRPC calls of which is known how they ended, of a profile that tells
    failures_are_labels: bool
    latency: Buckets
    queue: Values
    in_flight: Values
    moved: Values
    scrapes: Values
    ages: Values
    up: Values
    served: Mapping[PoolKey, list[str]]  # the models that the pool's pages count
    partial: bool  # one of the answers may lack a part


def found_in(profile: Profile, queries: ProfileQueries, answers: Answers, models: Sequence[ModelView]) -> Found:
    """The answers to ``queries``, by pool; one that failed is as good as empty."""

    owner = owner_of(profile, models)
    by_pod = profile.identity.named is not None

    def read(query: str | None, combined: Combined = operator.add) -> Values:
        answer = answers[query] if query else None
        return values(answer, owner, combined if by_pod else None) if isinstance(answer, Vector) else Values()

    histogram = answers[queries.buckets] if queries.buckets else None
    uneven = answers[queries.uneven] if queries.uneven else None
    requests = answers[queries.requests]
    rates, ages, pages = read(queries.requests), read(queries.age, min), answers[queries.up] if queries.up else None
    up = read(queries.up)
    if by_pod and isinstance(pages, Vector):
        up = _up_by_pod(pages, owner, rates.known.keys() | ages.known.keys())
    return Found(
        profile=profile,
        rates=rates,
        answered=read(queries.answered),
        errors=read(queries.failures),
        grpc=read(queries.grpc),
        failures_are_labels=profile.failures_are_labels,
        errors_known=queries.failures is not None and isinstance(answers[queries.failures], Vector),
        latency=buckets(histogram, owner, profile.latency, uneven if isinstance(uneven, Vector) else Vector(()))
        if isinstance(histogram, Vector) and profile.latency
        else Buckets(),
        queue=read(queries.queue),
        in_flight=read(queries.in_flight),
        moved=read(queries.moved),
        scrapes=read(queries.scrapes, max),
        ages=ages,
        up=up,
        served=served_models((labels for labels, _ in requests.rows), profile, models)
        if isinstance(requests, Vector)
        else {},
        partial=any(answer.partial for q in queries.all() if isinstance(answer := answers[q], Vector)),
    )


def _up_by_pod(pages: Vector, owner: Owner, counted: Set[PoolKey]) -> Values:
    """How many pods are read. Where a pool's requests are ``counted`` it is known which page has them, and no other one counts: a
    pod whose target is gone is not read. Where none is, any page does.
    """
    its = [(labels, value) for labels, value in pages.rows if ANY_PAGE_LABEL not in labels]
    pods = {(labels.get("namespace"), labels.get("pod")) for labels, _ in its}
    other = [
        (labels, value)
        for labels, value in pages.rows
        if ANY_PAGE_LABEL in labels
        and (labels.get("namespace"), labels.get("pod")) not in pods
        and owner(labels) not in counted
    ]
    found = values(Vector((*its, *other)), owner, operator.add)
    found.known |= dict.fromkeys(counted - found.known.keys() - found.invalid, 0.0)
    return found
