"""The cluster that the tests run in: the images built, the operator installed by its chart, a namespace for each test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from figures import table
from installed import OPERATOR_NAMESPACE, RELEASE, ROOT, SCALE_TARGETS, TICK_SECONDS
from kube import Kube, eventually, run
from namespaces import SAID, fresh_namespace, namespaces_left, said_of
from operator_account import installed_account
from second_release import second_release
from serving import Served
from side_by_side import SideBySide, is_together, serving

from recmodel.cluster import names

# Cheap ones first, so that what is broken shows soon; the one that waits longest comes last. Files that are not named
# here come before all. Tests that are marked `together` run side by side, all in one place.
SIDE_BY_SIDE = "side by side"
ORDER = (
    "test_admission.py",
    SIDE_BY_SIDE,
    "test_attach.py",
    "test_handover.py",
    "test_scaled_kinds.py",
    "test_observing.py",
    "test_doctor.py",
    "test_children.py",
    "test_routes.py",
    "test_drift.py",
    "test_optimise_end.py",
    "test_ranker.py",
    "test_grpc.py",
    "test_weights.py",
    "test_rollout.py",
    "test_scaling.py",
    "test_refresh.py",
    "test_accuracy_budget.py",
    "test_accelerators.py",
    "test_lifecycle.py",
    "test_outages.py",
    "test_standby.py",
    "test_node_buffers.py",
    "test_keda.py",
    "test_steady.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order above within this folder, whatever shuffles; other tests keep their places."""
    here = Path(__file__).parent
    places = [i for i, item in enumerate(items) if item.path.parent == here]
    mine = sorted((items[i] for i in places), key=lambda item: (_place(item), item.path, item.location[1]))
    for place, item in zip(places, mine, strict=True):
        items[place] = item


def _place(item: pytest.Item) -> int:
    where = SIDE_BY_SIDE if is_together(item) else item.path.name
    return ORDER.index(where) if where in ORDER else -1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of what was measured."""
    if lines := table():
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A failed test shows its RecModels and what the operator said, before its namespace is gone."""
    report = yield
    if report.when == "call" and report.failed and SAID in item.stash:
        try:
            report.sections.append(("cluster", item.stash[SAID]()))
        except Exception as error:  # the failure itself must not be lost behind its explanation
            report.sections.append(("cluster", f"cannot be looked at: {error}"))
    return report


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """The API server of the cluster that ``make up`` brought up."""
    missing = [name for name in ("GATEWAY_ADDRESS", "PROMETHEUS_URL") if name not in os.environ]
    assert not missing, f'{missing} not set: make up, then eval "$(hack/cluster/env.sh)"'
    made = Kube()
    yield made
    made.close()


@pytest.fixture(scope="session")
def helm() -> str:
    """The helm binary: of the PATH, else the one that hack/cluster built."""
    found = shutil.which("helm")
    cache = Path(os.environ.get("RECMODEL_CACHE", Path.home() / ".cache" / "recmodel"))
    binaries = [found] if found else [str(path) for path in sorted(cache.glob("bin/helm-*/helm"))]
    assert binaries, "no helm: run `make up` first"
    return str(binaries[-1])


@pytest.fixture(scope="module")
def released(helm: str) -> Iterator[tuple[str, str]]:
    """A namespace with the account of a release, its rights and its policies; and the account."""
    with installed_account(helm) as found:
        yield found


@pytest.fixture(scope="session")
def operator(kube: Kube, request: pytest.FixtureRequest) -> Iterator[None]:
    """The operator, built from this checkout and installed with its chart; taken away again if it was not there."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # a build takes minutes: its progress is shown
        subprocess.run([ROOT / "hack" / "cluster" / "images.sh", "product"], check=True, timeout=1800)
    there = RELEASE in run("helm", "list", "-q", "-n", OPERATOR_NAMESPACE).split()
    repository = os.environ.get("IMAGE_PREFIX", "localhost/") + "recmodel"
    # By force: a test may have recreated the CRD, and then its fields are that test's.
    run(
        "helm", "upgrade", "--install", RELEASE, str(ROOT / "charts" / "recmodel"), "-n", OPERATOR_NAMESPACE,
        "--create-namespace", "--take-ownership", "--force-conflicts", "--wait", "--timeout", "180s",
        "--set", f"image.repository={repository}", "--set", "image.tag=dev",
        "--set", "prometheus.url=http://prometheus.monitoring:9090", "--set", "prometheus.scrapeIntervalSeconds=5",
        "--set", "prometheus.rateWindowSeconds=20", "--set", f"tickSeconds={TICK_SECONDS}",
        "--set-json", f"scaleTargets={json.dumps(SCALE_TARGETS)}",
        # The tag stays `dev` when the image behind it changes, so the pod says which build it is of.
        "--set-string", f"podAnnotations.recmodel\\.dev/build={image_mark()}",
        seconds=240.0,
    )  # fmt: skip
    yield
    eventually("the tests' namespaces are gone", lambda: not namespaces_left(kube), 120.0, every_seconds=1.0)
    if not there:
        run("helm", "uninstall", RELEASE, "-n", OPERATOR_NAMESPACE)


def image_mark() -> str:
    """The hash of what the operator's image was built from."""
    cache = Path(os.environ.get("RECMODEL_CACHE", Path.home() / ".cache" / "recmodel"))
    return "".join(sorted(path.read_text().strip() for path in (cache / "run" / "images").glob("*recmodel_dev")))


@pytest.fixture
def namespace(kube: Kube, operator: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own with the scripts of its pods; gone after it."""
    with fresh_namespace(kube) as name:
        request.node.stash[SAID] = lambda: said_of(name)
        yield name


@pytest.fixture
def other(kube: Kube, operator: None) -> Iterator[Callable[..., None]]:
    """Installs a second release in a namespace of its own, with these settings; gone again afterwards."""
    with second_release(kube) as install:
        yield install


@pytest.fixture
def serve(kube: Kube, namespace: str) -> Callable[..., Served]:
    """Applies a RecModel with these pools."""
    return serving(kube, namespace)


@pytest.fixture
def down(kube: Kube, operator: None) -> Iterator[Callable[[bool], None]]:
    """Ends the operator (True), and waits until it is gone, or has it run again (False); it runs again after the test."""
    of_it = ("-n", OPERATOR_NAMESPACE, f"deployment/{RELEASE}")

    def scale(away: bool) -> None:
        run("kubectl", "scale", *of_it, f"--replicas={0 if away else 1}")
        if away:
            labels = f"app.kubernetes.io/instance={RELEASE}"
            eventually("the operator is gone", lambda: not kube.list(names.POD, OPERATOR_NAMESPACE, labels), 60.0)

    yield scale
    scale(False)


@pytest.fixture(scope="session")
def side_by_side(kube: Kube, operator: None, request: pytest.FixtureRequest) -> Iterator[SideBySide]:
    """The tests that run side by side."""
    tests = SideBySide(kube, request.session.items)
    yield tests
    tests.close()
