"""One change of the engine, run on all rows in an interpreter of its own: ``python -m recmodel.lab.benchmark.varied ROWS VARIATION``.

``ROWS`` is a file of :mod:`recmodel.lab.benchmark.rows`, ``VARIATION`` the change as JSON; prints cost and share of minutes over of each
row as one line of JSON. The core is imported after the change is installed, so this module imports nothing of it before.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from recmodel.lab.benchmark.variations import Variation, install


def main(rows_file: Path, variation: Variation) -> str:
    """The line of JSON."""
    install(variation)
    rows = importlib.import_module("recmodel.lab.benchmark.rows")
    figures = rows.run_rows(rows.read_rows(rows_file), variation)
    return json.dumps([[figure.cost, figure.over_ratio] for figure in figures])


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1]), Variation(**json.loads(sys.argv[2]))) + "\n")
