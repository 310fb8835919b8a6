"""The pages that people read: links lead somewhere, `make` targets exist, the words are plain, and figures agree with their source."""

from __future__ import annotations

import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "recmodel"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
GENERATED = {"api.md"}  # its sentences are those of the API's fields
MEASURED = {"benchmark.md"}  # its sentences are those of the benchmark, which writes them with their figures
WRITTEN = [page for page in PAGES if page.name not in GENERATED]
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\]\([^)]*")
# Archaic, or of no other project: each has a plain word that says the same.
NOT_PLAIN = re.compile(
    r"\b(shall|foretold|foretells?|anew|puts? up with|(whose|its) matter|the other words|seldom|thereof|hitherto|lest|whilst|"
    r"for want of|by way of|in the midst|begun again|valves?|steer(s|ed|ing)?|wishe[sd]|of account|for sure|be it)\b",
    re.IGNORECASE,
)
FILE_OR_FOLDER = re.compile(r"[\w.-]+(/[\w.-]+)*\.(py|sh|tpl)|(core|cluster|lab|tests|hack)(/[\w-]+)*/")
TEXTS = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}  # Python 3.12 splits f-strings
LONGEST_SENTENCE_WORDS = 30


def prose(page: Path) -> str:
    """The text of a page without code."""
    return CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))


@cache
def anchors(page: Path) -> set[str]:
    """What a link into a page may name: its headings, as GitHub spells them, and its named anchors."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def named(page: Path) -> str:
    """For pytest."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"(?<!!)\[[^\]]+\]\((?!https?://)([^)]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{named(page)} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{named(page)} links to {target}, and {named(there)} has no such heading"


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_words_are_plain(page: Path) -> None:
    assert sorted({found[0].lower() for found in NOT_PLAIN.finditer(LINK.sub("](", prose(page)))}) == []


SAID = [
    ROOT / "docs" / "api.md",
    ROOT / "manifests" / "rules" / "alerts.yaml",
    *(ROOT / "charts" / "recmodel" / name for name in ("values.yaml", "templates/NOTES.txt", "files/policies.yaml")),
]


@pytest.mark.parametrize("page", SAID, ids=named)
def test_what_the_api_the_alerts_and_the_chart_say_is_plain(page: Path) -> None:
    assert sorted({found[0].lower() for found in NOT_PLAIN.finditer(page.read_text(encoding="utf-8"))}) == []


def test_messages_docstrings_and_comments_are_plain() -> None:
    found, words = [], 0
    sources = [path for folder in ("operator", "demo", "tests", "hack") for path in (ROOT / folder).rglob("*.py")]
    for path in sorted(set(sources) - {Path(__file__)}):  # this file lists the words
        with path.open("rb") as source:
            tokens = list(tokenize.tokenize(source.readline))
        for token in tokens:
            is_prose = token.type == tokenize.COMMENT or (token.type in TEXTS and " " in token.string)
            words += is_prose
            if is_prose and (word := NOT_PLAIN.search(token.string)):
                found.append(f"{named(path)}:{token.start[0]}: {word[0]}")
    assert words > 3000  # the sources were found
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_make_targets_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = "\n".join([*FENCE.findall(text), *CODE.findall(text)])
    used = set(re.findall(r"(?:^|[`(\s])make ([a-z][a-z-]*)", code))
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert used <= targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_paths_and_modules_in_code_exist(page: Path) -> None:
    """``plan/guards.py`` is below the package, a whole path below the root; CAPITALS stand for a name of the reader's."""
    missing = []
    for code in {span.strip("`") for span in CODE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))}:
        path, _, _ = code.partition("::")
        is_path = FILE_OR_FOLDER.fullmatch(path) and not re.search(r"[A-Z]{2}", path)
        if is_path and not (any((top / path).exists() for top in (ROOT, page.parent)) or list(PACKAGE.rglob(path))):
            missing.append(code)
    for module in re.findall(r"python -m (recmodel[\w.]*)", page.read_text(encoding="utf-8")):
        place = ROOT / "operator" / module.replace(".", "/")
        if not place.with_suffix(".py").exists() and not (place / "__main__.py").exists():
            missing.append(module)
    assert sorted(missing) == []


def test_the_architecture_lists_every_folder() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([a-z/]+)/` \|", page, re.MULTILINE))
    folders = {
        path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.*") if "__pycache__" not in path.parts
    }
    assert listed == folders - {"."}


def sentences(text: str) -> list[str]:
    """The sentences of prose: paragraphs, list items and cells of tables."""
    blocks = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.) |\n#+ |\|", re.sub(r"\]\([^)]*\)", "]", text))
    return [part for block in blocks for part in re.split(r"(?<=[.?!])\*{0,2}\s+", " ".join(block.split()))]


@pytest.mark.parametrize("page", [page for page in WRITTEN if page.name not in MEASURED], ids=lambda page: page.name)
def test_no_sentence_has_more_than_thirty_words(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert [said for said in sentences(text) if len(said.split()) > LONGEST_SENTENCE_WORDS] == []


def goal(page: str, name: str) -> str:
    """What a goal of the drawn plants came to."""
    (row,) = re.findall(rf"^\| {re.escape(name)} \|.*$", page, re.MULTILINE)
    return re.findall(r"[\d.]+", row)[1]


def test_the_figures_of_the_readme_are_those_of_the_benchmark() -> None:
    page = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| \*\*mean of those with a history\*\* \|.*$", page, re.MULTILINE)
    over, _, clairvoyant, hpa, _, best = re.findall(r"[\d.]+", row)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    claims = {
        "an HPA with its defaults": f"{float(hpa):.2f}",
        "setting of each recorded day": f"{float(best):.2f}",
        "a clairvoyant whose": f"{float(clairvoyant):.2f}",
        "Minutes over the objective, recorded days": f"{float(over):.2f} %",
        "drawn days, each on pods of its own |": f"{float(goal(page, 'cost over the best HPA or KEDA, mean')):.2f}",
        "Minutes over the objective: calm drawn days": f"{float(goal(page, 'minutes over, calm days, mean')):.1f} %",
        "and days of bursts and plateaus": f"{float(goal(page, 'minutes over, bursts and plateaus, mean')):.1f} %",
    }
    lines = [line for line in readme.splitlines() if line.startswith("|")]
    for claim, figure in claims.items():
        (line,) = [line for line in lines if claim in line]
        assert f"**{figure}**" in line
