"""The shape of the code: which room may import which, shown holding and shown failing."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator"
FILES = sorted(PACKAGE.rglob("*.py"))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter on a copy of the package at ``folder``, with the repository's own contracts."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--config", "pyproject.toml", "--no-cache"]
    environment = {"PYTHONPATH": str(folder / "operator"), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    shutil.copytree(PACKAGE, folder / "operator", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_contracts_hold(copy: Path) -> None:
    result = lint_imports(copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


IMPURE = ("kopf", "kubernetes", "time", "logging", "requests")


def test_impure_imports_in_the_core_fail(copy: Path) -> None:
    module = copy / "operator" / "recmodel" / "core" / "types.py"
    before = module.read_text(encoding="utf-8")
    lines = [*(f"import {name}" for name in IMPURE), "from recmodel.api import v1alpha1"]
    try:
        module.write_text(before + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
        result = lint_imports(copy)
    finally:
        module.write_text(before, encoding="utf-8")
    assert result.returncode != 0, result.stdout
    assert "3 broken" in result.stdout
    told = " ".join(result.stdout.split())
    for name in IMPURE:
        assert f"recmodel.core.types -> {name} " in told
    assert "recmodel.core is not allowed to import recmodel.api" in told


def test_there_is_no_package_called_operator() -> None:
    # It would shadow the standard library's module: `import enum` and `import collections` fail then at the start.
    assert not (PACKAGE / "__init__.py").exists()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_module_parses_and_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    if not path.name.startswith("_") or path.name == "__init__.py":
        assert ast.get_docstring(tree), f"{path.name} has no docstring"
