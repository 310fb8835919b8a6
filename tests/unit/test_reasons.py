"""Reasons are API: each one that is named is given by some code, and explained in docs/operations.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recmodel.controller import conditions, events, farewell, keeper, tracked, troubles, turn
from recmodel.core import reasons
from recmodel.prometheus import readings

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {path: path.read_text() for path in (ROOT / "operator").rglob("*.py")}
ROW = re.compile(r"^\|((?: *`[A-Z][A-Za-z]+`,?)+ *)\|", re.MULTILINE)
DOCUMENTED = {
    word
    for row in ROW.findall((ROOT / "docs" / "operations.md").read_text().split("## Reasons")[1])
    for word in re.findall(r"`(\w+)`", row)
}
NAMED = {
    (module.__name__, name): value
    for module in (reasons, readings, conditions, events, farewell, keeper, tracked, troubles, turn)
    for name, value in vars(module).items()
    if name.isupper() and name != "KIND" and isinstance(value, str) and re.fullmatch(r"(?:[A-Z][a-z]+)+", value)
}


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_each_reason_is_given_by_some_code(module: str, name: str) -> None:
    used = re.compile(rf"\b{name}\b(?! =)")
    lines = [line for text in SOURCES.values() for line in text.splitlines() if used.search(line)]
    assert [line for line in lines if not line.lstrip().startswith(("from ", "import ", "#"))], f"{name} is never given"


def test_each_reason_is_explained_and_nothing_else_is() -> None:
    assert set(NAMED.values()) - DOCUMENTED == set(), "not in docs/operations.md"
    assert DOCUMENTED - set(NAMED.values()) == set(), "in docs/operations.md alone"
