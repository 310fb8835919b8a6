"""What can go wrong with the Kubernetes API. One small tree::

ClusterError                 anything below; the message says what was being done, and what the API said
+-- ApiUnavailable           no answer in time, 429 or 5xx, after the retries: worth another try later
+-- Rewound                  the API server's resource versions went back, as after a restore of etcd: list again
+-- LeadershipLost           another operator may act: nothing more was sent, and nothing is wrong with the object
+-- ApiRefused               the same request would be refused again: 4xx, and the 5xx that are about the request
    +-- NotFound             404: the object, or the kind
    +-- Conflict             409: somebody else owns the field, or the object changed
    +-- Gone                 410: the resource version is too old, list again
+-- NameTaken                an object with a child's name belongs to somebody else
+-- Unreadable               an object is not as its kind says
"""

from __future__ import annotations

from typing import Any

SENTENCE_CHARACTERS = 1500  # an API server's message may hold a whole object; a condition must stay readable
PAGE_CHARACTERS = 200  # of an answer that is no Status object, such as a proxy's page
# Sentences of the API server's own code about the request or the object, which come with HTTP 500; and a webhook's refusal, which
# comes with whatever status the webhook chose.
_ABOUT_THE_REQUEST = (
    "failed to create typed patch object", "failed to convert new object", "failed to create manager for existing fields",
    "field not declared in schema", "unable to convert unstructured object", "denied the request",
    "the spec replicas field", "accessor error",  # what a custom resource holds where its scale is read
)  # fmt: skip
_IN_TROUBLE = (
    "etcd", "timed out", "request timeout", "deadline exceeded", "context canceled", "connection refused",
    "connection reset", "connection error", "unavailable", "leader changed", "no leader", "rpc error", "unexpected eof",
    "no space", "too many requests", "try again", "tls handshake", "dial tcp", "shutting down",
)  # fmt: skip


# Statuses of an ApiUnavailable that are about the API server, not about the object; None is no answer at all.
SERVER_IN_TROUBLE = (None, 429, 502, 503)


class ClusterError(Exception):
    """Anything that the Kubernetes API did not do."""


class ApiUnavailable(ClusterError):
    """No answer, or none that counts. ``status`` is that of the last answer; None where there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Rewound(ClusterError):
    """The API server is at a lower resource version than it was before."""


class LeadershipLost(ClusterError):
    """This process may not write here any more; what is to be done is another operator's work now."""


class ApiRefused(ClusterError):
    """The request is refused as it stands. ``said`` is the API's own sentence."""

    def __init__(self, message: str, status: int, said: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.said = said or message


class NotFound(ApiRefused):
    """The object or its kind does not exist."""


class Conflict(ApiRefused):
    """Somebody else owns the field, or the object changed meanwhile."""


class Gone(ApiRefused):
    """The resource version is too old."""


class NameTaken(ClusterError):
    """An object with a child's name exists and belongs to somebody else: it is left alone."""


class Unreadable(ClusterError):
    """An object is not as its kind says: the message names the object, the field, the value and the rule."""


_BY_STATUS = {404: NotFound, 409: Conflict, 410: Gone}


def refused(doing: str, status: int, answer: Any) -> ApiRefused:
    """The error of an answer that refuses: ``answer`` is the API's Status object, or whatever came."""
    said = sentence(answer)
    return _BY_STATUS.get(status, ApiRefused)(f"{doing}: HTTP {status}: {said}", status, said)


def refuses(status: int, answer: Any, before: Any = None) -> bool:
    """Whether an answer is about this very request, so that sending it again would end the same; ``before`` is the answer to
    the attempt before this one.

    A 5xx says so where its sentence is one that the API server has for a request that it cannot take (a field that the
    schema does not know, a value of the wrong type), or a webhook's refusal. A server in trouble gives a reason
    (``InternalError``, ``ServiceUnavailable``, ``Timeout``) or names the trouble. In doubt, a second attempt decides: the
    same sentence twice is about the request.
    """
    if 400 <= status < 500 and status != 429:
        return True
    if not isinstance(answer, dict) or status < 400:
        return False
    said = str(answer.get("message") or "")
    if any(words in said for words in _ABOUT_THE_REQUEST):
        return True
    in_trouble = any(words in said.lower() for words in _IN_TROUBLE)
    in_doubt = status == 500 and answer.get("kind") == "Status" and bool(said) and not answer.get("reason")
    return in_doubt and not in_trouble and answer == before


def sentence(answer: Any) -> str:
    """What an answer says, in one piece."""
    if isinstance(answer, dict):
        return shortened(" ".join(str(answer.get("message") or "").split()), SENTENCE_CHARACTERS)
    return shortened(" ".join(str(answer or "").split()), PAGE_CHARACTERS)


def shortened(text: str, characters: int) -> str:
    """At most so many characters: what is too long loses its middle, as the API names the object first and the rule last."""
    if len(text) <= characters:
        return text
    head = characters * 2 // 3
    return f"{text[:head]} ... {text[len(text) - (characters - head - 5) :]}"


def heals_slowly(error: Exception) -> bool:
    """Whether somebody has to do something first (a quota, a CRD, a name), so that trying soon again is no use."""
    return isinstance(error, ApiRefused | NameTaken | Unreadable)


def known(error: Exception) -> bool:
    """Whether it is the cluster's word, and no fault of this program."""
    return isinstance(error, ClusterError)
