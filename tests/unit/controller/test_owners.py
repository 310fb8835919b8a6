"""Each part of what is tracked of a RecModel is frozen, and is replaced by one module alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import get_type_hints

import pytest

from recmodel.controller import tracked as tracked_module
from recmodel.controller.tracked import OWNERS, Tracked

PACKAGE = Path(__file__).resolve().parents[3] / "operator" / "recmodel"
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def written(source: str, own: bool) -> tuple[str, ...]:
    """The parts that a module assigns, deletes or sets by name. ``own``: the module of ``Tracked``, whose
    methods write with ``self``; elsewhere ``self`` is another object with an attribute of that name.
    """
    return tuple(_written(source, own))


def _written(source: str, own: bool) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="self"), ctx=ast.Store() | ast.Del()) if not own:
                continue
            case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()):
                pass
            case ast.Call(
                func=ast.Name(id="setattr" | "delattr") | ast.Attribute(attr="__setattr__" | "__delattr__"),
                args=[_, ast.Constant(value=str(name)), *_],
            ):
                pass
            case _:
                continue
        if name in OWNERS:
            yield name


def intruders(sources: Mapping[str, str]) -> list[str]:
    """Writes by other modules than the owner."""
    return [
        f"{path} writes {part}"
        for path, source in sources.items()
        for part in written(source, own=path == "controller/tracked.py")
        if path != f"controller/{OWNERS[part]}.py"
    ]


def test_only_the_owner_replaces_its_part() -> None:
    assert intruders(SOURCES) == []


def test_each_part_has_an_owner() -> None:
    for_good = {
        "owner",
        "backoffs",
        "retries",
        "buffer_retries",
        "contests",
        "rule_contests",
        "rule_conflicts",
        "lock",
    }  # made with it, and never replaced
    assert OWNERS.keys() == {one.name for one in fields(Tracked)} - for_good


@pytest.mark.parametrize(("part", "owner"), OWNERS.items())
def test_each_owner_does_write_its_part(part: str, owner: str) -> None:
    assert part in written(SOURCES[f"controller/{owner}.py"], own=False)


@pytest.mark.parametrize("part", OWNERS)
@pytest.mark.parametrize(
    "line",
    [
        "tracked.PART = 1",
        "one.tracked.PART = 1",
        "a, tracked.PART = 1, 2",
        "tracked.PART: int = 1",
        "tracked.PART += 1",
        "del tracked.PART",
        "for tracked.PART in (): pass",
        "setattr(tracked, 'PART', 1)",
        "object.__setattr__(tracked, 'PART', 1)",
    ],
)
def test_a_write_by_another_module_is_found(part: str, line: str) -> None:
    found = intruders(
        {**SOURCES, "controller/metrics.py": SOURCES["controller/metrics.py"] + line.replace("PART", part)}
    )
    assert found == [f"controller/metrics.py writes {part}"]


@pytest.mark.parametrize("part", OWNERS)
def test_what_is_tracked_does_not_write_its_own_parts(part: str) -> None:
    method = f"\n    def change(self) -> None:\n        self.{part} = 1\n"
    assert intruders({"controller/tracked.py": SOURCES["controller/tracked.py"] + method}) == [
        f"controller/tracked.py writes {part}"
    ]


@pytest.mark.parametrize("part", OWNERS)
def test_each_part_is_frozen_and_holds_nothing_that_changes(part: str) -> None:
    kind = get_type_hints(Tracked, vars(tracked_module))[part]
    assert is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    for one in fields(kind):
        assert not {"dict", "list", "set"} & set(str(one.type).replace("[", " ").replace(",", " ").split()), one
