"""``recmodel backtest`` and ``recmodel report`` as their pages have them: a pod of the operator's own image, with an address of Prometheus
and no rights.
"""

from __future__ import annotations

import re
import subprocess
import time

import pytest
from figures import measured
from installed import OPERATOR_NAMESPACE, RELEASE
from kube import Kube, eventually
from requests_sent import Load
from serving import Served
from side_by_side import together
from test_attach import CALM_PER_SECOND, existing, referring, wait_until_it_answers

from recmodel.cluster import names
from recmodel.controller.past import LEAST_MINUTES, NEWEST_SECONDS

pytestmark = pytest.mark.cluster


def asked(kube: Kube, command: str, namespace: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The one line of a page; its pod has neither an account's token nor a right."""
    operator = kube.get(names.DEPLOYMENT, OPERATOR_NAMESPACE, RELEASE)
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    pod = ("kubectl", "run", f"recmodel-{command}", "-n", namespace, "--rm", "-i", "--quiet", "--restart=Never")
    image = (
        f"--image={container['image']}",
        "--image-pull-policy=IfNotPresent",
        '--overrides={"spec": {"automountServiceAccountToken": false}}',
    )
    program = ("recmodel", command, "--prometheus", "http://prometheus.monitoring:9090", "--namespace", namespace)
    return subprocess.run(
        [*pod, *image, "--", *program, *arguments], capture_output=True, text=True, timeout=240, check=False
    )  # fmt: skip


@together
def test_what_ran_is_judged_by_a_pod_without_rights(kube: Kube, namespace: str) -> None:
    existing(kube, namespace)
    wait_until_it_answers(kube, namespace)
    with Load(Served(kube, referring(namespace)), CALM_PER_SECOND, url=f"http://shop-ranker.{namespace}/"):
        time.sleep(
            (LEAST_MINUTES + 1) * 60.0 + NEWEST_SECONDS
        )  # whole minutes, of which the newest sample has been read
        found = eventually("the past is judged", lambda: _judged(kube, namespace), 120.0)
    first = found.splitlines()[0]
    measured("recmodel backtest on the cluster's own Prometheus", first)
    assert re.search(r"(cheaper|dearer), at most \d+ minutes? over instead of \d+, over \d minutes: ", first), found
    (row,) = (line for line in found.splitlines() if line.startswith("what ran "))
    hours, minutes = float(row.split()[2]), int(re.findall(r"over (\d) minutes", first)[0])
    assert abs(hours - minutes / 60.0) <= 0.051, "one replica ran"
    assert "replicas are counted by the pods whose pages are read" in found
    assert re.search(r"Your replicas of shop-ranker were never loaded beyond 1\d(\.\d)? requests/s each", found), found

    _reported(kube, namespace)

    wrong = asked(kube, "backtest", namespace, "--deployment", "nobody", "--from", "10m")
    assert wrong.returncode != 0
    said = wrong.stdout + wrong.stderr
    assert "Prometheus has no histogram of request times of the pods of nobody" in said, said
    assert "Traceback" not in said


def _reported(kube: Kube, namespace: str) -> None:
    """The page of the same minutes."""
    ended = asked(
        kube, "report", namespace, "--deployment", "shop-ranker", "--from", "10m", "--cost", "shop-ranker=0.2"
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("<!doctype html>"), ended.stdout[:200]
    assert ended.stdout.rstrip().endswith("</html>"), ended.stdout[-200:]
    (first,) = re.findall(r'<p class="first">(.*?)</p>', ended.stdout)
    measured("recmodel report on the cluster's own Prometheus", first)
    assert first in ended.stderr
    assert re.match(
        r"p95 was (at most )?[\d.]+( to [\d.]+)? m?s in the busiest hour \(\d\d:00\), \d of [12] hours were over", first
    ), first
    assert "<b>not known</b><span>mean latency</span>" in ended.stdout, "the server's page has no sum of its histogram"
    assert "as Prometheus has no _sum of its histogram" in ended.stdout
    load = float(re.findall(r"<b>([\d.]+)/s</b><span>mean load", ended.stdout)[0])
    assert load == pytest.approx(CALM_PER_SECOND, rel=0.4)


def _judged(kube: Kube, namespace: str) -> str:
    ended = asked(kube, "backtest", namespace, "--deployment", "shop-ranker", "--from", "10m", "--startup", "10")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
