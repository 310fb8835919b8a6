"""kopf: it starts and stops the operator, handles signals and answers the kubelet. Thin: call one function.

No handler of kopf's is for an object. Its change handlers would write an annotation of the whole spec into each RecModel,
its timers and daemons a finalizer, which would keep RecModels from being deleted while the operator is down; children
go by owner references instead. Why its event handlers do not bring the RecModels: docs/decisions/0002.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import Any

import kopf

from recmodel.api.v1alpha1 import GROUP
from recmodel.cluster.transport.watch import backoff_seconds
from recmodel.controller.operator import Operator

logger = logging.getLogger(__name__)

SERVER_WATCH_SECONDS, CLIENT_WATCH_SECONDS, CONNECT_SECONDS, REQUEST_SECONDS = 600, 660, 10, 30


class Unending:
    """Pauses between kopf's attempts at a call, for ever. Its own end after 54 s, and the process with them, where the API
    server is away or hides what kinds it has while the operator starts.
    """

    def __iter__(self) -> Iterator[float]:
        return map(backoff_seconds, itertools.count(1))


def configure(settings: kopf.OperatorSettings) -> None:
    """Time limits on every call, no Events of kopf's own, nothing kept in the objects."""
    settings.watching.server_timeout = SERVER_WATCH_SECONDS
    settings.watching.client_timeout = CLIENT_WATCH_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.networking.connect_timeout = CONNECT_SECONDS
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = Unending()
    settings.posting.enabled = False
    settings.queueing.worker_limit = 50
    settings.execution.max_workers = 4
    settings.scanning.disabled = True  # neither CRDs nor namespaces are watched, so no right to them is needed
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = 5.0
    settings.persistence.finalizer = f"{GROUP}/never-set"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)


def register(operator: Operator) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await operator.start()

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await operator.stop()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.probe(id="ticking", registry=registry)
    async def ticking(**_: Any) -> bool:
        if illness := operator.illness:
            raise kopf.PermanentError(illness)
        return True

    return registry
