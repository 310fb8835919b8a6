"""docs/reliability.md names the test of each fault: a test that is renamed or removed must not leave a claim behind."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MATRIX = ROOT / "docs" / "reliability.md"
ROW = re.compile(r"^\|(?P<fault>[^|]+)\|(?P<happens>[^|]+)\|(?P<tests>[^|]+)\|$")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[tuple[str, str]]:
    """Fault and tests of each row of a table with tests."""
    found = [match for line in MATRIX.read_text().splitlines() if (match := ROW.match(line))]
    return [(m["fault"].strip(), m["tests"]) for m in found if m["fault"].strip() not in ("Fault", "---")]


@cache
def names_in(path: str) -> set[str]:
    """The names of the test functions of a file, those in classes included."""
    found = ast.walk(ast.parse((ROOT / path).read_text()))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in found if isinstance(node, kinds) and node.name.startswith("test_")}


@pytest.mark.parametrize(("fault", "tests"), rows())
def test_each_fault_names_tests_that_exist(fault: str, tests: str) -> None:
    named = NAMED.findall(tests)
    assert named, f"{fault}: no test is named as `tests/...py::test_...`"
    for path, name in named:
        assert name in names_in(path), f"{fault}: there is no {name} in {path}"
