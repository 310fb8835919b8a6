"""The methods of KEDA's external scaler: which pool a ScaledObject asks for, and what it is told of it.

The metric of a pool is the number of replicas that it is to have, and its target is an average of 1 for each replica: so KEDA's
HorizontalPodAutoscaler computes that very number. What is not known is answered with an error, on which KEDA and the autoscaler keep
what runs.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from recmodel.cluster.transport.errors import shortened
from recmodel.controller.keda import externalscaler_pb2 as messages
from recmodel.report.scaler_answer import Withheld, answer
from recmodel.report.snapshot import Snapshot

logger = logging.getLogger(__name__)

NAME = "externalscaler.ExternalScaler"
MODEL_KEY, POOL_KEY = "recModel", "pool"  # of the trigger's metadata
MESSAGE_CHARACTERS = 1024
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Refusal(Exception):
    """Why a call has no answer, with the gRPC status that it gets instead."""

    def __init__(self, code: Any, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Asked:
    """The pool that a call is about."""

    namespace: str
    model: str
    pool: str

    @property
    def key(self) -> str:
        """``namespace/name`` of the RecModel."""
        return f"{self.namespace}/{self.model}"

    @property
    def metric(self) -> str:
        """The name that the autoscaler's metric gets, after KEDA's ``s0-``."""
        return f"recmodel-{self.model}-{self.pool}"


def asked(reference: messages.ScaledObjectRef) -> Asked:
    """What a ScaledObject asks for. Its namespace is KEDA's word, and no metadata can name another one."""
    metadata = reference.scalerMetadata
    for what, text, form in (
        ("the namespace of the ScaledObject", reference.namespace, _LABEL),
        (f"metadata.{MODEL_KEY} of the trigger", metadata.get(MODEL_KEY, ""), _NAME),
        (f"metadata.{POOL_KEY} of the trigger", metadata.get(POOL_KEY, ""), _LABEL),
    ):
        if not text:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"{what} is missing")
        if not form.fullmatch(text):
            raise Refusal(
                grpc.StatusCode.INVALID_ARGUMENT, f"{what} is no name of an object in Kubernetes: {text[:80]!r}"
            )
    return Asked(reference.namespace, metadata[MODEL_KEY], metadata[POOL_KEY])


class Service:
    """It only reads, in a thread of its own: what ``look`` returns is frozen, and its parts are replaced whole."""

    def __init__(
        self,
        look: Callable[[str], Snapshot | None],
        acts: Callable[[str], bool],
        oldest_seconds: float,
        count: Callable[[str], None],
    ) -> None:
        self._look = look  # by "namespace/name"; None: there is no such RecModel
        self._acts = acts  # in a namespace
        self._oldest_seconds = oldest_seconds
        self._count = count  # an answer, by its gRPC status

    def handler(self) -> Any:
        """For ``grpc.aio.Server.add_generic_rpc_handlers``. A method that is not here is answered with UNIMPLEMENTED."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        read = messages.ScaledObjectRef.FromString
        methods: Mapping[str, Any] = {
            "IsActive": unary(self._answering(self._active), read, messages.IsActiveResponse.SerializeToString),
            "GetMetricSpec": unary(
                self._answering(self._specification), read, messages.GetMetricSpecResponse.SerializeToString
            ),
            "GetMetrics": unary(
                self._answering(self._metrics),
                messages.GetMetricsRequest.FromString,
                messages.GetMetricsResponse.SerializeToString,
            ),
            "StreamIsActive": stream(_no_stream, read, messages.IsActiveResponse.SerializeToString),
        }
        return grpc.method_handlers_generic_handler(NAME, methods)

    def _answering(self, method: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        async def answering(request: Any, context: Any) -> Any:
            try:
                found = method(request)
            except Refusal as refusal:
                code, message = refusal.code, str(refusal)
            except Exception:
                logger.exception("a call of KEDA's external scaler failed")
                code, message = grpc.StatusCode.UNAVAILABLE, "the operator failed to answer: its log says why"
            else:
                self._count(grpc.StatusCode.OK.name)
                return found
            self._count(code.name)
            return await context.abort(code, shortened(message, MESSAGE_CHARACTERS))

        return answering

    def _active(self, request: messages.ScaledObjectRef) -> messages.IsActiveResponse:
        return messages.IsActiveResponse(result=self._replicas(asked(request)) > 0)

    def _specification(self, request: messages.ScaledObjectRef) -> messages.GetMetricSpecResponse:
        """The same whatever is known of the pool: KEDA makes its autoscaler from it, which must not depend on a decision."""
        spec = messages.MetricSpec(metricName=asked(request).metric, targetSize=1, targetSizeFloat=1.0)
        return messages.GetMetricSpecResponse(metricSpecs=[spec])

    def _metrics(self, request: messages.GetMetricsRequest) -> messages.GetMetricsResponse:
        found = asked(request.scaledObjectRef)
        replicas = self._replicas(found)
        value = messages.MetricValue(metricName=found.metric, metricValue=replicas, metricValueFloat=float(replicas))
        return messages.GetMetricsResponse(metricValues=[value])

    def _replicas(self, found: Asked) -> int:
        if not self._acts(found.namespace):
            raise Refusal(
                grpc.StatusCode.UNAVAILABLE,
                f"this operator does not act in namespace {found.namespace}: another one does, or none yet",
            )
        snapshot = self._look(found.key)
        if snapshot is None:
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"the operator knows no RecModel {found.key}")
        told = answer(snapshot, found.pool, time.time(), self._oldest_seconds)
        if isinstance(told, Withheld):
            code = grpc.StatusCode.NOT_FOUND if told.missing else grpc.StatusCode.UNAVAILABLE
            raise Refusal(code, told.message)
        return told


async def _no_stream(_: Any, context: Any) -> None:
    await context.abort(
        grpc.StatusCode.UNIMPLEMENTED, "nothing is pushed: the trigger's type must be external, not external-push"
    )
