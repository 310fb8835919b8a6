"""The API server, for the tests: plain dictionaries over the kubeconfig in force, and waiting with a deadline."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import requests
from kubernetes import config
from kubernetes.client import Configuration

from recmodel.cluster.names import Kind

Object = dict[str, Any]
Value = TypeVar("Value")

NAMESPACE = Kind("Namespace", "v1", "namespaces")
CONFIG_MAP = Kind("ConfigMap", "v1", "configmaps")
NODE = Kind("Node", "v1", "nodes")
FIELD_MANAGER = "recmodel-tests"
CALL_SECONDS = 30.0


def eventually(what: str, look: Callable[[], Value], seconds: float, every_seconds: float = 0.25) -> Value:
    """The first result of ``look`` that is not falsy; AssertionError, with the last failure, after ``seconds``."""
    deadline = time.monotonic() + seconds
    problem = ""
    while True:
        try:
            if found := look():
                return found
            problem = f"last seen: {found!r}"
        except AssertionError as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; {problem}")
        time.sleep(every_seconds)


def throughout(seconds: float, look: Callable[[], None], every_seconds: float = 0.5) -> None:
    """Calls ``look``, which asserts, all along."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        look()
        time.sleep(every_seconds)


class Refused(Exception):
    """A 4xx answer: ``status`` and the API's message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Event:
    """One event of a watch, and when it came here (monotonic clock)."""

    at: float
    type: str
    object: Object


class Kube:
    """One connection. Every call has a time limit; 404 is None where something is read, else ``Refused``."""

    def __init__(self) -> None:
        self._configuration = Configuration()
        config.load_kube_config(client_configuration=self._configuration)
        self._session = self._new_session()

    def _new_session(self) -> requests.Session:
        session, found = requests.Session(), self._configuration
        session.verify = found.ssl_ca_cert or bool(found.verify_ssl)
        if found.cert_file:
            session.cert = (found.cert_file, found.key_file)
        key = found.get_api_key_with_prefix("authorization") or found.get_api_key_with_prefix("BearerToken")
        if key:
            session.headers["Authorization"] = key
        session.trust_env = False  # neither a proxy nor other certificates between here and the API server
        return session

    def close(self) -> None:
        """Ends the connection."""
        self._session.close()

    def call(self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str) -> str:
        """One request; the answer's text."""
        data = None if body is None else json.dumps(body)
        answer = self._session.request(
            method, self._configuration.host + path, params=query, data=data, headers={"Content-Type": content},
            timeout=CALL_SECONDS,
        )  # fmt: skip
        if answer.status_code >= 400:
            try:
                message = answer.json()["message"]
            except (ValueError, KeyError):
                message = answer.text
            raise Refused(answer.status_code, message)
        return answer.text

    def find(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """One object, or None."""
        try:
            return dict(json.loads(self.call("GET", kind.path(namespace, name))))
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """One object that must be there."""
        found = self.find(kind, namespace, name)
        assert found is not None, f"no {kind.kind} {namespace}/{name}"
        return found

    def list(self, kind: Kind, namespace: str | None, labels: str = "") -> list[Object]:
        """All with these labels."""
        return list(json.loads(self.call("GET", kind.path(namespace), labelSelector=labels))["items"])

    def create(self, kind: Kind, namespace: str | None, body: Object, dry_run: bool = False) -> Object:
        """Creates it, unknown fields refused as kubectl does."""
        query = {"fieldValidation": "Strict", "fieldManager": FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        return dict(json.loads(self.call("POST", kind.path(namespace), body, **query)))

    def apply(self, kind: Kind, body: Object, field_manager: str = FIELD_MANAGER) -> Object:
        """Server-side apply, unknown fields refused, as a dry run."""
        path = kind.path(body["metadata"]["namespace"], body["metadata"]["name"])
        query = {"fieldValidation": "Strict", "fieldManager": field_manager, "force": "true", "dryRun": "All"}
        return dict(json.loads(self.call("PATCH", path, body, "application/apply-patch+yaml", **query)))

    def merge(
        self, kind: Kind, namespace: str | None, name: str, patch: Object, subresource: str | None = None
    ) -> Object:
        """A merge patch, unknown fields refused as kubectl does."""
        path = kind.path(namespace, name, subresource)
        text = self.call(
            "PATCH", path, patch, "application/merge-patch+json", fieldValidation="Strict", fieldManager=FIELD_MANAGER
        )
        return dict(json.loads(text))

    def json_patch(self, kind: Kind, namespace: str | None, name: str, patch: list[Object]) -> Object:
        """A JSON patch."""
        path = kind.path(namespace, name)
        text = self.call("PATCH", path, patch, "application/json-patch+json", fieldManager=FIELD_MANAGER)
        return dict(json.loads(text))

    def delete(self, kind: Kind, namespace: str | None, name: str, grace_seconds: int | None = None) -> None:
        """Deletes it if it is there."""
        body: Object = {"propagationPolicy": "Background"}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        with contextlib.suppress(Refused):
            self.call("DELETE", kind.path(namespace, name), body)

    def log(self, namespace: str, pod: str) -> str:
        """What a pod has printed."""
        return self.call("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log")

    def proxied(self, namespace: str, pod: str, port: int, path: str) -> str:
        """A page of a pod, through the proxy of the API server."""
        return self.call("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}")

    @contextlib.contextmanager
    def watching(self, kind: Kind, namespace: str, labels: str = "") -> Iterator[list[Event]]:
        """The events of a kind from now on, in a list that grows while the block runs."""
        events: list[Event] = []
        listed = json.loads(self.call("GET", kind.path(namespace), labelSelector=labels))
        session = self._new_session()
        query = {"watch": "1", "labelSelector": labels, "resourceVersion": listed["metadata"]["resourceVersion"]}
        answer = session.get(
            self._configuration.host + kind.path(namespace), params=query | {"timeoutSeconds": "600"}, stream=True,
            timeout=(CALL_SECONDS, 620.0),
        )  # fmt: skip
        answer.raise_for_status()

        def read() -> None:
            with contextlib.suppress(requests.RequestException, AttributeError, ValueError, OSError):
                for line in answer.iter_lines(chunk_size=None):
                    if line:
                        event = json.loads(line)
                        events.append(Event(time.monotonic(), event["type"], event["object"]))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield events
        finally:
            # A blocked read does not notice that its connection is closed here, so the socket itself is shut down.
            with contextlib.suppress(OSError, AttributeError):
                answer.raw._fp.fp.raw._sock.shutdown(2)
            reader.join(10.0)
            answer.close()
            session.close()


def run(*command: str, seconds: float = 120.0) -> str:
    """A command's standard output; AssertionError with what it said where it fails."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert result.returncode == 0, f"{' '.join(command)}: {result.stderr or result.stdout}"
    return result.stdout
