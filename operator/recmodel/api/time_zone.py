"""The owner's time zone: a name of the IANA database, and how far its clocks are ahead of UTC.

The database is the one that the lock pins, never that of the machine: the same manifest means the same clocks everywhere.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from recmodel.core.types import UTC, Calendar

FIRST_SECONDS, LAST_SECONDS = 0, 4_102_444_800  # 1970 to 2100; what lies outside goes by the nearest of them
LOOK_SECONDS = 7 * 86400  # no clocks change and change back within a week


@cache
def names() -> frozenset[str]:
    """All names, old ones among them: ``Europe/Berlin``, ``Asia/Calcutta``, ``UTC``."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def _known(name: str) -> str:
    if name not in names():
        rule = "must be a name of the IANA time zone database, such as Europe/Berlin or UTC"
        raise PydanticCustomError("rule", "{rule}", {"rule": rule})
    return name


# The API server knows only the form of a name: which names there are changes with each year's database.
TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][-+A-Za-z0-9_]*(/[A-Za-z][-+A-Za-z0-9_]*)*$", min_length=1, max_length=64),
    AfterValidator(_known),
]


@cache
def calendar(name: str) -> Calendar:
    """What the clocks of a time zone show: for ``Asia/Kolkata`` five and a half hours more than UTC at all times."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        zone = ZoneInfo.from_file(file, key=name)

    def ahead(seconds: int) -> float:
        offset = datetime.fromtimestamp(seconds, zone).utcoffset()
        return 0.0 if offset is None else offset.total_seconds()

    changes = {FIRST_SECONDS: ahead(FIRST_SECONDS)}
    for before, after in pairwise(range(FIRST_SECONDS, LAST_SECONDS + 1, LOOK_SECONDS)):
        if ahead(before) == ahead(after):
            continue
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (middle, after) if ahead(middle) == ahead(before) else (before, middle)
        changes[after] = ahead(after)
    if set(changes.values()) == {0.0}:
        return UTC
    return Calendar(tuple(map(float, changes)), tuple(changes.values()))
