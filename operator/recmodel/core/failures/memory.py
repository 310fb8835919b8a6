"""What is kept of every pool to tell failures that more replicas do not cure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Floats, Ints
from recmodel.core.capacity.evidence import Evidence
from recmodel.core.failures import by_load
from recmodel.core.failures.by_load import Record


@dataclass(frozen=True)
class FailingMemory:
    """What is kept of every pool ``[M, P]``."""

    record: Record
    floor: Floats = field(metadata=axes("MP"))  # share that is bad at any load; 0: none
    failed: Floats = field(metadata=axes("MP"))  # of it what fails
    floor_ticks: Ints = field(metadata=axes("MP"))  # for which it stood
    retests: Ints = field(metadata=axes("MP"))  # in a row
    # bad in this pool alone: what was learned of it since is not what it carries when it is whole again
    broken: Bools = field(metadata=axes("MP"))
    late_before: Floats = field(metadata=axes("MP"))  # share that was late or failed a tick ago; NaN unknown
    rises: Bools = field(metadata=axes("MP"))  # it was more than two ticks ago
    quiet_ticks: Ints = field(metadata=axes("MP"))  # since more was bad than the objective allows
    from_replicas: Floats = field(metadata=axes("MP"))  # that the load needed when the trouble began; 0: there is none
    from_load: Floats = field(metadata=axes("MP"))  # requests/s of the model then
    # replicas that were not enough for the rest of the requests, of as large a load
    too_few: Floats = field(metadata=axes("MP"))
    from_known: Bools = field(metadata=axes("MP"))  # some load was known to be good then
    most_replicas: Ints = field(metadata=axes("MP"))  # ready at a time since
    doublings: Ints = field(metadata=axes("MP"))  # of the replicas, that are granted without a proof
    highest: Floats = field(metadata=axes("MP"))  # load per replica since
    higher: Floats = field(metadata=axes("MP"))  # the two loads per replica that were compared
    lower: Floats = field(metadata=axes("MP"))
    before: Evidence  # of the capacity, when the trouble began
    before_origin: Floats = field(metadata=axes("MP"))


def empty(evidence: Evidence) -> FailingMemory:
    """Nothing was seen. ``evidence`` is that of nothing."""
    shape = evidence.newest.shape
    zero, none = np.zeros(shape), np.zeros(shape, np.int64)
    return FailingMemory(
        record=by_load.empty(*shape),
        floor=zero,
        failed=zero.copy(),
        floor_ticks=none,
        retests=none.copy(),
        late_before=np.full(shape, np.nan),
        rises=np.zeros(shape, bool),
        broken=np.zeros(shape, bool),
        quiet_ticks=none.copy(),
        from_replicas=zero.copy(),
        from_load=zero.copy(),
        too_few=zero.copy(),
        from_known=np.zeros(shape, bool),
        most_replicas=none.copy(),
        doublings=none.copy(),
        highest=zero.copy(),
        higher=zero.copy(),
        lower=zero.copy(),
        before=evidence,
        before_origin=np.full(shape, np.nan),
    )
