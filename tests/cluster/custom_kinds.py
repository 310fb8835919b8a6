"""Kinds that other projects bring, for the time of a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kube import Kube, Object, eventually, run

from recmodel.cluster.names import Kind

CRD = Kind("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions")
ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@contextlib.contextmanager
def served(kube: Kube, kind: Kind) -> Iterator[None]:
    """The cluster knows the kind: by its own CRD, which is left alone, else by one whose objects may hold anything."""
    group, _, version = kind.group_version.partition("/")
    name = f"{kind.plural}.{group}"
    there = kube.find(CRD, None, name) is not None
    try:
        if not there:
            described = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": ANYTHING}}
            called = {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.lower()}
            spec = {"group": group, "scope": "Namespaced", "names": called, "versions": [described]}
            kube.create(CRD, None, {"metadata": {"name": name}, "spec": spec})
            run("kubectl", "wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")
        eventually(f"{kind.plural} are served", lambda: kube.list(kind, None) is not None, 60.0)
        yield
    finally:
        if not there:
            kube.delete(CRD, None, name)
