"""A load that follows the clocks of a time zone, as :mod:`zoneinfo` tells them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from recmodel.core.arrays.fleet import Floats

QUARTER_SECONDS = 900.0  # clocks change at one


def shown(zone: str, seconds: Floats) -> Floats:
    """What the clocks of a zone show at Unix times, as seconds since the epoch."""
    quarters, place = np.unique(np.floor(seconds / QUARTER_SECONDS), return_inverse=True)
    ahead = []
    for quarter in quarters:
        offset = datetime.fromtimestamp(float(quarter) * QUARTER_SECONDS, ZoneInfo(zone)).utcoffset()
        assert offset is not None
        ahead.append(offset.total_seconds())
    result: Floats = seconds + np.array(ahead)[place]
    return result


def rush(local_seconds: Floats) -> Floats:
    """Requests/s: from 60 to 460 at seven from Monday to Friday, to 300 at half past nine on other days, and back at night."""
    weekend = np.isin(local_seconds // 86400.0 % 7, (2, 3))  # the epoch began on a Thursday
    time = local_seconds % 86400.0
    morning = 1.0 / (1.0 + np.exp((np.where(weekend, 9.5, 7.0) * 3600.0 - time) / 1500.0))
    night = 1.0 / (1.0 + np.exp((time - 21.5 * 3600.0) / 2400.0))
    result: Floats = 60.0 + np.where(weekend, 240.0, 400.0) * morning * night
    return result


def at(zone: str, *local: int) -> float:
    """The Unix time of a local date and time, such as ``at("Europe/Berlin", 2026, 3, 29, 4)``."""
    return datetime(*local, tzinfo=ZoneInfo(zone)).timestamp()  # type: ignore[arg-type, misc]
