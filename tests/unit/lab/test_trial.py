"""`make try`: the verdict is fair for every way that a comparison can end, and a short one runs from end to end."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from recmodel.lab.controllers.hindsight import ALLOWED_OVER_RATIO
from recmodel.lab.trial import __main__ as command
from recmodel.lab.trial import contest
from recmodel.lab.trial.__main__ import day_before, main, sample_case
from recmodel.lab.trial.contest import ENGINE, HPA, KEDA, TUNED, Ran, Task, run_all, run_one
from recmodel.lab.trial.progress import Progress
from recmodel.lab.verdict import Judgement, Standing, judgement, table, verdict

OTHER = Standing("KEDA", cost=100.0, minutes=720, minutes_over=3, late_ratio=0.0020, changes=9)
W, L, T, D = Judgement.WINS, Judgement.LOSES, Judgement.TRADES, Judgement.DRAWS


@pytest.mark.parametrize(
    ("cost", "late_ratio", "minutes_over", "expected"),
    [
        (90.0, 0.0020, 3, W),
        (90.0, 0.0010, 3, W),
        (90.0, 0.0021, 3, T),  # cheaper, but a larger share was late
        (90.0, 0.0020, 4, T),  # cheaper, but over more often
        (50.0, 0.0010, 4, T),  # one measure is enough, however much cheaper
        (90.0, 0.00204, 3, W),  # both are printed as 0.20 %
        (99.0, 0.0020, 3, D),  # what chance alone moves a cost by
        (99.0, 0.0010, 3, W),
        (101.0, 0.0010, 3, W),
        (99.0, 0.0030, 3, L),
        (99.0, 0.0030, 2, D),
        (110.0, 0.0020, 3, L),
        (110.0, 0.0030, 9, L),
        (110.0, 0.0010, 3, T),  # dearer, but late less often
    ],
)
def test_what_is_cheaper_does_not_win_where_it_was_late_more_often(
    cost: float, late_ratio: float, minutes_over: int, expected: Judgement
) -> None:
    mine = replace(OTHER, name="RecModel", cost=cost, late_ratio=late_ratio, minutes_over=minutes_over)
    assert judgement(mine, OTHER) is expected
    # Seen from the other side it is the reverse.
    assert judgement(OTHER, mine) is {W: L, L: W}.get(expected, expected)


def test_the_verdict_is_one_line_with_the_figures_behind_it() -> None:
    mine = replace(OTHER, name="RecModel", cost=80.0, late_ratio=0.0015)
    hpa = Standing("the HPA", cost=160.0, minutes=720, minutes_over=0, late_ratio=0.0001, changes=4)
    dear = Standing("static", cost=60.0, minutes=720, minutes_over=0, late_ratio=0.0, changes=0)
    assert verdict(mine, [hpa, dear, OTHER], 0.005) == (
        "RecModel wins against KEDA: 20% cheaper, late less often (0.15% of the requests against 0.20%). "
        "RecModel loses against static: 33% dearer, late more often (0.15% of the requests against 0.00%, 3 minutes over against 0). "
        "RecModel is 50% cheaper than the HPA, but late more often (0.15% of the requests against 0.01%, "
        "3 minutes over against 0); both keep to 0.5% of the minutes over."
    )
    mixed = replace(OTHER, name="RecModel", cost=100.0, late_ratio=0.0015, minutes_over=5)
    assert (
        "draws with KEDA: as cheap (within 2%), late more often by one measure and less often by the other"
        in verdict(mixed, [OTHER], 0.005)
    )
    over = replace(mine, cost=50.0, minutes_over=4)  # of 720: more than 0.5 %
    assert verdict(over, [OTHER], 0.005) == (
        "RecModel is 50% cheaper than KEDA, late more often by one measure and less often by the other (0.15% of the requests against "
        "0.20%, 4 minutes over against 3)."
    )
    assert table([mine, hpa]).splitlines() == [
        "           cost  minutes over   late  changes of replicas",
        "RecModel   80.0      3 of 720  0.15%                    9",
        "the HPA   160.0      0 of 720  0.01%                    4",
    ]


@pytest.mark.usefixtures("compiled_simulator")
def test_twelve_minutes_run_from_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processes of their own, as `make try` runs them; the search is of one share."""
    monkeypatch.setattr(command, "Task", lambda *of: Task(*of, shares=(0.9,), targets=(0.6, 0.8)))
    picture = tmp_path / "try.png"
    assert main(["--hours", "0.2", "--day", "12", "--jobs", "2", "--picture", str(picture)]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("load: tencent_14, day 12, 11:54 to 12:06: ")
    (said,) = [line for line in lines if line.startswith("verdict: ")]
    assert " the best KEDA setting" in said
    assert " the HPA" in said
    assert [line.split("  ")[0] for line in lines if " of 12 " in line] == [
        "RecModel", "KEDA as tuned on the day before", "the best KEDA setting", "the HPA",
    ]  # fmt: skip
    assert lines[-1] == f"picture: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert {f"{name} 100%" for name in (ENGINE, TUNED, KEDA, HPA)} <= set(printed.err.splitlines())


@pytest.mark.usefixtures("compiled_simulator")
def test_no_setting_may_be_good_enough() -> None:
    case = sample_case(command.LOAD, hours=0.1)
    impossible = Task(case, targets=(0.95,), shares=(1.0,), most_over_ratio=-1.0)  # fewer minutes than none
    keda, hpa = (run_one(name, impossible, lambda *_: None) for name in (KEDA, HPA))
    assert keda.result is None
    ran = {ENGINE: hpa, KEDA: keda, HPA: hpa}
    told = command.told(ran, case)
    assert "the best KEDA setting: none" in told
    assert "best KEDA setting" not in told.split("verdict: ")[1].splitlines()[0]


def test_the_day_before_has_the_same_hours_and_scale() -> None:
    today, yesterday = (
        sample_case(command.LOAD, number, peak_per_second=peak) for number, peak in ((12, 1500.0), (11, 1.0))
    )
    before = day_before(today, command.LOAD, 12)
    assert before is not None
    assert today.history is not None
    assert len(before.rates) == len(today.rates)
    assert before.rates / before.rates.max() == pytest.approx(yesterday.rates)
    # The end of the history is the minutes before the judged hours; half a day before them is the end of the same hours a day earlier.
    ended = today.history.between(today.history.days - 0.51, today.history.days - 0.5).per_second()
    assert before.rates[-len(ended) :] == pytest.approx(ended, rel=0.05)
    assert day_before(sample_case(command.LOAD, 0, hours=24.0), command.LOAD, 0) is None


@pytest.mark.parametrize(("over", "again"), [(0.0, []), (ALLOWED_OVER_RATIO, []), (0.02, [(KEDA, 0.02)])])
def test_keda_may_be_over_as_often_as_the_engine(
    over: float, again: list[tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float]] = []

    class Over:
        minutes_over_ratio = over

        def summary(self) -> Over:
            return self

    def count(name: str, task: Task, _: object) -> Ran:
        asked.append((name, task.most_over_ratio))
        return Ran("", Over())  # type: ignore[arg-type]

    monkeypatch.setattr(contest, "run_one", count)
    run_all(Task(sample_case(command.LOAD, hours=0.1)), lambda *_: None, 1)
    assert asked == [(name, ALLOWED_OVER_RATIO) for name in (ENGINE, KEDA, HPA)] + again


def test_progress_is_one_line_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    progress = Progress(out, ("a", "b"))
    progress("a", 0.5)
    progress("b", 1.0)
    progress.end()
    assert out.getvalue() == "\ra  50%   b   0%\ra  50%   b 100%\n"


def test_a_day_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--day", "99"])
    assert "not inside a load of 16.00 days" in capsys.readouterr().err
