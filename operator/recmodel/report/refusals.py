"""What could not be done for a RecModel, as one reason for its status: each refusal named, with the API's own sentence."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from recmodel.cluster import names
from recmodel.cluster.transport.errors import ApiRefused, ClusterError, NameTaken, NotFound, Unreadable, shortened
from recmodel.cluster.writing.drift import Child
from recmodel.cluster.writing.outcome import Failure
from recmodel.core.types import Reason
from recmodel.report.way_out import with_way_out

NAME_TAKEN = "NameTaken"
API_REFUSED = "ApiRefused"
API_UNAVAILABLE = "ApiUnavailable"
UNREADABLE_OBJECT = "UnreadableObject"
INTERNAL_ERROR = "InternalError"
FIELDS_OVERWRITTEN = "FieldsOverwritten"

# By kind, what installs its CRD.
_BROUGHT = {names.ROUTE: "The Gateway API 1.0 or later", names.GRPC_ROUTE: "The Gateway API 1.1 or later"}

NAMED_AT_MOST = 5
CHARACTERS = 3000  # all together: half of what fits into a condition


def apart(
    namespace: str, failures: Sequence[Failure], errors: Sequence[Exception]
) -> tuple[Reason | None, Reason | None]:
    """What concerns serving, and what does not: a PodMonitor, a budget, the Job, what is left to be deleted."""
    serving = [failure for failure in failures if failure.serves]
    others = [failure for failure in failures if not failure.serves]
    return (
        joined(namespace, serving, errors) if serving or errors else None,
        joined(namespace, others) if others else None,
    )


def joined(namespace: str, failures: Sequence[Failure], errors: Sequence[Exception] = ()) -> Reason:
    """One reason for all of them, the first one's; at most five are named, each once."""
    refused = [(failure.error, _of_child(namespace, failure)) for failure in failures]
    refused += [(error, with_way_out(str(error) or type(error).__name__, error)) for error in errors]
    # The way to the replicas and weights meets what was refused of the children a moment before: it is said once.
    named: dict[str, str] = {}
    for error, sentence in refused:
        named.setdefault(str(error), sentence)
    sentences = list(named.values())
    shown, more = sentences[:NAMED_AT_MOST], len(sentences) - NAMED_AT_MOST
    each = CHARACTERS // len(shown)
    said = "; ".join(shortened(sentence, each) for sentence in shown) + (f"; and {more} more" if more > 0 else "")
    return Reason(_reason(refused[0][0]), said)


def overwritten(children: Collection[Child], managers: Sequence[str]) -> Reason:
    """Fields of these children that are put back and changed again, by these field managers where they are known."""
    who = f"the field manager {' and '.join(managers)}" if managers else "somebody"
    return Reason(
        FIELDS_OVERWRITTEN,
        f"{who} keeps changing {named(children)}: put back again and again, at most once a minute by now; "
        "have it leave the fields of this operator alone, or change the RecModel instead",
    )


def named(children: Collection[Child]) -> str:
    """Kinds and names, at most three of them."""
    shown = sorted(f"{kind.kind} {name}" for kind, name in children)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def _of_child(namespace: str, failure: Failure) -> str:
    kind, name = failure.child
    error, where = failure.error, f"{kind.kind} {namespace}/{name}"
    if isinstance(error, NameTaken | Unreadable):
        return str(error)
    if isinstance(error, NotFound):
        brought = f" {_BROUGHT[kind]} has it" if kind in _BROUGHT else ""
        return f"{where}: HTTP 404: {error.said}: is the CRD of {kind.kind} ({kind.group_version}) installed?{brought}"
    if isinstance(error, ApiRefused):
        return with_way_out(f"{where} is refused: HTTP {error.status}: {error.said}", error)
    return with_way_out(f"{where}: {str(error) or type(error).__name__}", error)


def _reason(error: Exception) -> str:
    if isinstance(error, NameTaken):
        return NAME_TAKEN
    if isinstance(error, Unreadable):
        return UNREADABLE_OBJECT
    if isinstance(error, ApiRefused):
        return API_REFUSED
    return API_UNAVAILABLE if isinstance(error, ClusterError) else INTERNAL_ERROR
