"""What the running operator of this pod says of KEDA's external scaler, on its own page of metrics."""

from __future__ import annotations

import re

import requests

from recmodel.controller.metrics import Metrics
from recmodel.controller.settings import Settings
from recmodel.report import checks
from recmodel.report.checks import Check

SECONDS = 3.0
NAME = vars(Metrics)["scaler_failed"].name


def external_scaler(settings: Settings) -> Check:
    """One line of the page. Whether something listens at the port would not say that it is the operator."""
    page = f"http://{settings.listen_address}:{settings.metrics_port}/metrics"
    if not settings.metrics_port:
        return checks.external_scaler(
            None, "the operator has no page of metrics (metrics_port is 0), and its log says it"
        )
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy lies between two processes of a pod
            text = session.get(page, timeout=SECONDS).text
    except requests.RequestException:
        return checks.external_scaler(None, f"the operator does not answer at {page}: run this in its pod")
    found = re.search(rf"^{NAME} (\S+)$", text, re.MULTILINE)
    if found is None:
        return checks.external_scaler(
            None, f"what answers at {page} has no {NAME}: it is another version, or no operator"
        )
    return checks.external_scaler(float(found[1]) > 0)
