"""KEDA's external scaler over a real connection: what a client gets, what it cannot do, and what becomes of a port that cannot be had."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from builders.certificates import Authority
from builders.status_scene import SPEC, decision, tracked
from recmodel.controller.keda import externalscaler_pb2 as messages
from recmodel.controller.keda.listener import LIMITS, Listener, Place
from recmodel.controller.keda.service import NAME, Service
from recmodel.core.types import PoolDecision
from recmodel.report.snapshot import Snapshot

ROOT = Path(__file__).resolve().parents[3]
CPU = {"recModel": "feed", "pool": "cpu", "scalerAddress": "anything:9091"}
SECONDS = 20.0  # the longest that anything is waited for


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(what: Callable[[], Any]) -> Any:
    ends = time.monotonic() + SECONDS
    while not (found := what()):
        assert time.monotonic() < ends, "it never comes"
        time.sleep(0.01)
    return found


def feed(acting: int) -> Snapshot:
    found = replace(
        decision(), time_seconds=time.time(), pools={"cpu": PoolDecision(3, 1.0)}, acting_replicas={"cpu": acting}
    )
    return tracked(spec=SPEC.model_copy(update={"mode": "Recommend"}), decision=found).snapshot()


class Operator:
    """What the scaler knows of one."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {"shop/feed": feed(7)}
        self.acts = True  # in the namespace
        self.held = True  # the release's Lease
        self.told: list[str | None] = []
        self.counted: list[str] = []

    def look(self, key: str) -> Snapshot | None:
        found = self.models.get(key)
        if isinstance(found, Exception):
            raise found
        return found

    @contextmanager
    def listening(self, place: Place) -> Iterator[Listener]:
        service = Service(self.look, lambda namespace: self.acts, 60.0, self.counted.append)
        listener = Listener(place, service.handler(), lambda: self.held, self.told.append)
        listener.start()
        try:
            yield listener
        finally:
            listener.stop()
            assert not listener._thread.is_alive()


class Client:
    """KEDA's side of it."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def call(self, method: str, request: Any, answer: Any, **more: Any) -> Any:
        """The answer, or the status with its sentence."""
        called = self._channel.unary_unary(f"/{NAME}/{method}", type(request).SerializeToString, answer.FromString)
        try:
            return called(request, timeout=SECONDS, wait_for_ready=True, **more)
        except grpc.RpcError as error:
            return error.code(), error.details()

    def active(self, metadata: Mapping[str, str] = CPU, namespace: str = "shop") -> Any:
        found = self.call("IsActive", reference(metadata, namespace), messages.IsActiveResponse)
        return found if isinstance(found, tuple) else found.result

    def metrics(
        self, metadata: Mapping[str, str] = CPU, namespace: str = "shop", name: str = "recmodel-feed-cpu"
    ) -> Any:
        request = messages.GetMetricsRequest(scaledObjectRef=reference(metadata, namespace), metricName=name)
        found = self.call("GetMetrics", request, messages.GetMetricsResponse)
        return (
            found
            if isinstance(found, tuple)
            else [(v.metricName, v.metricValue, v.metricValueFloat) for v in found.metricValues]
        )

    def specification(self, metadata: Mapping[str, str] = CPU, namespace: str = "shop") -> Any:
        found = self.call("GetMetricSpec", reference(metadata, namespace), messages.GetMetricSpecResponse)
        return (
            found
            if isinstance(found, tuple)
            else [(s.metricName, s.targetSize, s.targetSizeFloat) for s in found.metricSpecs]
        )


def reference(metadata: Mapping[str, str], namespace: str) -> messages.ScaledObjectRef:
    return messages.ScaledObjectRef(name="ranker-cpu", namespace=namespace, scalerMetadata=dict(metadata))


@contextmanager
def served(operator: Operator | None = None) -> Iterator[tuple[Operator, Client, int]]:
    operator, port = operator or Operator(), free_port()
    with operator.listening(Place("127.0.0.1", port)), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        until(lambda: operator.told)
        yield operator, Client(channel), port


def test_keda_gets_the_decided_replicas_as_a_metric_with_the_target_one() -> None:
    with served() as (operator, client, _):
        assert client.specification() == [("recmodel-feed-cpu", 1, 1.0)]
        assert (client.active(), client.metrics()) == (True, [("recmodel-feed-cpu", 7, 7.0)])
        operator.models["shop/feed"] = feed(0)
        assert (client.active(), client.metrics()) == (False, [("recmodel-feed-cpu", 0, 0.0)])
        assert operator.counted == ["OK"] * 5
        assert operator.told[-1] is None


def test_what_is_not_known_is_an_error_on_which_keda_keeps_what_runs() -> None:
    with served() as (operator, client, _):
        undecided = {"shop/feed": tracked(decision=None).snapshot()}
        broken = {"shop/feed": KeyError("odd")}
        for models, acts, code, said in (
            ({}, True, grpc.StatusCode.NOT_FOUND, "the operator knows no RecModel shop/feed"),
            (undecided, True, grpc.StatusCode.UNAVAILABLE, "nothing was decided"),
            (broken, True, grpc.StatusCode.UNAVAILABLE, "its log says why"),
            ({"shop/feed": feed(7)}, False, grpc.StatusCode.UNAVAILABLE, "does not act in namespace shop"),
        ):
            operator.models, operator.acts = models, acts
            for found in (client.active(), client.metrics()):
                assert found[0] == code
                assert said in found[1]
            # From it KEDA makes its autoscaler, which must not go because a decision is late.
            assert client.specification() == [("recmodel-feed-cpu", 1, 1.0)]
        operator.acts = True
        assert client.active({**CPU, "pool": "gpu"}) == (
            grpc.StatusCode.NOT_FOUND,
            "RecModel shop/feed has no pool gpu; it has cpu",
        )


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"recModel": "feed"},
        {"pool": "cpu"},
        {**CPU, "recModel": "other/secret"},
        {**CPU, "recModel": "../other/secret"},
        {**CPU, "recModel": "feed\n"},
        {**CPU, "recModel": "é" * 4000},
        {**CPU, "pool": "CPU"},
        {**CPU, "pool": "c" * 64},
    ],
)
def test_metadata_that_are_no_names_are_refused_with_a_sentence(metadata: dict[str, str]) -> None:
    with served() as (operator, client, _):
        operator.models["other/secret"] = feed(9)
        for found in (client.active(metadata), client.metrics(metadata), client.specification(metadata)):
            assert found[0] == grpc.StatusCode.INVALID_ARGUMENT
            assert found[1].startswith("metadata.")
            assert len(found[1]) < 500


def test_the_namespace_is_the_scaled_objects_and_no_metadata_can_name_another() -> None:
    with served() as (operator, client, _):
        operator.models = {"other/feed": feed(9)}
        for key in ("namespace", "recModelNamespace", "scaledObjectNamespace"):
            assert client.metrics({**CPU, key: "other"})[0] == grpc.StatusCode.NOT_FOUND
        for namespace in ("", "other/feed", "Shop", "*"):
            assert client.metrics(namespace=namespace)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_nothing_is_pushed_and_that_is_said() -> None:
    with served() as (_, _client, port), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = channel.unary_stream(
            f"/{NAME}/StreamIsActive",
            messages.ScaledObjectRef.SerializeToString,
            messages.IsActiveResponse.FromString,
        )
        with pytest.raises(grpc.RpcError) as caught:
            list(stream(reference(CPU, "shop"), timeout=SECONDS, wait_for_ready=True))
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert "external-push" in caught.value.details()
        with pytest.raises(grpc.RpcError) as caught:  # of a later KEDA
            channel.unary_unary(f"/{NAME}/StreamMetricSpec")(b"", timeout=SECONDS)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_client_can_ask_for_too_much_and_the_next_one_is_answered() -> None:
    with served() as (_, client, port):
        assert client.metrics({**CPU, "rest": "x" * 100_000})[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert client.call(
            "IsActive", reference(CPU, "shop"), messages.IsActiveResponse, metadata=(("x", "y" * 20_000),)
        )[0] == grpc.StatusCode.RESOURCE_EXHAUSTED  # fmt: skip
        garbage = client._channel.unary_unary(f"/{NAME}/IsActive")
        with pytest.raises(grpc.RpcError):
            garbage(b"\xff" * 1000, timeout=SECONDS)
        with socket.create_connection(("127.0.0.1", port)) as odd:
            odd.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        assert client.active() is True


def test_calls_that_never_end_take_no_thread_and_keep_nobody_waiting() -> None:
    """A call that is opened and sends no message would hold a worker of a server with threads for ever."""
    most = dict(LIMITS)["grpc.max_concurrent_streams"]
    own = [("grpc.use_local_subchannel_pool", 1)]  # else the two channels would share their connection
    with served() as (_, client, port), grpc.insecure_channel(f"127.0.0.1:{port}", own) as channel:
        ends = threading.Event()

        def nothing() -> Iterator[bytes]:
            ends.wait(SECONDS)
            yield from ()

        unfinished = [
            channel.stream_unary(f"/{NAME}/IsActive").future(nothing(), wait_for_ready=True) for _ in range(most + 8)
        ]
        assert client.active() is True
        assert not any(call.done() for call in unfinished)
        ends.set()
        for call in unfinished:
            call.cancel()


def test_connections_are_limited_and_silent_ones_end() -> None:
    limit = dict(LIMITS)["grpc.max_allowed_incoming_connections"]
    with served() as (_, client, port):
        assert client.active() is True  # its connection stands
        found = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * limit)]

        def refused() -> int:
            count = 0
            for one in found:
                one.settimeout(0.001)
                try:
                    count += one.recv(100) == b""
                except TimeoutError:
                    pass
                except OSError:
                    count += 1
            return count

        until(lambda: refused() > limit)
        assert client.active() is True
        for one in found:
            one.close()


def test_it_listens_only_while_it_acts() -> None:
    """Of several pods behind one Service a client finds the one that acts, since the others refuse its connection."""
    operator = Operator()
    operator.held = False
    with served(operator) as (_, client, port):

        def listens() -> bool:
            with socket.socket() as found:
                return found.connect_ex(("127.0.0.1", port)) == 0

        until(lambda: operator.told)
        assert not listens()
        operator.held = True
        assert client.active() is True
        operator.held = False
        until(lambda: not listens())
        assert set(operator.told) == {None}


def test_a_port_that_another_process_has_is_told_and_taken_when_it_is_free(caplog: pytest.LogCaptureFixture) -> None:
    operator, port = Operator(), free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with operator.listening(Place("127.0.0.1", port)):
            until(lambda: operator.told)
            assert "Address already in use" in str(operator.told[0])
            assert f"KEDA's external scaler at 127.0.0.1:{port} cannot be served" in caplog.text
            other.close()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                assert Client(channel).active() is True
            until(lambda: operator.told[-1] is None)


def test_with_certificates_it_waits_for_them_takes_renewed_ones_and_may_want_the_clients(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    operator, port, authority = Operator(), free_port(), Authority(tmp_path / "authority")
    folder = tmp_path / "secret"
    folder.mkdir()
    with operator.listening(Place("127.0.0.1", port, folder, known_clients_only=True)):
        until(lambda: operator.told)
        assert f"{folder}/tls.key: No such file or directory; the Secret" in str(operator.told[0])

        def active(trusted: Authority, *pair: bytes) -> Any:
            credentials = grpc.ssl_channel_credentials(trusted.certificate, *pair)
            with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
                called = channel.unary_unary(
                    f"/{NAME}/IsActive",
                    messages.ScaledObjectRef.SerializeToString,
                    messages.IsActiveResponse.FromString,
                )
                try:
                    return called(reference(CPU, "shop"), timeout=SECONDS / 2).result
                except grpc.RpcError as error:
                    return error.code()

        def put(from_authority: Authority) -> None:
            key, certificate = from_authority.signed("localhost")
            (folder / "ca.crt").write_bytes(from_authority.certificate)
            (folder / "tls.crt").write_bytes(certificate)
            (folder / "tls.key").write_bytes(key)

        put(authority)
        pair = authority.signed("keda")
        until(lambda: active(authority, *pair) is True)
        assert active(authority) == grpc.StatusCode.UNAVAILABLE  # without a certificate of its own
        renewed = Authority(tmp_path / "renewed")
        put(renewed)
        until(lambda: active(renewed, *renewed.signed("keda")) is True)
        (folder / "tls.key").write_bytes(authority.signed("localhost")[0])
        until(lambda: operator.told[-1] is not None)  # key and certificate are not of each other
        assert "mismatch" in str(operator.told[-1]).lower()
        assert active(renewed, *renewed.signed("keda")) is True  # it goes on with those that it has
        assert "goes on with the certificates that it has" in caplog.text


def test_without_it_no_grpc_is_loaded_and_no_port_is_opened() -> None:
    loaded = "[m for m in sys.modules if m.startswith(('grpc', 'google.protobuf'))]"
    code = f"import sys, recmodel.controller.__main__, recmodel.cli; print({loaded})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == "[]"


def test_the_generated_code_is_that_of_the_protocol(tmp_path: Path) -> None:
    from grpc_tools import protoc

    package = "recmodel/controller/keda"
    given = ["protoc", f"-I{ROOT}/operator", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    assert protoc.main([*given, f"{ROOT}/operator/{package}/externalscaler.proto"]) == 0
    for name in ("externalscaler_pb2.py", "externalscaler_pb2.pyi"):
        assert (tmp_path / package / name).read_bytes() == (ROOT / "operator" / package / name).read_bytes(), (
            "run hack/proto.sh"
        )
