"""The external scaler of one operator: what it knows, at its port."""

from __future__ import annotations

from pathlib import Path

from recmodel.controller.keda.listener import Listener, Place
from recmodel.controller.keda.service import Service
from recmodel.controller.metrics import Metrics
from recmodel.controller.operator import Operator
from recmodel.controller.settings import Settings
from recmodel.report.scaler_answer import oldest_seconds
from recmodel.report.snapshot import Snapshot


def external_scaler(settings: Settings, operator: Operator, metrics: Metrics) -> Listener:
    """Only the pod that acts for its release listens: of several behind one Service a client then finds that one."""

    def look(key: str) -> Snapshot | None:
        tracked = operator.reconciler.models.get(key)
        return tracked.snapshot() if tracked is not None else None

    def acts(namespace: str) -> bool:
        return operator.claims is None or operator.claims.acts(namespace)

    def count(code: str) -> None:
        metrics.scaler_answers.labels(code).inc()

    def told(problem: str | None) -> None:
        metrics.scaler_failed.set(problem is not None)

    folder = settings.external_scaler_certificates
    place = Place(
        settings.listen_address,
        settings.external_scaler_port,
        Path(folder) if folder is not None else None,
        settings.external_scaler_known_clients,
    )
    handler = Service(look, acts, oldest_seconds(settings.tick_seconds), count).handler()
    return Listener(place, handler, lambda: operator.lease is None or operator.lease.held, told)
