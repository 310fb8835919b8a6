"""An API server and a Prometheus for ``recmodel adopt``, and the command in front of them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes.aio.client import Configuration

from builders.doctor_scene import Scene
from builders.prometheus_server import body, success
from builders.references import workload
from builders.route_world import route
from recmodel.cli import main
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.credentials import Credentials


@dataclass
class Shop(Scene):
    """A namespace with two Deployments and an autoscaler, and the histograms of their pods, by name with the edges."""

    histograms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def api(self, path: str, asked: dict[str, Any] | None) -> tuple[dict[str, Any], int]:
        self.asked.append(path if asked is None else f"POST {path}")
        _, _, rest = path.partition("?")[0].partition("/namespaces/")
        namespace, _, plural = rest.partition("/")
        if ("list", plural) in self.denied:
            return {"message": f"{plural} is forbidden"}, 403
        ref = {"kind": "Deployment", "name": "ranker-cpu"}
        autoscaler = {"metadata": {"name": "hpa"}, "spec": {"scaleTargetRef": ref, "minReplicas": 3, "maxReplicas": 30}}
        items = {
            "deployments": [workload("ranker-cpu"), workload("ranker-gpu", 1)],
            "horizontalpodautoscalers": [autoscaler],
            "httproutes": [route()],
            "services": [
                {"metadata": {"name": name}, "spec": {"selector": {"app": name}}}
                for name in ("ranker-cpu", "ranker-gpu", "health")
            ],
        }
        found = items.get(plural, []) if namespace == "shop" else []
        return {"items": found, "metadata": {"resourceVersion": "1"}}, 200

    def prometheus(self, handler: Any) -> None:
        query = handler.form["query"]
        if self.refused_queries in query:
            body(json.dumps({"status": "error", "errorType": "bad_data"}), 422)(handler)
            return
        rows: list[dict[str, str]] = []
        if "__name__" in query:
            rows = [{"__name__": f"{name}_bucket"} for name in self.histograms]
        for name, edges in self.histograms.items():
            if f"{name}_bucket" in query:
                rows += [
                    {"namespace": "shop", "recmodel_pod_prefix": prefix, "le": le}
                    for prefix in ("ranker-cpu-", "ranker-gpu-")
                    for le in (*edges, "+Inf")
                ]
        success([{"metric": labels, "value": [time.time(), "1"]} for labels in rows])(handler)


def adopt(patch: pytest.MonkeyPatch, shop: Shop, *arguments: str) -> int:
    with shop.served() as (api, prometheus):

        async def load() -> Credentials:
            return Credentials(api, False, Configuration())

        patch.setattr(credentials, "load", load)
        return main(["adopt", *arguments, "--prometheus", prometheus])
