"""`recmodel backtest --prometheus` against a real HTTP server: one run as in the operator's image, and each way in which it can end."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.past_prometheus import PastShop, recent, refusal, run_as_in_the_image
from recmodel.cli import main

ROOT = Path(__file__).resolve().parents[2]
ASKED = ("backtest", "--namespace", "shop", "--deployment", "ranker")


def test_it_runs_with_what_the_image_has(tmp_path: Path) -> None:
    picture = tmp_path / "past.png"
    with recent(load=lambda m: 60.0 + m, replicas=lambda _: 6.0).served() as url:
        ended = run_as_in_the_image(*ASKED, "--prometheus", url, "--from", "40m", "--figure", str(picture))
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert " than ScaledObject ranker (s0-prometheus at 20)" in lines[0]
    assert "limits of ranker: 1 to 8 replicas, of its autoscaler" in lines
    assert "a pod is taken to be Ready after 31 s, the median of kube-state-metrics" in lines
    assert (
        lines[-1]
        == f"no picture: {picture} needs matplotlib, which the operator's image has not; run it from a checkout for one"
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("case", "there", "arguments", "said"),
    [
        ("401", recent(replies=refusal(401)), (), "status 401 (execution): set RECMODEL_PROMETHEUS_TOKEN_FILE"),
        (
            "a page that is not Prometheus'",
            recent(replies=refusal(404)),
            (),
            "status 404 (execution): see whether --prometheus is the address",
        ),
        (
            "no such pods",
            recent(histogram="other"),
            ("--histogram", "x_seconds"),
            "no histogram of request times of the pods of ranker",
        ),
        ("no unit", recent(), ("--histogram", "took"), "its name must end in its unit: _seconds"),
        (
            "nothing in the range",
            recent(),
            ("--from", "9d", "--to", "8d"),
            "no requests of the pods of ranker in this range",
        ),
        ("too short", recent(), ("--from", "2m"), "minutes, and 5 are the least: set --from or --to"),
        (
            "no time",
            recent(),
            ("--from", "yesterday"),
            "--from 'yesterday': write how long ago it is, as 14d or 90m, or a time",
        ),
        ("no replicas", recent(replicas=lambda _: None), (), "the replicas of ranker are known of 0 minutes"),
        ("two prices", recent(), ("--deployment", "gpu", "--cost", "ranker=1"), "--cost gpu=PRICE is missing"),
        (
            "a price for nobody",
            recent(),
            ("--cost", "rnker=1"),
            "--cost rnker: no --deployment is called so; there is ranker",
        ),
        ("the benchmark's peak", recent(), ("--peak", "1500"), "--prometheus judges what ran: --peak"),
    ],
)
def test_each_way_out_is_one_line(
    case: str, there: PastShop, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with there.served() as url:
        assert main([*ASKED, "--prometheus", url, "--from", "40m", *arguments]) == 2, case
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err, case
    assert printed.err.startswith("recmodel backtest: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1", "could not be reached (ConnectionError): see whether --prometheus is its address"),
        ("prometheus:9090", "write http(s)://HOST[:PORT][/PATH]"),
        ("http://user:secret@prometheus", "must be http(s)://HOST[:PORT][/PATH], without user"),
    ],
)
def test_an_address_that_is_none(url: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, "--prometheus", url]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_tls_with_a_certificate_of_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with recent().served() as url:
        assert main([*ASKED, "--prometheus", url.replace("http", "https")]) == 2
    printed = capsys.readouterr().err
    assert "RECMODEL_PROMETHEUS_CA_FILE" in printed
    assert printed.count("\n") == 1


def test_neither_prometheus_nor_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest"]) == 2
    assert (
        "name your Prometheus (--prometheus URL --namespace NAME --deployment NAME), or a file"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (*ASKED, "--prometheus", "http://127.0.0.1:9"),
        ("backtest", "--model", "no.yaml", "--load", "no.csv"),
        ("simulate", "--model", "no.yaml", "--load", "no.csv"),
    ],
)
def test_a_picture_that_can_not_be_written_is_found_before_anything_is_read(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "none" / "past.png"
    assert main([*arguments, "--figure", str(picture)]) == 2
    assert capsys.readouterr().err == (
        f"recmodel {arguments[0]}: --figure {picture}: {picture.parent} is no folder that can be written to: name a file in another one\n"
    )
