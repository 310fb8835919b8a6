"""Numbers as the Kubernetes API carries them: mostly strings, since it has no floats. Parsed here, and nowhere else."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from pydantic import StringConstraints

from recmodel.api.strict import IntegerOrText, NumberOrText, Rule

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)$"
_DECIMAL = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"
_PERCENT = r"^[0-9]{1,2}(\.[0-9]{1,4})?%$"
_QUANTITY = r"^\+?([0-9]{1,18}(\.[0-9]{0,9})?|\.[0-9]{1,9})([KMGTPE]i|[numkMGTPE]|[eE][-+]?(0?[0-9]|1[0-8]))?$"
_DIVISOR = r"^(0|1([mkMGTPE]|[KMGTPE]i)?)$"
_PERCENTILE = r"^[5-9][0-9](\.[0-9])?$"
_UNITS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(1000),
} | {
    letter + binary: Fraction(1024 if binary else 1000) ** power
    for power, letter in enumerate("KMGTPE", start=1)
    for binary in ("", "i")
    if letter + binary != "K"
}

Duration = Annotated[str, StringConstraints(pattern=_DURATION, max_length=16)]
Decimal = Annotated[str, StringConstraints(pattern=_DECIMAL, max_length=20)]
Percent = Annotated[str, StringConstraints(pattern=_PERCENT, max_length=8)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)]
Quantity = Annotated[str, NumberOrText(_QUANTITY, 0, 1e18)]
Divisor = Annotated[int | str, IntegerOrText(_DIVISOR, 3, 0, 1)]
Percentile = Annotated[str, NumberOrText(_PERCENTILE, 50, 99.9)]
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


def amount(quantity: str) -> float:
    """The amount of a Kubernetes quantity in its base unit; ``ValueError`` on anything else. ``500m`` is 0.5, ``1Ki`` is 1,024."""
    return float(exact(quantity))


def exact(quantity: str) -> Fraction:
    """The same without rounding, to compare by: two spellings of one amount, such as ``9m`` and ``0.009``, are the same number,
    and two amounts that differ by one byte are not.
    """
    match = re.fullmatch(r"\+?([0-9.]+(?:[eE][-+]?[0-9]+)?)([a-zA-Z]{0,2})", quantity)
    if not match or match[2] not in _UNITS:
        raise ValueError(f"{quantity!r} is not a quantity such as 500m, 2 or 1.5Gi")
    return Fraction(match[1]) * _UNITS[match[2]]


def at_most(longest: str, above_zero: bool = True) -> Rule:
    """A duration of at most ``longest``, above zero unless that makes sense."""
    least = "duration(self) > duration('0s') && " if above_zero else ""
    return Rule(
        f"{least}duration(self) <= duration('{longest}')",
        f"must be above 0 and at most {longest}" if above_zero else f"must be at most {longest}",
        lambda duration: (seconds(duration) > 0.0 or not above_zero) and seconds(duration) <= seconds(longest),
    )


ABOVE_ZERO = Rule(
    "double(self.replace('%', '')) > 0.0",
    "must be above 0%, as no two measurements are the same",
    lambda percent: ratio(percent) > 0.0,
)


A_SHARE_OF_MINUTES = Rule(
    "double(self.replace('%', '')) >= 0.01 && double(self.replace('%', '')) <= 10.0",
    "must be 0.01% (one minute a week) to 10%",
    lambda percent: 0.01 <= float(percent[:-1]) <= 10.0,
)


def ratio(percent: str) -> float:
    """The ratio of a percentage such as ``1%``; ``ValueError`` on anything else. ``1%`` is 0.01."""
    if not percent.endswith("%"):
        raise ValueError(f"{percent!r} is not a percentage such as 1%")
    return float(percent[:-1]) / 100.0
