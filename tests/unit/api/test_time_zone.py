"""Time zones: every name of the database, the clocks that it stands for, and nothing of the machine's own database."""

from __future__ import annotations

import random
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from recmodel.api import time_zone
from recmodel.core.arrays.calendars import Calendars
from recmodel.core.types import UTC as NO_CALENDAR

NAMES: TypeAdapter[str] = TypeAdapter(time_zone.TimeZone)
ZONES = sorted(time_zone.names())


def test_every_name_of_the_database_is_taken() -> None:
    assert len(ZONES) > 500
    for name in ZONES:
        assert NAMES.validate_python(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "Mars/Phobos",
        "europe/berlin",
        "Europe/Berlin ",
        "../etc/passwd",
        "/UTC",
        "Europe",
        "Europe/",
        "+02:00",
        "Local",
        "",
        1,
        None,
    ],
)
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(ValidationError):
        NAMES.validate_python(name)


@pytest.fixture
def no_database() -> Iterator[None]:
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=())
    yield
    zoneinfo.reset_tzpath(to=before)


SOME = [
    "UTC", "Europe/Berlin", "Europe/Dublin", "Australia/Sydney", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Apia",
    "Africa/Casablanca", "America/Sao_Paulo", "America/St_Johns", "Pacific/Chatham", "Asia/Tehran", "Etc/GMT+5",
]  # fmt: skip


@pytest.mark.usefixtures("no_database")
@pytest.mark.parametrize("name", SOME)
def test_the_clocks_are_those_of_the_zone_to_the_second(name: str) -> None:
    zone, drawn = zoneinfo.ZoneInfo.no_cache(name), random.Random(name)
    found = time_zone.calendar(name)
    times = [drawn.uniform(time_zone.FIRST_SECONDS, time_zone.LAST_SECONDS) for _ in range(2000)]
    times += [since + step for since in found.since_seconds[1:] for step in (-1.0, 0.0)]
    shown = Calendars((found,)).local(np.array([times]))[0]
    for time, local in zip(times, shown, strict=True):
        offset = datetime.fromtimestamp(time, UTC).astimezone(zone).utcoffset()
        assert offset is not None
        assert local - time == pytest.approx(offset.total_seconds(), abs=1e-3)


def test_zones_without_an_offset_are_no_work_for_the_engine() -> None:
    assert time_zone.calendar("UTC") == time_zone.calendar("Etc/UTC") == NO_CALENDAR


@pytest.mark.usefixtures("no_database")
def test_an_image_without_a_time_zone_database_has_the_same_clocks() -> None:
    assert time_zone.calendar.__wrapped__("Europe/Berlin") == time_zone.calendar("Europe/Berlin")


def test_days_are_counted_since_the_epoch_and_may_stand_without_quotes_in_yaml() -> None:
    day: TypeAdapter[str] = TypeAdapter(time_zone.Day)
    for text in ("2026-12-25", '"2026-12-25"'):
        assert day.validate_python(yaml.safe_load(text)) == "2026-12-25"
    assert time_zone.days(["1970-01-02", "1970-01-01", "2026-12-25"]) == (0, 1, 20812)


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2025-02-29", "2026-13-01", "25.12.2026", "2026-12-25T00:00:00Z", "12-25", "", 2026]
)
def test_what_is_no_day_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(time_zone.Day).validate_python(text)
