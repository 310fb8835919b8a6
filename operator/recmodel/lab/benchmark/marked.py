"""Sections of the benchmark's page that other commands write, each between two marks of its own."""

from __future__ import annotations

DRAWN, WORTH = "drawn plants", "worth"  # in the order in which a page gets them


def with_section(page: str, name: str, section: str) -> str:
    """The page with the named section replaced, or added at its end; an empty one takes it out."""
    begin, end = _marks(name)
    before, found, rest = page.partition(begin)
    after = rest.partition(end)[2] if found else ""
    marked = f"{begin}\n{section.strip()}\n{end}" if section else ""
    return "\n\n".join(part for part in (before.strip(), marked, after.strip()) if part) + "\n"


def section_of(page: str, name: str) -> str:
    """The named section; empty where the page has none."""
    begin, end = _marks(name)
    return page.partition(begin)[2].partition(end)[0].strip()


def with_sections_of(page: str, before: str) -> str:
    """A new page, with the sections that the one before it had from other commands."""
    for name in (DRAWN, WORTH):
        page = with_section(page, name, section_of(before, name))
    return page


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
