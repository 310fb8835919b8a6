"""One reader of one format: what `decide --history` takes, `simulate` and `backtest` take, with the same numbers."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from recmodel.decide import read_history
from recmodel.lab.trace import read_trace

NAN = float("nan")
TAKEN: dict[str, tuple[bytes, list[float], list[float]]] = {
    "a missing row": (b"seconds,rps\n0,60\n300,62\n900,61\n1200,64\n", [0, 300, 600, 900, 1200], [60, 62, NAN, 61, 64]),
    "a first row missing": (b"seconds,rps\n0,60\n600,62\n900,61\n", [0, 300, 600, 900], [60, NAN, 62, 61]),
    "a byte order mark": ("\ufeffseconds,rps\n0,60\n300,62\n".encode(), [0, 300], [60, 62]),
    "line ends of Windows": (b"seconds,rps\r\n0,60\r\n300,62\r\n\r\n", [0, 300], [60, 62]),
    "empty and NaN": (b"seconds,rps\n100,1\n160,\n220,NaN\n280,4\n340\n", [100, 160, 220, 280, 340], [1, NAN, NAN, 4, NAN]),
    "no rates": (b"seconds,rps\n0,5\n60,-1\n120,inf\n180, 7.5\n", [0, 60, 120, 180], [5, NAN, NAN, 7.5]),
    "gzip": (gzip.compress(b"seconds,rps\n0,5\n60,6\n"), [0, 60], [5, 6]),
    "another column": (b"seconds,rps,mark\n0,5,\n60,6,flash\n", [0, 60], [5, 6]),
    "fractions": (b"seconds,rps\n0.1,5\n0.2,6\n0.4,7\n", [0.1, 0.2, 0.3, 0.4], [5, 6, NAN, 7]),
}  # fmt: skip
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the header must be seconds,rps"),
    "another header": (b"time,load\n0,1\n", "the header must be seconds,rps, not 'time,load'"),
    "no time": (b"seconds,rps\n0,1\nx,2\n", "line 3: 'x' is not a number of seconds"),
    "an infinite time": (b"seconds,rps\n0,1\ninf,2\n", "line 3: 'inf' is not a finite number of seconds"),
    "no rate": (b"seconds,rps\n0,1\n60,many\n", "line 3: 'many' is not a number of requests/s"),
    "the same time": (b"seconds,rps\n0,1\n60,2\n60,3\n", "line 4: seconds must rise"),
    "an uneven step": (b"seconds,rps\n0,1\n60,2\n\n130,3\n", "line 5: the step is 70 s, not 60 s or a multiple"),
    "milliseconds": (b"seconds,rps\n0,1\n60,2\n1700000000000,3\n", "more than 10000000 steps of 60 s"),
    "no text": (b"seconds,rps\n0,1\n60,\xff\n", "not a CSV file in UTF-8"),
    "half a gzip": (gzip.compress(b"seconds,rps\n0,5\n60,6\n")[:20], "not a CSV file in UTF-8"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_both_commands_read_the_same_load(case: str, tmp_path: Path) -> None:
    raw, seconds, rates = TAKEN[case]
    path = tmp_path / "load.csv"
    path.write_bytes(raw)
    trace, (history_seconds, history) = read_trace(path), read_history(path)
    np.testing.assert_allclose(trace.seconds, seconds)
    np.testing.assert_array_equal(trace.rates, rates)
    np.testing.assert_array_equal(history_seconds, trace.seconds)
    np.testing.assert_array_equal(history, trace.rates)


@pytest.mark.parametrize("case", REFUSED)
def test_both_commands_refuse_the_same_file_with_its_line(case: str, tmp_path: Path) -> None:
    raw, message = REFUSED[case]
    path = tmp_path / "load.csv"
    path.write_bytes(raw)
    for read in (read_trace, read_history):
        with pytest.raises(ValueError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)
