"""Specs with references that are refused, as whole specs: what the way out is called in each answer."""

from __future__ import annotations

from typing import Any

from builders.references import TARGET, reference_spec, referring
from builders.spec_cases import Case

_TEMPLATE: dict[str, Any] = {"spec": {"containers": [{"name": "server", "image": "server:1"}]}}
OWN: dict[str, Any] = {"name": "gpu", "replicas": {"max": 2}, "port": 8080, "template": _TEMPLATE}
_OTHER = referring({**TARGET, "name": "ranker-gpu"}, name="gpu")
_JOB = {"template": {"spec": {"containers": [{"name": "o", "image": "o"}]}}}
_ROUTE = {"parentRefs": [{"name": "edge"}], "hostnames": ["feed.example"]}
_REF: dict[str, Any] = {"ref": {"kind": "HTTPRoute", "name": "shop"}}
_GRPC: dict[str, Any] = {"ref": {"kind": "GRPCRoute", "name": "shop", "rule": 3}}
_BACKED = referring(service={"name": "ranker-cpu", "port": 80})
_OTHER_BACKED = {**_OTHER, "service": {"name": "ranker-gpu", "port": 80}}
_SERVED = [{"name": "full", "version": "2"}]

REFUSED_REFERENCES = [
    Case("spec", reference_spec(referring(), OWN, route=_ROUTE), "leave spec.route out, the traffic", unsaid="may stand once"),
] + [
    Case("spec", spec, says)
    for spec, says in (
        (reference_spec(referring(), OWN, optimisation=_JOB), "leave spec.optimisation out"),
        (reference_spec(referring(), OWN, metrics={"profile": "envoy-gateway"}), "set metrics.profile to their model server"),
        (reference_spec(_BACKED, OWN, route=_REF), "Make its Deployment yourself and refer to it; or leave spec.route and service out"),
        (reference_spec(_BACKED, {**OWN, "service": _OTHER_BACKED["service"]}, route=_REF), "one with a template goes when its"),
        (reference_spec(route=_ROUTE), "leave spec.route out, the traffic stays as it is"),
        (reference_spec(route=_ROUTE), "where all pools have one, name yours in route.ref"),
        (reference_spec(_BACKED, route={**_REF, **_ROUTE}), "exactly one of parentRefs, ref"),
        (reference_spec(_BACKED, route={}), "exactly one of parentRefs, ref"),
        (reference_spec(_BACKED, route={**_REF, "hostnames": ["feed.example"]}), "hostnames and paths are those of the route"),
        (reference_spec(_BACKED, route={**_REF, "paths": ["/a"]}), "hostnames and paths are those of the route that ref names"),
        (reference_spec(_BACKED, _OTHER, route=_REF), "each pool needs its service"),
        (reference_spec(_BACKED), "set route.ref, or leave service out"),
        (reference_spec(_BACKED, {**_OTHER_BACKED, "service": _BACKED["service"]}, route=_REF), "each service.name may stand once"),
        (reference_spec({**OWN, "service": _BACKED["service"]}, route=_REF, metrics={}), "name the Gateways in route.parentRefs"),
        (reference_spec(_BACKED, route=_GRPC, metrics={"profile": "mlserver"}), "a GRPCRoute sends gRPC calls: use custom"),
        (reference_spec(_BACKED, route={"ref": {"kind": "TCPRoute", "name": "shop"}}), "HTTPRoute"),
        (reference_spec(_BACKED, route={"ref": {**_REF["ref"], "rule": 16}}), ""),
        (reference_spec(_BACKED, route={"ref": {**_REF["ref"], "namespace": "ads"}}), ""),
        (reference_spec(_BACKED, route=_REF, metrics={"profile": "envoy-gateway"}), "set metrics.profile to their model server"),
        (reference_spec(optimisation=_JOB), "leave spec.optimisation out"),
        (reference_spec(metrics={"profile": "envoy-gateway"}), "set metrics.profile to their model server, one of triton"),
        (reference_spec(metrics={}), "set metrics.profile to their model server, one of triton"),
        (reference_spec(metrics={"profile": "triton", "port": "metrics"}), "leave metrics.port and metrics.path out"),
        (reference_spec(metrics={"profile": "triton", "path": "/m"}), "leave metrics.port and metrics.path out"),
        (reference_spec(referring(), {**referring(), "name": "gpu"}), "each targetRef.name may stand once"),
        (reference_spec(referring(), referring({**TARGET, "kind": "StatefulSet"}, name="gpu")), "as pods are told apart by it"),
        (reference_spec(variants=_SERVED), "leave version, uri and sha256 out"),
        (reference_spec(referring(port=8080)), "port must be set with a template, and only there"),
        (reference_spec(referring(template=_TEMPLATE)), "exactly one of template, targetRef"),
        (reference_spec({"name": "cpu", "replicas": {"max": 2}}), "exactly one of template, targetRef"),
        (reference_spec(referring({"kind": "Rollout", "name": "ranker-cpu"})), "for another kind set its apiVersion"),
        (reference_spec(referring({**TARGET, "kind": "ReplicaSet"})), "targetRef takes Deployment and StatefulSet of apps/v1"),
        (reference_spec(referring({**TARGET, "apiVersion": "apps/v1beta2"})), "targetRef takes Deployment and StatefulSet of apps/v1"),
        (reference_spec(referring({**TARGET, "apiVersion": "v1"})), ""),
        (reference_spec(referring({**TARGET, "apiVersion": "a.b/c/v1"})), ""),
        (reference_spec(referring({**TARGET, "kind": "rollouts/scale"})), ""),
        (reference_spec(referring({**TARGET, "namespace": "other"})), ""),
        (reference_spec(referring({**TARGET, "name": "Ranker"})), ""),
    )
]  # fmt: skip
TAKEN_REFERENCES = [
    Case("spec", spec)
    for spec in (
        reference_spec(),
        reference_spec(mode="Auto"),
        reference_spec(mode="Paused"),
        reference_spec(referring(), _OTHER),
        reference_spec(referring(), _OTHER, mode="Auto"),
        reference_spec(_BACKED, _OTHER_BACKED, route=_REF, mode="Auto"),
        reference_spec(_BACKED, route={**_GRPC, "paths": ["/"]}),
        reference_spec(referring({"kind": "StatefulSet", "name": "ranker.a"})),
        reference_spec(referring({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "ranker-cpu"})),
        reference_spec(referring(variant="full"), variants=[{"name": "full"}]),
        reference_spec(metrics={"profile": "triton", "model": "ranker"}),
        reference_spec(metrics={"profile": "custom", "custom": {"latency": {"name": "seconds", "unit": "s"}}}),
        reference_spec(rollout={"minRequests": 100}),
    )
]
# A pool that is made beside one that stands already.
TAKEN_MIXES = [
    Case("spec", spec)
    for spec in (
        reference_spec(referring(), OWN),
        reference_spec(OWN, referring(), mode="Auto"),
        reference_spec(referring(), OWN, metrics={"profile": "triton", "port": "metrics", "path": "/m"}),
        reference_spec(referring(), _OTHER, {**OWN, "name": "more"}, mode="Paused"),
    )
]
# The pools before, the pools after, and what the API server alone refuses of that.
EDITED_REFERENCES: list[tuple[list[dict[str, Any]], list[dict[str, Any]], str]] = [
    ([OWN], [OWN, referring()], ""),
    ([OWN, referring()], [OWN], ""),
    ([referring()], [referring(), OWN], ""),
    ([OWN, referring()], [{**_OTHER, "name": "gpu"}, {**OWN, "name": "more"}], "cannot become a reference"),
    ([OWN], [_OTHER], "cannot become a reference"),
    ([OWN, referring()], [referring()], "the last pool with a template cannot leave"),
    ([referring()], [{**OWN, "name": "cpu"}], ""),
]
