"""The shape of the code: which room may import which, shown holding and shown failing."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
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


CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
NAMES = [contract["name"] for contract in CONTRACTS]
LAYERS = [(c["name"], c["containers"][0], c["layers"]) for c in CONTRACTS if c["type"] == "layers"]
FORBIDDEN = [
    (c["name"], module, c["forbidden_modules"])
    for c in CONTRACTS
    if c["type"] == "forbidden"
    for module in c["source_modules"]
]


def place(copy: Path, module: str) -> Path:
    """The file of a module, or that of a package."""
    path = copy / "operator" / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def told_after(copy: Path, path: Path, text: str) -> str:
    """What import-linter says while the file holds this, too; it must fail."""
    before = path.read_text(encoding="utf-8") if path.exists() else None
    try:
        path.write_text(f"{before or ''}\n{text}\n", encoding="utf-8")
        result = lint_imports(copy)
    finally:
        path.unlink() if before is None else path.write_text(before, encoding="utf-8")
    assert result.returncode != 0, result.stdout
    return " ".join(result.stdout.split())


def broken(told: str) -> set[str]:
    """The contracts that import-linter calls broken."""
    return {name for name in NAMES if f"{name} BROKEN" in told}


@pytest.mark.parametrize(("contract", "container", "layers"), LAYERS, ids=[container for _, container, _ in LAYERS])
def test_an_import_that_goes_up_fails(copy: Path, contract: str, container: str, layers: list[str]) -> None:
    """The lowest floor imports the highest."""
    low, high = (f"{container}.{layer.split(' | ')[0]}" for layer in (layers[-1], layers[0]))
    told = told_after(copy, place(copy, low), f"import {high}")
    assert contract in broken(told)
    assert f"{low} is not allowed to import {high}" in told


@pytest.mark.parametrize(
    ("contract", "container"), [(name, container) for name, container, _ in LAYERS], ids=[c for _, c, _ in LAYERS]
)
def test_a_module_without_a_floor_fails(copy: Path, contract: str, container: str) -> None:
    told = told_after(copy, copy / "operator" / container.replace(".", "/") / "newcomer.py", '"""New."""')
    assert broken(told) == {contract}
    assert "newcomer" in told


@pytest.mark.parametrize(("contract", "module", "forbidden"), FORBIDDEN, ids=[module for _, module, _ in FORBIDDEN])
def test_an_impure_import_fails(copy: Path, contract: str, module: str, forbidden: list[str]) -> None:
    told = told_after(copy, place(copy, module), "\n".join(f"import {name}" for name in forbidden))
    assert broken(told) == {contract}
    for name in forbidden:
        assert f"{module} -> {name} " in told, f"{module} may import {name}"


def test_each_contract_is_shown_to_fail() -> None:
    assert {name for name, _, _ in (*LAYERS, *FORBIDDEN)} == set(NAMES)


def test_there_is_no_package_called_operator() -> None:
    # It would shadow the standard library's module: `import enum` and `import collections` fail then at the start.
    assert not (PACKAGE / "__init__.py").exists()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_module_parses_and_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    if not path.name.startswith("_") or path.name == "__init__.py":
        assert ast.get_docstring(tree), f"{path.name} has no docstring"
