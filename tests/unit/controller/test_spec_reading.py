"""Reading a RecModel and the settings: what is refused, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from builders.good_spec import GOOD, changed
from recmodel.api.permitted import Permitted
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.controller.settings import from_environment
from recmodel.controller.spec_reading import read_spec
from recmodel.controller.views import cpu_limit_cores
from recmodel.core.types import Reason


def test_a_good_spec_is_read() -> None:
    assert isinstance(read_spec(GOOD), RecModelSpec)


BAD = {
    "spec/objective/latency/threshold": ("fast", "spec.objective.latency.threshold is 'fast': String should match"),
    "spec/pools/0/replicas/max": (0, "spec.pools[0].replicas.max is 0: Input should be greater than or equal to 1"),
    "spec/pools/0/replicas": (
        {"min": 5, "max": 2}, "spec.pools[cpu].replicas.min is 5: must not be above replicas.max, 2"),
    "spec/pools/0/variant": ("int8", "spec.pools[cpu].variant is 'int8': must be the name of one of spec.variants, []"),
    "spec/pools/0/template/spec/hostNetwork": (True, "spec.pools[0].template.spec.hostNetwork is True: must be false"),
    "spec/pools/0/template/spec/serviceAccountName": (
        "admin", "spec.pools[cpu].template.spec.serviceAccountName is 'admin': the operator's setting"),
    "spec/metrics": ({"profile": "custom"}, "spec.metrics.profile is 'custom': metrics.custom must be set"),
    "metadata/name": ("f" * 50, "longer than 52 characters"),
    "spec/pools": ([GOOD["spec"]["pools"][0]] * 2, "spec.pools[].name is ['cpu', 'cpu']: each name may stand once"),
    "spec": ({}, "spec.objective is {}: Field required; spec.pools is {}: Field required"),
}  # fmt: skip


def test_a_model_of_a_page_is_named_only_where_the_profile_can_tell() -> None:
    found = read_spec(changed("spec/metrics", {"model": "ranker"}))
    assert isinstance(found, Reason)
    assert (
        "spec.metrics.model is 'ranker': metrics.model is for the profiles triton, tensorflow-serving" in found.message
    )
    assert isinstance(read_spec(changed("spec/metrics", {"model": "ranker", "profile": "triton"})), RecModelSpec)


@pytest.mark.parametrize("path", BAD)
def test_a_refusal_names_the_field_the_value_and_the_rule(path: str) -> None:
    value, said = BAD[path]
    found = read_spec(changed(path, value))
    assert isinstance(found, Reason)
    assert found.reason == "InvalidSpec"
    assert said in found.message


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"steps": ["5%", "50%", "25%"]}, "steps is ['5%', '50%', '25%']: must rise, beginning above 0%"),
        ({"steps": ["0%", "50%"]}, "steps is ['0%', '50%']: must rise"),
        ({"maxLateExcess": "0%"}, "maxLateExcess is '0%': must be above 0%"),
        ({"maxErrorExcess": "0.0%"}, "maxErrorExcess is '0.0%': must be above 0%"),
        ({"quality": {"successes": {"name": "a"}, "trials": {"name": "b"}, "maxLoss": "0%"}},
         "quality.maxLoss is '0%': must be above 0%"),
        ({"stepDuration": "soon"}, "stepDuration is 'soon': String should match"),
    ],
)  # fmt: skip
def test_rules_of_a_rollout_that_make_no_sense_are_refused(rules: dict[str, Any], said: str) -> None:
    found = read_spec(changed("spec/rollout", rules))
    assert isinstance(found, Reason)
    assert f"spec.rollout.{said}" in found.message


def test_a_profile_without_percentiles_is_refused_with_the_way_out() -> None:
    found = read_spec(changed("spec/metrics", {"profile": "torchserve"}))
    assert isinstance(found, Reason)
    assert found.message.startswith("spec.metrics.profile is 'torchserve': ")


def test_an_allowed_service_account_is_taken() -> None:
    body = changed("spec/pools/0/template/spec/serviceAccountName", "server")
    assert isinstance(read_spec(body, Permitted(("server",))), RecModelSpec)


def test_a_secret_in_a_wrong_place_is_not_repeated_at_length() -> None:
    found = read_spec(changed("spec/objective", "x" * 10_000))
    assert isinstance(found, Reason)
    assert len(found.message) < 300


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({"cpu": "500m"}, 0.5),
        ({"cpu": 2}, 2.0),
        ({"cpu": "1.5"}, 1.5),
        ({"memory": "1Gi"}, None),
        ({"cpu": 0.5}, 0.5),
        ({"cpu": "1e-1"}, 0.1),
        ({"cpu": ".25"}, 0.25),
        ({"cpu": "2E0"}, 2.0),
        ({"cpu": "0.002k"}, 2.0),
    ],
)
def test_the_cpu_limit_of_a_pod(limits: dict[str, Any], cores: float | None) -> None:
    body = changed("spec/pools/0/template/spec/containers/0/resources", {"limits": limits})
    spec = read_spec(body)
    assert isinstance(spec, RecModelSpec)
    assert cpu_limit_cores(spec.pools[0]) == cores


def test_a_side_car_counts_for_the_cpu_limit_and_what_has_ended_does_not() -> None:
    limited = {"image": "p:1", "resources": {"limits": {"cpu": "250m"}}}
    body = changed("spec/pools/0/template/spec/containers/0/resources", {"limits": {"cpu": "1"}})
    pod = body["spec"]["pools"][0]["template"]["spec"]
    pod["initContainers"] = [{"name": "fetch", "image": "f:1"}, {"name": "proxy", "restartPolicy": "Always", **limited}]
    spec = read_spec(body)
    assert isinstance(spec, RecModelSpec)
    assert cpu_limit_cores(spec.pools[0]) == 1.25


@pytest.mark.parametrize(("written", "ratio"), [(95, 0.95), ("95", 0.95), (99.9, 0.999), ("99.9", 0.999), (50, 0.5)])
def test_the_percentile_is_a_number_or_text(written: Any, ratio: float) -> None:
    spec = read_spec(changed("spec/objective/latency/percentile", written))
    assert isinstance(spec, RecModelSpec)
    assert spec.objective.latency.within_ratio == ratio == spec.model("shop/feed").within_ratio


@pytest.mark.parametrize(("written", "budget"), [(None, 0.005), ("0.01%", 0.0001), ("2%", 0.02), ("10%", 0.1)])
def test_the_latency_budget_is_a_share_of_the_minutes(written: str | None, budget: float) -> None:
    spec = read_spec(changed("spec/objective/latency/budget", written) if written else GOOD)
    assert isinstance(spec, RecModelSpec)
    assert spec.model("shop/feed").minutes_over_budget_ratio == pytest.approx(budget)


@pytest.mark.parametrize("written", ["0%", "0.009%", "10.1%", "0.5", 0.005, "-1%"])
def test_a_latency_budget_of_nothing_or_of_a_tenth_of_the_week_is_refused(written: Any) -> None:
    found = read_spec(changed("spec/objective/latency/budget", written))
    assert isinstance(found, Reason)
    assert "objective.latency.budget" in found.message


def test_settings_come_from_the_environment_and_what_is_empty_is_not_set() -> None:
    settings = from_environment(
        {
            "RECMODEL_NAMESPACE": "a, b", "RECMODEL_TICK_SECONDS": "5", "RECMODEL_PROMETHEUS_URL": "",
            "RECMODEL_PROMETHEUS_HEADERS": '{"X-Scope-OrgID": "shop"}', "OTHER": "x",
            "RECMODEL_PROMETHEUS_MATCHERS": '["cluster=\\"eu-1\\"", "tier!~\\"a|b\\""]',
            "RECMODEL_PROMETHEUS_PARAMETERS": '{"nocache": "1"}',
        }
    )  # fmt: skip
    assert settings.namespaces == ("a", "b")
    assert settings.tick_seconds == 5.0
    assert settings.prometheus_headers == {"X-Scope-OrgID": "shop"}
    assert settings.prometheus_matchers == ('cluster="eu-1"', 'tier!~"a|b"')
    assert settings.prometheus_parameters == {"nocache": "1"}
    assert settings.prometheus_url == "http://prometheus.monitoring:9090"
    assert from_environment({}).namespaces == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TICK_SECONDS", "0"),
        ("PROMETHEUS_URL", "file:///etc"),
        ("LOG_LEVEL", "LOUD"),
        ("METRICS_PORT", "x"),
        ("PROMETHEUS_MATCHERS", '["cluster"]'),
        ("PROMETHEUS_MATCHERS", '["a=\\"b\\"} or {c=\\"d\\""]'),
        ("PROMETHEUS_PARAMETERS", '{"query": "up"}'),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name.lower()):
        from_environment({f"RECMODEL_{name}": value})
