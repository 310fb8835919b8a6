"""The words of PromQL: values, matchers, selectors, durations and sums of rates, escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from recmodel.prometheus.profile import Profile, Selector

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\0": r"\x00"})
_REGEX_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def quoted(value: str) -> str:
    """``value`` as a PromQL string. ``say "hi"`` is ``"say \\"hi\\""``."""
    return f'"{value.translate(_ESCAPES)}"'


def literal(value: str) -> str:
    """A regular expression (RE2, as Prometheus has it) that matches ``value`` alone. ``a.b`` is ``a\\.b``."""
    return _REGEX_SPECIAL.sub(lambda match: "\\" + match[0], value)


def any_of(values: Iterable[str]) -> str:
    """A matcher for one of ``values``: ``=~"a|b"``."""
    return f"=~{quoted('|'.join(literal(value) for value in sorted(set(values))))}"


def selector(series: Selector, extra: Sequence[str] = (), suffix: str = "") -> str:
    """``name{label="value", ...}``; ``extra`` are matchers already written out."""
    matchers = [_matcher(label, text) for label, text in series.match.items()] + list(extra)
    return f"{series.name}{suffix}{{{','.join(matchers)}}}" if matchers else f"{series.name}{suffix}"


def _matcher(label: str, text: str) -> str:
    operator = next(op for op in ("=~", "!~", "!=", "=") if text.startswith(op))
    return f"{label}{operator}{quoted(text[len(operator) :])}"


def ours(profile: Profile) -> tuple[str, ...]:
    """Matchers that leave out what can not be a pool of a RecModel."""
    identity = profile.identity
    if identity.cluster:
        return (f"{identity.cluster.label}=~{quoted(unnamed(identity.cluster.pattern))}",)
    if identity.named:
        return identity.named.matchers
    return tuple(f"{label}!={quoted('')}" for label in identity.owner_labels[1:])


def unnamed(pattern: str) -> str:
    """A regular expression without the names of its groups."""
    return re.sub(r"\(\?P<\w+>", "(", pattern)


def rates(series: Sequence[Selector], matchers: Sequence[str], by: str, window: str) -> str:
    """The sum of the rates of some series; ``window`` with its brackets, and an offset where there is one."""
    parts = [f"rate({selector(part, matchers)}{window})" for part in series]
    if len(parts) > 1:
        # rate() drops the name, and ``or`` keeps one of two equal series: each part needs a label of its own.
        parts = [f'label_replace({rate}, "part", "{i}", "", "")' for i, rate in enumerate(parts)]
    return f"sum by ({by}) ({' or '.join(parts)})"


def duration(seconds: float) -> str:
    """A PromQL duration in whole milliseconds: 60.0 is ``60000ms``; ``ValueError`` unless above 0."""
    milliseconds = round(seconds * 1000)
    if milliseconds <= 0:
        raise ValueError(f"a window of {seconds} s is not above 0")
    return f"{milliseconds}ms"
