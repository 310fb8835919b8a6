"""`recmodel report` against a real HTTP server: one run as in the operator's image, each way in which it can end, and a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from builders.past_prometheus import WORKLOAD, Other, PastShop, recent, run_as_in_the_image
from builders.weekly_past import week
from recmodel.cli import main
from recmodel.controller.weekly import pools_are, whose
from recmodel.lab.weekly.figures import report_of
from recmodel.lab.weekly.page import page

ROOT = Path(__file__).resolve().parents[2]
ASKED = ("report", "--namespace", "shop", "--deployment", "ranker")
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


def test_it_runs_with_what_the_image_has(tmp_path: Path) -> None:
    picture = tmp_path / "week.png"
    spent = Other(("request_seconds_sum",), WORKLOAD, lambda _: 3.0)
    with recent(load=lambda m: 60.0 + m, replicas=lambda _: 6.0, others=(spent,)).served() as url:
        ended = run_as_in_the_image(*ASKED, "--prometheus", url, "--from", "40m", "--figure", str(picture))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("<!doctype html>\n<html")
    assert ended.stdout.endswith("</html>\n")
    first, no_picture = ended.stderr.splitlines()
    assert re.match(
        r"p95 was 50 to 100 ms in the busiest hour \(\d\d:00\), 0 of \d hours were over the objective\. ", first
    )
    assert f'<p class="first">{first}</p>' in ended.stdout
    assert no_picture.startswith(f"no picture: {picture} needs matplotlib")


def test_the_page_and_the_picture_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, png = tmp_path / "week.html", tmp_path / "week.png"
    kinds = (
        Other(("topk(",), {"recmodel_kind": "/home"}, lambda _: 3.0),
        Other(("recmodel_kind, le)",), {"recmodel_kind": "/home", "le": "+Inf"}, lambda _: 4.0),
    )
    decided = (
        Other(("recmodel_decision_timestamp_seconds",), {"model": "ranker"}, lambda _: 1.0),
        Other(("recmodel_cost_per_hour",), {"model": "ranker"}, lambda _: 3.0),
        Other(("recmodel_pool_desired_replicas",), {"pool": "ranker"}, lambda _: 0.0),
    )
    with recent(others=(*kinds, *decided)).served() as url:
        asked = ["--prometheus", url, "--from", "40m", "--by", "path", "--html", str(html), "--figure", str(png)]
        assert main([*ASKED, *asked, "--time-zone", "Europe/Berlin"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert re.search(
        r" [12]\.\d\d was spent( in the 0\.6 of 0\.7 hours that are known)?\.$", printed.out.splitlines()[0]
    )
    assert printed.out.splitlines()[1:] == [f"page: {html}", f"picture: {png}"]
    text = html.read_text(encoding="utf-8")
    assert "/home" in text
    assert "Decisions of RecModel ranker" in text
    assert "Hours are those of Europe/Berlin" in text
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("case", "there", "arguments", "said"),
    [
        ("no such zone", recent(), ("--time-zone", "Berlin"), "--time-zone 'Berlin' must be a name of the IANA time zone"),
        ("both", recent(), ("--by", "path", "--route", "feed"), "--by and --route both tell the kinds of requests apart"),
        ("no label", recent(), ("--by", "a b"), "--by 'a b' is no label"),
        ("no share", recent(), ("--budget", "50"), "--budget '50': write a share of the minutes from 0.01% to 10%"),
        ("no such RecModel", recent(), ("--recmodel", "feed"), "--recmodel feed: Prometheus has no recmodel_decision_timestamp"),
        ("nothing there", recent(histogram="other"), ("--histogram", "x_seconds"), "no histogram of request times of the pods"),
        ("a price for nobody", recent(), ("--cost", "rnker=1"), "--cost rnker: no --deployment is called so; there is ranker"),
    ],
)  # fmt: skip
def test_each_way_out_is_one_line(
    case: str, there: PastShop, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with there.served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", *arguments]) == 2, case
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err, case
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "where"),
    [
        ("--html", "none/week.html"),
        ("--html", "folder"),
        ("--html", "notes.html"),
        ("--figure", "none/week.png"),
        ("--figure", "folder.png"),
        ("--figure", "notes.png"),
        ("--figure", "week.jpeg"),
        ("--figure", "week"),
    ],
)
def test_what_can_not_be_written_is_found_before_anything_is_asked(
    option: str, where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("folder", "folder.png"):
        (tmp_path / folder).mkdir()
    for notes in ("notes.html", "notes.png"):
        (tmp_path / notes).write_text("mine", encoding="utf-8")
    there = recent()
    with there.served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", option, str(tmp_path / where)]) == 2
    assert there.asked == []
    said = capsys.readouterr().err
    assert said.startswith(f"recmodel report: {option} {tmp_path / where}: ")
    assert said.count("\n") == 1
    for notes in ("notes.html", "notes.png"):
        assert (tmp_path / notes).read_text(encoding="utf-8") == "mine"


def test_a_page_takes_the_place_of_the_one_before_as_a_whole(tmp_path: Path) -> None:
    html = tmp_path / "week.html"
    before = page(report_of(week(1)))
    html.write_text(before, encoding="utf-8")
    with recent(histogram="other").served() as url:
        asked = [*ASKED, "--prometheus", url, "--from", "40m", "--html", str(html)]
        assert main([*asked, "--histogram", "x_seconds"]) == 2
    assert html.read_text(encoding="utf-8") == before
    with recent().served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", "--html", str(html)]) == 0
    assert html.read_text(encoding="utf-8") != before
    assert [path.name for path in tmp_path.iterdir()] == ["week.html"]


def test_what_is_missing_is_said_and_costs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = tmp_path / "week.html"
    refused = ("recmodel_decision_timestamp_seconds", "DCGM_FI_DEV_GPU_UTIL")
    with recent(refuses=refused).served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", "--html", str(html), "--route", "feed"]) == 0
    assert " replica-hours ran" in capsys.readouterr().out
    text = html.read_text(encoding="utf-8")
    for said in (
        "CPU utilisation is not known, as Prometheus has no container_cpu_usage_seconds_total",
        "No decisions: Prometheus refused the query with status 422",
        "A question was not answered, so what it asks for is not known: Prometheus refused the query with status 422",
        "Prometheus has no envoy_cluster_upstream_rq_time of the route feed",
    ):
        assert said in text


@pytest.mark.parametrize(("refuses", "fails"), [(("recmodel_kind",), ()), ((), ("recmodel_kind",))])
def test_it_is_not_said_that_no_request_has_a_label_of_which_nobody_answered(
    refuses: tuple[str, ...], fails: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "week.html"
    with recent(refuses=refuses, fails=fails).served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", "--html", str(html), "--by", "path"]) == 0
    assert " replica-hours ran" in capsys.readouterr().out
    text = html.read_text(encoding="utf-8")
    assert "has no requests with a label path" not in text
    assert "A question was not answered, so what it asks for is not known: Prometheus " in text


def test_a_server_that_answers_no_more_leaves_a_report_of_what_it_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "week.html"
    there = recent(fails=("[300000ms]",))
    with there.served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", "--html", str(html)]) == 0
    assert " replica-hours ran" in capsys.readouterr().out
    assert "No decisions: they were not asked for" in html.read_text(encoding="utf-8")
    assert not any("recmodel_decision_timestamp_seconds" in query for query in there.asked)


@pytest.mark.parametrize(
    ("case", "workloads", "found"),
    [
        ("each is of it", ("ranker-cpu", "ranker-gpu"), ["ranker"]),
        ("one is of another", ("ranker-cpu", "feed-cpu"), []),
        ("a name that only begins alike", ("rankers-cpu",), []),
        ("the workload itself", ("feed",), ["feed"]),
        ("two fit", ("ranker-eu-cpu",), ["ranker", "ranker-eu"]),
    ],
)
def test_a_recmodel_is_that_after_which_every_workload_is_named(
    case: str, workloads: tuple[str, ...], found: list[str]
) -> None:
    assert whose(["feed", "ranker", "ranker-eu"], workloads, {}) == found, case


def test_a_recmodel_that_says_which_workloads_its_pools_have_is_not_judged_by_names() -> None:
    there = ["feed", "ranker"]
    has = {"ranker": {"cpu": "other"}, "feed": {"cpu": "ranker-cpu", "gpu": "ranker-gpu"}}
    assert whose(there, ("ranker-cpu", "ranker-gpu"), has) == ["feed"]
    assert whose(there, ("ranker-cpu",), has) == ["feed"]
    assert whose(there, ("ranker-cpu",), {"ranker": {"cpu": "other"}}) == []


@pytest.mark.parametrize(
    ("model", "pools", "workloads", "same"),
    [
        ("ranker", ["cpu", "gpu"], ("ranker-cpu", "ranker-gpu"), True),
        ("ranker", ["cpu", "gpu"], ("ranker-cpu",), False),
        ("ranker", ["cpu"], ("ranker-cpu", "ranker-gpu"), False),
        ("ranker", ["ranker"], ("ranker",), True),
        ("ranker", ["cpu"], ("ranker-cpu", "cpu"), False),
        ("ranker", [], ("ranker",), False),
    ],
)
def test_whether_the_pools_of_a_recmodel_are_the_workloads(
    model: str, pools: list[str], workloads: tuple[str, ...], same: bool
) -> None:
    assert pools_are(model, pools, workloads, {}) is same


@pytest.mark.parametrize(
    ("pools", "workloads", "same"),
    [
        (["cpu", "gpu"], ("feed-a", "feed-b"), True),
        (["cpu", "gpu"], ("feed-a",), False),
        (["cpu", "gpu", "gone"], ("feed-a", "feed-b"), False),
        ([], ("feed-b", "feed-a"), True),
    ],
)
def test_the_pools_of_a_recmodel_have_the_workloads_that_the_operator_exports(
    pools: list[str], workloads: tuple[str, ...], same: bool
) -> None:
    assert pools_are("ranker", pools, workloads, {"cpu": "feed-a", "gpu": "feed-b"}) is same


def test_the_cost_of_other_pools_is_not_that_of_the_workloads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "week.html"
    decided = (
        Other(("recmodel_decision_timestamp_seconds",), {"model": "ranker"}, lambda _: 1.0),
        Other(("recmodel_cost_per_hour",), {"model": "ranker"}, lambda _: 3.0),
        Other(("recmodel_pool_desired_replicas",), {"pool": "cpu"}, lambda _: 0.0),
        Other(("recmodel_pool_desired_replicas",), {"pool": "gpu"}, lambda _: 0.0),
    )
    with recent(others=decided).served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", "--html", str(html)]) == 0
    assert " replica-hours ran" in capsys.readouterr().out
    assert (
        "The cost of RecModel ranker is left out: its pools are cpu, gpu, and the workloads named are ranker. Name the workload of each "
        "pool with --deployment, or give prices with --cost" in html.read_text(encoding="utf-8")
    )


def exported(**workloads: str) -> tuple[Other, ...]:
    """What the operator says of RecModel ``feed``, whose pools have these workloads; ``ranker`` is of other ones."""
    feed = {"model": "feed"}
    decided = ({"model": "ranker"}, feed)
    return (
        *(Other(("recmodel_decision_timestamp_seconds",), model, lambda _: 1.0) for model in decided),
        Other(("recmodel_pool_workload_info",), {"model": "ranker", "pool": "cpu", "workload": "other"}, lambda _: 9.0),
        *(
            Other(("recmodel_pool_workload_info",), {**feed, "pool": pool, "workload": name}, lambda _: 9.0)
            for pool, name in workloads.items()
        ),
        Other(("recmodel_cost_per_hour", '"feed"'), feed, lambda _: 3.0),
        *(Other(("recmodel_pool_desired_replicas",), {"pool": pool}, lambda _: 0.0) for pool in workloads),
    )


def test_the_cost_is_that_of_the_recmodel_whose_pools_have_these_workloads_whatever_they_are_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "week.html"
    with recent(others=exported(cpu="ranker")).served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", "--html", str(html)]) == 0
    assert re.search(r" [12]\.\d\d was spent", capsys.readouterr().out)
    assert "Decisions of RecModel feed" in html.read_text(encoding="utf-8")


def test_the_cost_of_more_workloads_than_those_named_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "week.html"
    with recent(others=exported(cpu="ranker", gpu="big")).served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", "--html", str(html)]) == 0
    assert " replica-hours ran" in capsys.readouterr().out
    assert (
        "The cost of RecModel feed is left out: its pools are cpu (workload ranker), gpu (workload big), and the workloads named are ranker"
        in html.read_text(encoding="utf-8")
    )


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_draws_it_and_complains_of_nothing(width: int, tmp_path: Path) -> None:
    html = tmp_path / "week.html"
    # The only script is this test's: it says how wide the page is, and how large each chart and its letters are.
    probe = (
        "<script>const boxes = [...document.querySelectorAll('svg[role=img]')].map(e => e.getBoundingClientRect());"
        "document.title = JSON.stringify({page: document.documentElement.scrollWidth, screen: innerWidth,"
        "charts: boxes.map(b => b.width), letters: 10.5 * boxes[0].width / 360})</script>"
    )
    whole = page(report_of(week()))
    html.write_text(
        re.sub(r'<meta http-equiv="[^>]*>', "", whole).replace("</body>", f"{probe}</body>"), encoding="utf-8"
    )
    found, _ = _seen(html, width, tmp_path)
    title = re.findall(r"<title>(.*?)</title>", found)[0]
    measured = {name: float(value) for name, value in re.findall(r'"(page|screen|letters)":([\d.]+)', title)}
    charts = [float(value) for value in re.findall(r"[\d.]+", title[title.index("charts") : title.index("letters")])]
    assert measured["page"] <= measured["screen"], "nothing has to be scrolled sideways"
    assert len(charts) == 11
    assert min(charts) > 300
    assert 9.0 < measured["letters"] < 18.0
    html.write_text(whole, encoding="utf-8")
    _, complaints = _seen(html, width, tmp_path)
    assert complaints == []
    html.write_text(whole.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    _, complaints = _seen(html, width, tmp_path)
    assert "Content Security Policy" in " ".join(complaints), "a script that came into the page would not run"


def _seen(html: Path, width: int, folder: Path) -> tuple[str, list[str]]:
    """The page as the browser has it, and what it logged on its console."""
    ended = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}", f"--window-size={width},2000", "--dump-dom", html.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return ended.stdout, [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
