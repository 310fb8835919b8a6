"""``python -m recmodel.controller``: the operator, in a pod or on a desk (``KUBECONFIG``), until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import kopf
from prometheus_client import start_http_server
from pydantic import ValidationError

from recmodel import __version__
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.client import Client
from recmodel.controller.decider import Decider
from recmodel.controller.handlers import register
from recmodel.controller.metrics import Metrics
from recmodel.controller.operator import Operator
from recmodel.controller.settings import Settings, from_environment
from recmodel.prometheus import PrometheusClient


def main() -> int:
    """Runs the operator; returns the process's exit code."""
    try:
        settings = from_environment(os.environ)
    except ValidationError as error:
        sys.stderr.write(f"the settings are not valid: {error}\n")
        return 2
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    # A line for each event of each object, and for each of the kubelet's questions, would hide what matters.
    for name in ("kopf.objects", "kopf.activities.probe", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    asyncio.run(run(settings))
    return 0


async def run(settings: Settings) -> None:
    """The operator, until it is stopped."""
    metrics = Metrics()
    prometheus = PrometheusClient(settings.connection())
    decider = Decider(
        prometheus, settings.gathering, settings.tick_seconds, settings.history_seconds, settings.history_step_seconds
    )
    client = Client(
        await credentials.load(),
        on_call=metrics.called,
        acts_per_second=settings.acts_per_second,
        acts_burst=settings.acts_burst,
        user_agent=f"recmodel/{__version__}",
    )
    operator = Operator(settings, client, decider, metrics)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.listen_address, registry=metrics.registry)
    scaler = None
    if settings.external_scaler_port:
        from recmodel.controller.keda.scaler import external_scaler  # gRPC is loaded only where it is asked for

        scaler = external_scaler(settings, operator, metrics)
        scaler.start()
    health = f"http://{settings.listen_address}:{settings.health_port}/healthz" if settings.health_port else None
    try:
        await kopf.operator(
            registry=register(operator),
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            liveness_endpoint=health,
        )
    finally:
        if scaler is not None:
            scaler.stop()
        prometheus.close()


if __name__ == "__main__":
    sys.exit(main())
