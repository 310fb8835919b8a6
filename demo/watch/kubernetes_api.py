"""Reads of the Kubernetes API as plain dictionaries, each with a time limit. The demo writes nothing through it."""

from __future__ import annotations

import json
from typing import Any

from kubernetes import config
from kubernetes.client.exceptions import ApiException

TIMEOUT_SECONDS = (2.0, 5.0)  # connect, read


class KubernetesApi:
    """The API server of the kubeconfig in force."""

    def __init__(self) -> None:
        self._client = config.new_client_from_config()  # type: ignore[no-untyped-call]

    def get(self, path: str) -> dict[str, Any]:
        """The object or list at ``path``. Raises ``NotAnswered``."""
        request = self._client.param_serialize("GET", path, auth_settings=["BearerToken"])
        try:
            response = self._client.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
            body = response.read()
        except (ApiException, OSError) as error:
            raise NotAnswered(f"GET {path}: {error}") from error
        except Exception as error:  # urllib3 raises many kinds; all of them mean that there is no answer
            if type(error).__module__.startswith("urllib3"):
                raise NotAnswered(f"GET {path}: {error}") from error
            raise
        if response.status != 200:
            raise NotAnswered(f"GET {path}: status {response.status}")
        return dict(json.loads(body))

    def items(self, path: str) -> list[dict[str, Any]]:
        """The items of the list at ``path``."""
        return list(self.get(path)["items"])


class NotAnswered(Exception):
    """The API server refused the request, or did not answer in time."""
