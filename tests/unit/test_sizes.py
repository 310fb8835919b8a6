"""Files and functions that can be read at once. Parameters and branches are ruff's."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST_FILE_LINES, LONGEST_FUNCTION_LINES = 300, 60
SOURCES = [path for folder in ("operator", "demo", "hack") for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_file_is_too_long() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert len(lines) > 150  # the sources were found
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    found = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                found[f"{path.relative_to(ROOT)}::{node.name}"] = node.end_lineno - node.lineno + 1
    assert len(found) > 1000
    assert {name: count for name, count in found.items() if count > LONGEST_FUNCTION_LINES} == {}
