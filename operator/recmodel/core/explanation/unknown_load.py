"""Why the load of a model is unknown, in a sentence."""

from __future__ import annotations

from recmodel.core import reasons
from recmodel.core.arrays.observed import Observed
from recmodel.core.types import Reason


def why(seen: Observed, i: int, blind_seconds: float, expected: str | None) -> Reason:
    """Of model ``i``, whose load was known ``blind_seconds`` ago. ``expected``: what the forecast says; None before a load was known."""
    unreached = not seen.ready[i].any()
    if not unreached and not seen.requested[i]:
        return Reason(reasons.NO_REQUESTS_SEEN, "no request was counted yet: the load is unknown until one is")
    said = (
        "no request rate is known yet"
        if expected is None
        else f"the load has been unknown for {blind_seconds:.0f} s; {expected}"
    )
    if unreached:
        return Reason(reasons.NO_READY_POOL, f"no pool has a ready replica: {said}")
    return Reason(reasons.METRICS_MISSING, said)
