"""What came of applying the children of a RecModel, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from recmodel.cluster.writing.drift import Child


@dataclass(frozen=True, slots=True)
class Failure:
    """A child that could not be brought to what is wanted, and why."""

    child: Child
    error: Exception
    serves: bool = True  # False: nothing that answers requests depends on it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of applying all children."""

    written: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    held: bool = False  # only pools that leave the spec serve: the route stays as it is
