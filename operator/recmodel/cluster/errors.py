"""What can go wrong with the Kubernetes API. One small tree::

ClusterError                 anything below; the message says what was being done, and what the API said
+-- ApiUnavailable           no answer in time, 429 or 5xx, after the retries: worth another try later
+-- LeadershipLost           another operator may act: nothing more was sent, and nothing is wrong with the object
+-- ApiRefused               4xx: the same request would be refused again
    +-- NotFound             404: the object, or the kind
    +-- Conflict             409: somebody else owns the field, or the object changed
    +-- Gone                 410: the resource version is too old, list again
"""

from __future__ import annotations

from typing import Any

MESSAGE_CHARACTERS = 300  # an API server's message may hold a whole object; status and Events must stay short


class ClusterError(Exception):
    """Anything that the Kubernetes API did not do."""


class ApiUnavailable(ClusterError):
    """No answer, or none that counts."""


class LeadershipLost(ClusterError):
    """This process may not write here any more; what is to be done is another operator's work now."""


class ApiRefused(ClusterError):
    """The request is refused as it stands."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotFound(ApiRefused):
    """The object or its kind does not exist."""


class Conflict(ApiRefused):
    """Somebody else owns the field, or the object changed meanwhile."""


class Gone(ApiRefused):
    """The resource version is too old."""


_BY_STATUS = {404: NotFound, 409: Conflict, 410: Gone}


def refused(doing: str, status: int, answer: Any) -> ApiRefused:
    """The error of a 4xx answer: ``answer`` is the API's Status object, or whatever came."""
    said = answer.get("message", "") if isinstance(answer, dict) else str(answer)
    return _BY_STATUS.get(status, ApiRefused)(f"{doing}: HTTP {status}: {said[:MESSAGE_CHARACTERS]}", status)
