"""The report as one HTML file: no script, nothing outside of it is loaded, and it reads well on small, light and dark screens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from xml.etree.ElementTree import Element

from recmodel.lab.weekly import words
from recmodel.lab.weekly.charts import Chart, charts
from recmodel.lab.weekly.clock import HOURS
from recmodel.lab.weekly.markup import el, written
from recmodel.lab.weekly.svg import COLOURS, STATES, chart_svg, days_svg
from recmodel.lab.weekly.values import Figures, Report

POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # a browser then asks for nothing, and runs nothing
MOST_REASONS = 12
TITLE = "RecModel report: "  # what the title of every such page begins with


def page(report: Report, live: str = "", stale: bool = False) -> str:
    """The whole file. ``live``: of a page that is served, when it was read; ``stale``: it could not be read since."""
    said = [el("p", live, class_="live stale" if stale else "live")] if live else []
    body = el(
        "body",
        el("h1", report.title),
        el("p", " ".join((_about(report), *report.clock_changes)), class_="sub"),
        *said,
        el("p", report.first_line, class_="first"),
        el("div", *_cards(report), class_="cards"),
    )
    body.extend(list(_sections(report)))
    return _whole(f"{TITLE}{report.title}", body)


def bare(said: str) -> str:
    """A page that says one thing, where there is no report to show."""
    return _whole("RecModel report", el("body", el("h1", "RecModel report"), el("p", said, class_="live stale")))


def _whole(title: str, body: Element) -> str:
    style = (resources.files(__package__) / "page.css").read_text(encoding="utf-8")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width,initial-scale=1"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("title", title),
        el("style", style),
    )
    return f"<!doctype html>\n{written(el('html', head, body, lang='en'))}\n"


def _about(report: Report) -> str:
    return f"{report.span}. Objective: {report.objective}. Hours are those of {report.zone}."


def _cards(report: Report) -> Iterator[Element]:
    whole, budget, decided = report.whole, report.budget, report.decisions
    cards = [
        (words.time(whole.mean_seconds), "mean latency"),
        (words.time_bracket(whole.percentile), report.percentile_name),
        (words.share_bracket(whole.late), "late or failed"),
        (f"{words.number(whole.load_per_second)}/s", "mean load") if whole.load_per_second is not None else (words.UNKNOWN, "mean load"),
    ]  # fmt: skip
    if report.spent is not None:
        money = report.spent.of == "money"
        total = f"{report.spent.total:,.{2 if money else 1}f}"
        cards.append((total, ("spent" if money else "replica-hours") + words.hours_known(report.spent)))
    if budget is not None:
        low, high = budget.over
        over = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
        cards.append((f"{over} of {budget.allowed:.0f}", "minutes over, of those that the latency budget allows"))
        if budget.left_ratio is not None:
            cards.append((words.share(budget.left_ratio), "of the latency budget left, as the operator counts it"))
        else:
            left = sorted(max(1.0 - over / budget.allowed, 0.0) for over in budget.over) if budget.allowed else [0.0]
            shown = words.share(left[0]) if left[0] == left[-1] else f"{100 * left[0]:.0f} to {words.share(left[-1])}"
            cards.append((shown, "of the latency budget of this range left"))
    if decided is not None:
        cards.append((str(sum(decided.changes.values())), f"changes of replicas by RecModel {decided.model}"))
    for value, what in cards:
        yield el("div", el("b", value), el("span", what), class_="card")


def _sections(report: Report) -> Iterator[Element]:
    drawn = list(charts(report))
    yield _chart_section(drawn[0], "chart0", report)
    yield _days(report)
    for place, chart in enumerate(drawn[1:], 1):
        yield _chart_section(chart, f"chart{place}", report)
    if report.kinds:
        rows = [[kind, *_figures(found)] for kind, found in report.kind_whole.items()]
        head = (report.kinds_by, "requests/s", "mean", report.percentile_name, "late")
        yield _section(f"By {report.kinds_by}", _table(head, rows), note="The most frequent kinds of the last day.")
    yield _pools(report)
    decided = report.decisions
    if decided is not None:
        changes = _table(("pool", "changes of replicas"), [(pool, str(n)) for pool, n in decided.changes.items()])
        reasons = list(decided.reasons.items())[:MOST_REASONS]
        gave = _table(("reason", "decisions that gave it"), [(name, f"{n:,}") for name, n in reasons])
        yield _section(
            f"Decisions of RecModel {decided.model}", changes, gave, note="docs/operations.md explains each reason."
        )
    if report.notes:
        yield _section("What is not known", el("ul", *(el("li", note) for note in report.notes), class_="notes"))


def _chart_section(chart: Chart, name: str, report: Report) -> Element:
    if not chart.known:
        return _section(chart.title, note=f"Not known. {chart.note}" if chart.note else "Not known.")
    key = [
        el("li", _swatch(f"c{one.colour % COLOURS} {one.shape if one.shape != 'bars' else ''}"), one.name)
        for one in chart.series
    ]
    if chart.limit is not None:
        key.append(el("li", _swatch("limit"), f"{chart.limit[1]}: {words.number(chart.limit[0])} {chart.unit}"))
    figure = el("figure", chart_svg(chart, name), el("ul", *key, class_="key"))
    rows = []
    for hour in range(HOURS):
        cells = [s.said[hour] if s.said else words.number(s.values[hour]) for s in chart.series]
        rows.append([words.clock(hour), *cells, *_sign(chart, hour, report)])
    head = ("hour", *(one.name for one in chart.series), *(("usually",) if chart.title == "Bottleneck" else ()))
    table = _table(head, rows, f"{chart.title}, {chart.unit}")
    return _section(f"{chart.title}, {chart.unit}", figure, table, note=chart.note, two=True)


def _sign(chart: Chart, hour: int, report: Report) -> Iterator[str]:
    if chart.title == "Bottleneck":
        found = report.limits[hour]
        yield f"{found.pool}: {found.sign}, {found.times} of {found.of}" if found else "none"


def _days(report: Report) -> Element:
    if not any(state for day in report.days for state in day.hours):
        return _section("Hours over the objective", note="Not known.")
    there = {state for day in report.days for state in day.hours}
    key = [el("li", _swatch(f"s {state or 'unknown'}"), said) for state, said in STATES.items() if state in there]
    rows = []
    for day in report.days:
        over = [words.clock(hour) for hour, state in enumerate(day.hours) if state == "over"]
        rows.append(
            (day.name, str(len(over)), str(sum(state not in ("", words.GONE) for state in day.hours)), ", ".join(over))
        )
    figure = el("figure", days_svg(report.days, "days"), el("ul", *key, class_="key"))
    table = _table(("day", "hours over", "of known", "which"), rows, "Hours over the objective")
    note = f"An hour is over when more than {100 * report.allowed_ratio:g} % of its requests were late or failed."
    return _section("Hours over the objective", figure, table, note=note, two=True)


def _pools(report: Report) -> Element:
    rows = []
    for pool, found in report.pool_whole.items():
        load, replicas, queue = map(words.number, (found.load_per_second, found.replicas, found.queue))
        busy = map(words.share, (found.cpu_ratio, found.gpu_ratio, found.load_ratio))
        rows.append([pool, load, replicas, *busy, queue, report.carries.get(pool, words.UNKNOWN)])
    head = (
        "pool",
        "requests/s",
        "replicas",
        "CPU",
        "GPU",
        "load of what it carries",
        "queue a replica",
        "a replica carries",
    )
    return _section("The pools", _table(head, rows))


def _figures(found: Figures) -> tuple[str, ...]:
    load, mean = words.number(found.load_per_second), words.time(found.mean_seconds)
    return load, mean, words.time_bracket(found.percentile), words.share_bracket(found.late)


def _section(title: str, *parts: Element, note: str = "", two: bool = False) -> Element:
    header = el("header", el("h2", title), *([el("p", note, class_="note")] if note else []))
    return el("section", header, *parts, **({"class_": "two"} if two else {}))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Element:
    """That can be scrolled with the keyboard."""
    body = [el("tr", el("th", row[0], scope="row"), *(el("td", cell) for cell in row[1:])) for row in rows]
    named = [el("caption", caption)] if caption else []
    first = el("thead", el("tr", *(el("th", name, scope="col") for name in head)))
    table = el("table", *named, first, el("tbody", *body))
    return el("div", table, class_="rows", tabindex="0", role="region", aria_label=caption or head[0])


def _swatch(classes: str) -> Element:
    mark = el("rect", width=18, height=10, class_=classes)
    if "line" in classes or classes == "limit":
        mark = el("line", x1=0, x2=18, y1=5, y2=5, class_=classes)
    return el("svg", mark, view_box="0 0 18 10", aria_hidden="true")
