"""``recmodel doctor`` in the operator's pod: nothing is wrong with what serves, and what is wrong is named."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from installed import OPERATOR_NAMESPACE, RELEASE
from kube import Kube, eventually
from requests_sent import Load
from serving import Pool, Served
from side_by_side import together

from recmodel.cluster import names

pytestmark = pytest.mark.cluster


def doctor(*recmodels: str) -> subprocess.CompletedProcess[str]:
    command = ("kubectl", "exec", "-n", OPERATOR_NAMESPACE, f"deployment/{RELEASE}", "--", "recmodel", "doctor")
    return subprocess.run([*command, *recmodels], capture_output=True, text=True, timeout=60, check=False)


@together
def test_what_serves_is_found_right_and_what_cannot_start_is_named(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(Pool())
    served.wait_ready()
    key = f"{served.namespace}/{served.name}"
    with Load(served, 10.0):
        eventually("the objective is met", served.has("ObjectiveMet", "True"), 90.0)
        well = eventually("nothing is wrong", lambda: found if (found := doctor(key)).returncode == 0 else None, 60.0)
    assert "PROBLEM" not in well.stdout
    for said in (
        "everything that the operator does is allowed",
        "acts",
        "answers in",
        "scraped every 5 s",
        "an edge at 100ms",
    ):
        assert said in well.stdout, well.stdout
    gone = doctor(f"{served.namespace}/nobody")
    assert (gone.returncode, "there is no such RecModel" in gone.stdout) == (1, True)
    kube.merge(names.RECMODEL, served.namespace, served.name, {"spec": {"route": {"parentRefs": [{"name": "none"}]}}})
    ill = eventually("the route is refused", lambda: found if (found := doctor(key)).returncode == 1 else None, 60.0)
    assert f"{key}: Ready is False" in ill.stdout, ill.stdout
