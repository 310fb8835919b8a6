"""Numbers as the Kubernetes API carries them: strings, since it has no floats. Parsed here, and nowhere else."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)$"
_DECIMAL = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"
_PERCENT = r"^[0-9]{1,2}(\.[0-9]{1,4})?%$"

Duration = Annotated[str, StringConstraints(pattern=_DURATION, max_length=16)]
Decimal = Annotated[str, StringConstraints(pattern=_DECIMAL, max_length=20)]
Percent = Annotated[str, StringConstraints(pattern=_PERCENT, max_length=8)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", min_length=1, max_length=200)]
VersionName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", min_length=1, max_length=63)
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", max_length=64)]
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", min_length=1, max_length=100)]


def seconds(duration: str) -> float:
    """The seconds of a duration such as ``100ms``, ``1.5s`` or ``2m``; ``ValueError`` on anything else. ``100ms`` is 0.1."""
    match = re.fullmatch(r"([0-9.]+)(ms|s|m|h)", duration)
    if not match:
        raise ValueError(f"{duration!r} is not a duration such as 100ms, 1.5s or 2m")
    return float(match[1]) * _SECONDS[match[2]]


def ratio(percent: str) -> float:
    """The ratio of a percentage such as ``1%``; ``ValueError`` on anything else. ``1%`` is 0.01."""
    if not percent.endswith("%"):
        raise ValueError(f"{percent!r} is not a percentage such as 1%")
    return float(percent[:-1]) / 100.0
