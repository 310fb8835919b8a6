"""Reasons are API: each one that is named is given by some code, and explained in docs/operations.md."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from recmodel import controller, report, rollout
from recmodel.cluster.observed import referenced, referenced_routes, route_rule
from recmodel.core import reasons
from recmodel.prometheus import readings

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\|((?: *`[A-Z][A-Za-z]+`,?)+ *)\|", re.MULTILINE)
DOCUMENTED = {
    word
    for row in ROW.findall((ROOT / "docs" / "operations.md").read_text().split("## Reasons")[1])
    for word in re.findall(r"`(\w+)`", row)
}
MODULES = [reasons, readings, referenced, referenced_routes, route_rule] + [
    importlib.import_module(f"{room.__name__}.{found.name}")
    for room in (controller, report, rollout)
    for found in pkgutil.iter_modules(room.__path__)
    if not found.name.startswith("_")
]
NAMED = {
    (module.__name__, name): value
    for module in MODULES
    for name, value in vars(module).items()
    if name.isupper()
    and name not in ("KIND", "PREFIX", "PLURAL")
    and isinstance(value, str)
    and re.fullmatch(r"(?:[A-Z][a-z]+)+", value)
}


USED = {
    word
    for path in (ROOT / "operator").rglob("*.py")
    for line in path.read_text().splitlines()
    if not line.lstrip().startswith(("from ", "import ", "#"))
    for word in re.findall(r"\b[A-Z]\w+\b(?! =)", line)
}


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_each_reason_is_given_by_some_code(module: str, name: str) -> None:
    assert name in USED, f"{name} is never given"


def test_each_reason_is_explained_and_nothing_else_is() -> None:
    assert set(NAMED.values()) - DOCUMENTED == set(), "not in docs/operations.md"
    assert DOCUMENTED - set(NAMED.values()) == set(), "in docs/operations.md alone"
