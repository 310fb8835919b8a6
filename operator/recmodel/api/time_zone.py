"""The owner's time zone and holidays: a name of the IANA database, how far its clocks are ahead of UTC, and dates.

The database is the one that the lock pins, never that of the machine: the same manifest means the same clocks everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

from recmodel.core.types import UTC, Calendar

FIRST_SECONDS, LAST_SECONDS = 0, 4_102_444_800  # 1970 to 2100; what lies outside goes by the nearest of them
EPOCH = date(1970, 1, 1).toordinal()
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


def _written(value: Any) -> Any:
    """YAML reads a date without quotes as one, and JSON has none."""
    return value.isoformat() if type(value) is date else value


def _is_a_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise PydanticCustomError("rule", "{rule}", {"rule": "must be a day of the calendar"}) from error
    return text


Day = Annotated[
    str,
    # Before what reads dates, or the schema would have no pattern.
    StringConstraints(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$", max_length=10),
    BeforeValidator(_written),
    AfterValidator(_is_a_day),
]


def days(dates: Sequence[str]) -> tuple[int, ...]:
    """Days since the epoch, in order: ``1970-01-02`` is 1."""
    return tuple(sorted(date.fromisoformat(text).toordinal() - EPOCH for text in dates))


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
