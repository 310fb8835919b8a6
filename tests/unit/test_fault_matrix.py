"""docs/reliability.md names the test of each fault: a test that is renamed or removed must not leave a claim behind."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MATRIX = ROOT / "docs" / "reliability.md"
NOT_COVERED = "\n## Not covered\n"
ENTRY = re.compile(r"^- \*\*(?P<fault>.+?)\*\*\s(?P<rest>[^\n]*\n(?:  [^\n]*\n)*)", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def entries(text: str) -> list[tuple[str, str]]:
    """Each fault, and what the page says of it and of its tests."""
    return [(" ".join(match["fault"].split()), match["rest"]) for match in ENTRY.finditer(text)]


@cache
def names_in(path: str) -> set[str]:
    """The names of the test functions of a file, those in classes included."""
    found = ast.walk(ast.parse((ROOT / path).read_text()))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in found if isinstance(node, kinds) and node.name.startswith("test_")}


COVERED, _, OTHERS = MATRIX.read_text(encoding="utf-8").partition(NOT_COVERED)


@pytest.mark.parametrize(("fault", "rest"), entries(COVERED))
def test_each_fault_names_tests_that_exist(fault: str, rest: str) -> None:
    named = NAMED.findall(rest)
    assert named, f"{fault}: no test is named as `tests/...py::test_...`"
    for path, name in named:
        assert name in names_in(path), f"{fault}: there is no {name} in {path}"


def test_every_item_of_the_page_is_an_entry_with_a_fault() -> None:
    for text in (COVERED, OTHERS):
        items = [line for line in text.splitlines() if line.startswith("- ")]
        assert len(entries(text)) == len(items) > 0
