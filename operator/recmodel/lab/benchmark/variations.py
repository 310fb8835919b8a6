"""The engine with one thing changed: a named number of the core moved, or one of its mechanisms left out.

Numbers and guards are found in the sources of the core, so a new one has its row without a list to keep. A change is made as the
module is loaded: what is computed from a moved number follows it. So it needs an interpreter of its own (see :mod:`varied`), and this
module imports nothing of the core.
"""

from __future__ import annotations

import ast
import importlib.abc
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Literal

PACKAGE = Path(__file__).resolve().parents[2]
MOVES = (1.25, 0.75)
NEARLY_ALL = 0.8  # a share of more than this, times 1.25, would be more than all
CHAIN, CANDIDATES = "CHAIN", "CANDIDATES"
CHAIN_MODULE_FOLDER, CANDIDATES_MODULE = "core/plan", "recmodel.core.forecast.candidates"

Kind = Literal["nothing", "number", "guard", "candidate", "mechanism"]


@dataclass(frozen=True)
class Variation:
    """One change: ``name`` in ``module``; ``factor`` is how far a number moves."""

    kind: Kind
    name: str = ""
    module: str = ""
    factor: float = 1.0

    def __str__(self) -> str:
        if self.kind == "number":
            return f"{self.module.removeprefix('recmodel.core.')}.{self.name} x {self.factor:g}"
        return f"without {self.kind} {self.name}".strip() if self.kind != "nothing" else "as it is"


@dataclass(frozen=True)
class Number:
    """A named number of the core, as its source has it."""

    module: str
    name: str
    value: float


def numbers(package: Path = PACKAGE) -> list[Number]:
    """Every number that a module of the core gives a name and writes down itself; what is computed from others follows them."""
    return [
        Number(module, name, value)
        for module, tree in _modules(package, "core")
        for name, node in _assigned(tree)
        if (value := _written(node)) is not None
    ]


def moved(value: float, factor: float) -> float:
    """The number times the factor; a whole one stays whole and moves by one at least. Of a share above 0.8 the rest to 1 moves instead.

    4 becomes 5 or 3, 0.6 becomes 0.75 or 0.45, and 0.95 becomes 0.9625 or 0.9375.
    """
    if isinstance(value, int):
        step = max(round(abs(value * (factor - 1.0))), 1)
        return value + step if (factor > 1.0) == (value >= 0) else value - step
    if NEARLY_ALL < value < 1.0:
        return 1.0 - (1.0 - value) * (2.0 - factor)
    return value * factor


def moves(package: Path = PACKAGE) -> list[Variation]:
    """Each number up and down."""
    return [Variation("number", number.name, number.module, factor) for number in numbers(package) for factor in MOVES]


def guards(package: Path = PACKAGE) -> list[Variation]:
    """Each check of the plan's chain left out."""
    chains = [
        (module, node)
        for module, tree in _modules(package, CHAIN_MODULE_FOLDER)
        for name, node in _assigned(tree)
        if name == CHAIN
    ]
    if len(chains) != 1:
        raise ValueError(f"one module of {CHAIN_MODULE_FOLDER} must define {CHAIN}, but {len(chains)} do")
    module, node = chains[0]
    names = [ast.unparse(check) for check in node.elts] if isinstance(node, ast.Tuple) else []
    return [Variation("guard", name, module) for name in names]


def candidates(package: Path = PACKAGE) -> list[Variation]:
    """Each candidate of the forecast never chosen."""
    tree = dict(_modules(package, "core"))[CANDIDATES_MODULE]
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == f"range({CANDIDATES})":
            names = ast.unparse(node.targets[0]).strip("()").split(", ")
            return [Variation("candidate", name, CANDIDATES_MODULE) for name in names]
    raise ValueError(f"{CANDIDATES_MODULE} names no candidates of range({CANDIDATES})")


def install(variation: Variation) -> None:
    """Have the module loaded with a number moved or a guard left out. A RuntimeError where the module is loaded already."""
    if variation.kind not in ("number", "guard"):
        return
    if variation.module in sys.modules:
        raise RuntimeError(f"{variation.module} is loaded already: change it before anything of the core is imported")
    sys.meta_path.insert(0, _Finder(variation))


def changed(source: str, variation: Variation) -> ast.Module:
    """The source with the change made. A ValueError where it has no such name."""
    tree = ast.parse(source)
    found = [(target, node) for target, node in _assigned(tree) if target == variation.name or target == CHAIN]
    for name, node in found:
        if variation.kind == "number" and name == variation.name:
            new = ast.Constant(moved(_written(node) or 0, variation.factor))
            return _replaced(tree, node, new)
        if variation.kind == "guard" and isinstance(node, ast.Tuple):
            kept = [check for check in node.elts if ast.unparse(check) != variation.name]
            if len(kept) < len(node.elts):
                return _replaced(tree, node, ast.Tuple(kept, ast.Load()))
    raise ValueError(f"{variation.module} has no {variation.kind} {variation.name}")


def _replaced(tree: ast.Module, old: ast.expr, new: ast.expr) -> ast.Module:
    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return ast.copy_location(new, old) if node is old else self.generic_visit(node)

    result = Replace().visit(tree)
    assert isinstance(result, ast.Module)  # noqa: S101
    return ast.fix_missing_locations(result)


def _modules(package: Path, folder: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((package / folder).rglob("*.py")):
        name = ".".join([package.name, *path.relative_to(package).with_suffix("").parts])
        yield name.removesuffix(".__init__"), ast.parse(path.read_text("utf-8"))


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Names in capitals that a module assigns, each with its expression; a tuple of names has one for each."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        pairs: Sequence[tuple[ast.expr, ast.expr]] = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        yield from ((t.id, v) for t, v in pairs if isinstance(t, ast.Name) and t.id.isupper())


def _written(node: ast.expr) -> float | None:
    """The number that an expression of numbers alone comes to; None for any other."""
    allowed = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    parts = list(ast.walk(node))
    if not all(isinstance(part, allowed) for part in parts):
        return None
    if any(isinstance(part, ast.Constant) and type(part.value) not in (int, float) for part in parts):
        return None
    value: float = eval(compile(ast.Expression(node), "", "eval"), {})  # noqa: S307  numbers and operators alone
    return value


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the changed module, and leaves all others to who comes next."""

    def __init__(self, variation: Variation) -> None:
        self._variation = variation

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own specification with a loader that makes the change."""
        if fullname != self._variation.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, lambda source: changed(source, self._variation))
        return spec


class _Loader(SourceFileLoader):
    """Loads a changed source, and neither reads nor writes what was compiled of it before."""

    def __init__(self, fullname: str, path: str, change: Callable[[str], ast.Module]) -> None:
        super().__init__(fullname, path)
        self._change = change

    def get_code(self, fullname: str) -> CodeType | None:
        """Of the changed source."""
        source = self.get_source(fullname) or ""
        code: CodeType = compile(self._change(source), self.path, "exec", dont_inherit=True)
        return code
