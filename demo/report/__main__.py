"""Writes the report of a run: ``python -m report --run DIR`` makes DIR/report.png and DIR/report.html.

Exits 0 only if the run was sound (requests answered, decisions made, fewer than 1 % failed), else 1 and says why. The
addresses come from the environment: KUBECONFIG, PROMETHEUS_URL.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.session import Connection, PrometheusError
from report.collect import RunIncomplete, collect
from report.dress import DARK, LIGHT
from report.figures import picture
from report.measures import measures
from report.page import page
from report.table import rows, verdict
from watch.kubernetes_api import KubernetesApi, NotAnswered


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="write the report of a replay")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--namespace", default="demo")
    parser.add_argument("--name", default="ranker")
    arguments = parser.parse_args()
    prometheus = PrometheusClient(
        Connection(os.environ["PROMETHEUS_URL"], read_timeout_seconds=20.0, deadline_seconds=30.0)
    )
    try:
        run = collect(arguments.run, KubernetesApi(), prometheus, arguments.namespace, arguments.name)
    except (RunIncomplete, NotAnswered, PrometheusError, OSError) as error:
        print(f"no report: {error}", file=sys.stderr)
        return 1
    finally:
        prometheus.close()
    found = measures(run)
    (arguments.run / "report.png").write_bytes(picture(run, found, LIGHT))
    # In the page the title stands above the picture already.
    pictures = [picture(run, found, dress, title=False) for dress in (LIGHT, DARK)]
    (arguments.run / "report.html").write_text(page(run, found, *pictures))
    table = rows(run, found)
    width, figures = max(len(row.what) for row in table), max(len(row.figure) for row in table)
    if found.beside is not None:
        print(f"  {'':<{width}}  {'RecModel':<{figures}}  HPA")
    for row in table:
        print(f"  {row.what:<{width}}  {row.figure:<{figures}}  {row.beside}".rstrip())
    against = verdict(found)
    if against:
        print(f"  {against}")
    for name in ("report.html", "report.png"):
        print(f"  {arguments.run / name}")
    for problem in found.problems():
        print(f"the run was not sound: {problem}", file=sys.stderr)
    return 1 if found.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
