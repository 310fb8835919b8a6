"""The live view: a scene as something that rich can draw, and the same in one line where there is no terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from watch import words
from watch.chart import load_chart
from watch.scene import Clients, Scene
from watch.snapshot import Bracket, PoolSnapshot

CHART_HEIGHT = 8
DECISIONS_SHOWN = 4
WEIGHT_CELLS = 14
WIDE = 112  # below this many columns headings and bars are shorter
_VERDICT = {True: "bold red", False: "green", None: "yellow"}
_STATE = {
    "Tracking": "green",
    "Learning": "cyan",
    "Holding": "yellow",
    "AwaitingRequests": "cyan",
    "Degraded": "bold red",
    "Recommending": "blue",
    "Paused": "blue",
}


def render(scene: Scene, width: int) -> RenderableType:
    """Everything, ``width`` cells wide."""
    return Group(
        _title(scene),
        _progress(scene),
        _load(scene, width),
        _pools(scene, width),
        _figures(scene),
        *_beside(scene),
        _decisions(scene),
    )


def _title(scene: Scene) -> RenderableType:
    state = scene.snapshot.state or "no decision yet"
    table = Table.grid(expand=True)
    table.add_column()
    table.add_column(justify="right")
    left = Text.assemble(
        (" RecModel ", "bold black on cyan"), " ", (scene.model.key, "bold"), "  ", (state, _STATE.get(state, "yellow"))
    )
    right = Text(
        f"objective: {scene.model.within_ratio * 100:g}% of requests within {scene.model.threshold_seconds * 1000:.0f} ms ",
        "grey70",
    )
    table.add_row(left, right)
    return table


def _progress(scene: Scene) -> RenderableType:
    total = scene.schedule.seconds
    if scene.elapsed_seconds is None:
        return Text(" waiting for the load generator's first requests", "yellow")
    done = min(scene.elapsed_seconds, total)
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(width=8)
    table.add_column(ratio=1)
    table.add_column(justify="right")
    left = f"{words.clock(total - done)} left of {words.clock(total)}"
    if scene.in_warm_up:
        caption = Text(f"warm-up, which does not count, for {words.clock(scene.schedule.counts_from - done)}, {left}")
    elif scene.in_flash:
        caption = Text.assemble(("FLASH CROWD  ", "bold magenta"), left)
    elif scene.schedule.flash_start is not None and done < scene.schedule.flash_start:
        caption = Text(f"flash crowd in {words.clock(scene.schedule.flash_start - done)}, {left}")
    else:
        caption = Text(left)
    table.add_row(
        " replay", ProgressBar(total=total, completed=done, complete_style="cyan", finished_style="green"), caption
    )
    return table


def _load(scene: Scene, width: int) -> RenderableType:
    snapshot = scene.snapshot
    horizon = f" within {snapshot.forecast_seconds:.0f} s" if snapshot.forecast_seconds is not None else ""
    heading = Text.assemble(
        "load ",
        (words.rate(snapshot.load_per_second), "bold cyan"),
        "   forecast at most ",
        (words.rate(snapshot.forecast_upper_per_second), "bold yellow"),
        horizon,
    )
    legend = Text.assemble(
        ("█", "cyan"),
        " measured  ",
        ("█", "magenta"),
        " flash crowd  ",
        ("─", "yellow"),
        " forecast, upper  ",
        ("█", "grey42"),
        " to come",
    )
    chart = load_chart(scene.schedule, scene.loads, scene.uppers, width - 4, CHART_HEIGHT)
    return Panel(
        chart, title=heading, title_align="left", subtitle=legend, subtitle_align="right", border_style="grey37"
    )


def _pools(scene: Scene, width: int) -> RenderableType:
    percentile = f"p{scene.model.within_ratio * 100:g}"
    table = Table(expand=True, box=None, header_style="grey62", padding=(0, 1))
    table.add_column("pool", no_wrap=True)
    table.add_column("device")
    table.add_column("ready / desired" if width >= WIDE else "ready", justify="right", no_wrap=True)
    table.add_column("weight of 1000", no_wrap=True)
    for name in ("load", percentile, "carries each" if width >= WIDE else "each", "per hour"):
        table.add_column(name, justify="right", no_wrap=True)
    for pool in scene.snapshot.pools:
        cells = WEIGHT_CELLS if width >= WIDE else WEIGHT_CELLS // 3
        table.add_row(*_pool_row(pool, scene.model.threshold_seconds, cells))
    verdict = _VERDICT[words.missed(scene.snapshot.percentile_seconds, scene.model.threshold_seconds)]
    table.add_row(
        Text("all", "bold"),
        Text("at the gateway", "grey62"),
        "",
        "",
        Text(words.rate(scene.snapshot.load_per_second), "bold"),
        Text(words.milliseconds(scene.snapshot.percentile_seconds), verdict),
        "",
        _price(scene.snapshot.cost_per_hour()),
    )
    return Panel(table, border_style="grey37")


def _pool_row(pool: PoolSnapshot, threshold_seconds: float, cells: int) -> list[RenderableType]:
    starting = pool.desired is not None and pool.ready is not None and pool.ready < pool.desired
    filled = round((pool.weight or 0) / 1000 * cells)
    weight = Text.assemble(
        ("━" * filled, "cyan"), ("━" * (cells - filled), "grey23"), f" {words.whole(pool.weight):>4}"
    )
    device = Text(pool.device)
    if pool.emulated:
        device.append(" emulated", "italic magenta")
    return [
        Text(pool.name, "bold"),
        device,
        Text(f"{words.whole(pool.ready)} / {words.whole(pool.desired)}", "yellow" if starting else "bold green"),
        weight,
        words.rate(pool.load_per_second),
        Text(
            words.milliseconds(pool.percentile_seconds),
            _VERDICT[words.missed(pool.percentile_seconds, threshold_seconds)],
        ),
        words.rate(pool.capacity_per_replica),
        _price(None if pool.desired is None else pool.desired * pool.cost_per_hour),
    ]


def _price(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.2f}"


def _figures(scene: Scene) -> RenderableType:
    clients = scene.clients
    table = Table.grid(expand=True, padding=(0, 1))
    for _ in range(3):
        table.add_column(ratio=1)
    within, wanted = scene.snapshot.within_ratio, scene.model.within_ratio
    colour = _VERDICT[None if within is None else within.lower < wanted]
    table.add_row(
        Text.assemble((" within the threshold  ", "grey62"), (words.share(within), colour), ("  gateway", "grey62")),
        Text.assemble(
            ("clients, last 10 s  ", "grey62"),
            (words.share(clients.recent_within_ratio) if clients else words.UNKNOWN, "bold"),
        ),
        Text.assemble(("cost so far  ", "grey62"), (words.amount(scene.spent), "bold green")),
    )
    table.add_row(
        Text.assemble(
            (" requests  ", "grey62"),
            f"{clients.due:,}" if clients else words.UNKNOWN,
            ("   answered  ", "grey62"),
            f"{clients.answered:,}" if clients else words.UNKNOWN,
        ),
        Text.assemble(
            ("failed or timed out  ", "grey62"),
            (str(clients.lost), "bold red" if clients.lost else "green") if clients else words.UNKNOWN,
        ),
        _late(clients),
    )
    return Panel(table, border_style="grey37")


def _beside(scene: Scene) -> list[RenderableType]:
    """What an HPA does with the same requests; nothing where none runs."""
    beside = scene.beside
    if beside is None:
        return []
    table = Table.grid(expand=True, padding=(0, 1))
    for _ in range(3):
        table.add_column(ratio=1)
    seen = beside.clients
    ready = f"{words.whole(beside.ready)} / {words.whole(beside.desired)}"
    table.add_row(
        Text.assemble((" ready / desired  ", "grey62"), (ready, "bold")),
        Text.assemble(
            ("clients, last 10 s  ", "grey62"), (words.share(seen.recent_within_ratio if seen else None), "bold")
        ),
        Text.assemble(("cost so far  ", "grey62"), (words.amount(beside.spent), "bold")),
    )
    table.add_row("", "", _late(seen))
    title = "beside it: an HPA with its defaults on CPU pods alone, and the same requests"
    return [Panel(table, title=title, title_align="left", border_style="grey37")]


def _late(seen: Clients | None) -> Text:
    count = words.UNKNOWN if seen is None else f"{seen.late + seen.lost:,} of {seen.due:,}"
    return Text.assemble(("late or lost  ", "grey62"), (count, "bold"))


def _decisions(scene: Scene) -> RenderableType:
    table = Table.grid(expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for seen in scene.snapshot.decisions[:DECISIONS_SHOWN]:
        at = datetime.fromtimestamp(seen.time_seconds, UTC).astimezone().strftime("%H:%M:%S")
        mix = ", ".join(f"{name} {count} ({seen.weights.get(name, 0)})" for name, count in seen.replicas.items())
        table.add_row(Text.assemble((f" {at}  ", "grey62"), (f"{mix}  ", "bold"), (seen.reason, "bold cyan")))
        table.add_row(Text(f"           {seen.message}", "grey70"))
    if not scene.snapshot.decisions:
        table.add_row(Text(" none yet", "grey62"))
    title = "last decisions: replicas (weight of 1000), and why"
    return Panel(table, title=title, title_align="left", border_style="grey37", height=2 + 2 * DECISIONS_SHOWN)


def compact(scene: Scene) -> str:
    """One line, for logs: ``[120/540 s] load 83/s (forecast up to 104/s) p95 50-99 ms ...``."""
    snapshot = scene.snapshot
    at = (
        "waiting"
        if scene.elapsed_seconds is None
        else f"{min(scene.elapsed_seconds, scene.schedule.seconds):.0f}/{scene.schedule.seconds} s"
    )
    pools = "  ".join(
        f"{pool.name}{' (emulated)' if pool.emulated else ''} {words.whole(pool.ready)}/{words.whole(pool.desired)} "
        f"w{words.whole(pool.weight)} {_short(pool.percentile_seconds)}"
        for pool in snapshot.pools
    )
    lost = f"  lost {scene.clients.lost}" if scene.clients else ""
    parts = [
        f"[{at}]{' FLASH' if scene.in_flash else ' warm-up' if scene.in_warm_up else ''} load {words.rate(snapshot.load_per_second)} "
        f"(forecast up to {words.rate(snapshot.forecast_upper_per_second)})",
        pools,
        f"all {_short(snapshot.percentile_seconds)} {words.share(snapshot.within_ratio)} in time{lost}",
        f"cost {words.amount(scene.spent)}",
        f"{snapshot.state or words.UNKNOWN} {snapshot.reason or ''}".rstrip(),
    ]
    if scene.beside is not None:
        seen, pods = scene.beside.clients, f"{words.whole(scene.beside.ready)}/{words.whole(scene.beside.desired)}"
        within = words.share(seen.recent_within_ratio if seen else None)
        parts.append(f"| HPA {pods} {within} in time  cost {words.amount(scene.beside.spent)}")
    return "  ".join(parts)


def _short(value: Bracket | None) -> str:
    return words.milliseconds(value).replace(" ", "")
