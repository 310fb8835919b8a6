"""The pages of a pool's own pods, as Prometheus has them."""

from __future__ import annotations

from recmodel.prometheus.client import Vector
from recmodel.prometheus.profile import load_profile
from recmodel.prometheus.queries import profile_queries, usage_queries

MLSERVER = profile_queries(load_profile("mlserver"), 60)
USAGE = usage_queries(["demo"], 60)


def pod_page(up: float, rate: float = 10.0) -> dict[str, Vector]:
    labels = {"namespace": "demo", "recmodel_dev_model": "ranker", "recmodel_dev_pool": "cpu"}
    answers = {query: Vector(((labels, rate),)) for query in MLSERVER.all()}
    assert MLSERVER.up is not None
    assert MLSERVER.buckets is not None
    assert MLSERVER.scrapes is not None
    answers[MLSERVER.scrapes] = Vector(((labels, 1.0),))
    answers[MLSERVER.up] = Vector(((labels, up),))
    answers[MLSERVER.age] = Vector(((labels, 1.0),))
    answers[MLSERVER.buckets] = Vector(tuple(({**labels, "le": le}, v) for le, v in (("0.1", 9.0), ("+Inf", 10.0))))
    return answers
