"""The PromQL: escaped, grouped, and no more of it for more models."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics, Series
from recmodel.prometheus.pod_names import by_name, matchers
from recmodel.prometheus.profile import PROFILE_NAMES, Profile, Selector, load_profile, profile_for
from recmodel.prometheus.promql import any_of, duration, literal, quoted, selector
from recmodel.prometheus.queries import (
    edges_of,
    model_rate,
    own_edges_query,
    profile_queries,
    scrape_spacing,
    usage_queries,
    with_edges,
)
from recmodel.prometheus.readings import ModelView, PoolView

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def unquoted(text: str) -> str:
    """What a PromQL (Go) double-quoted string means; raises on one that ends early or holds a raw newline."""
    assert text[0] == '"' == text[-1]
    simple = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"'}
    result, rest = "", text[1:-1]
    while rest:
        if rest[0] == "\\":
            if rest[1] == "x":
                result, rest = result + chr(int(rest[2:4], 16)), rest[4:]
            else:
                result, rest = result + simple[rest[1]], rest[2:]
        else:
            assert rest[0] not in '"\n'
            result, rest = result + rest[0], rest[1:]
    return result


@given(TEXT)
def test_a_quoted_value_means_itself_and_cannot_end_early(value: str) -> None:
    assert unquoted(quoted(value)) == value


@given(value=TEXT, other=TEXT)
def test_a_literal_matches_its_value_alone(value: str, other: str) -> None:
    assert re.fullmatch(literal(value), value)
    assert bool(re.fullmatch(literal(value), other)) == (value == other)


@given(st.lists(TEXT, min_size=1, max_size=4), TEXT)
def test_any_of_matches_those_and_nothing_else(values: list[str], other: str) -> None:
    pattern = unquoted(any_of(values).removeprefix("=~"))
    assert all(re.fullmatch(pattern, value) for value in values)
    assert bool(re.fullmatch(pattern, other)) == (other in values)


def test_a_users_label_value_stays_a_value() -> None:
    series = Selector(name="m", match={"a": '="} or up{x="'})
    assert selector(series) == 'm{a="\\"} or up{x=\\""}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=GET", 'm{a="GET"}'),
        ("!=OK", 'm{a!="OK"}'),
        ("=~5..", 'm{a=~"5.."}'),
        ("!~/x", 'm{a!~"/x"}'),
        ("==", 'm{a="="}'),
    ],
)
def test_a_matcher_is_an_operator_and_a_value(text: str, expected: str) -> None:
    assert selector(Selector(name="m", match={"a": text})) == expected


def custom() -> Profile:
    latency = LatencySeries(name="took", unit="ms", match_labels={"code": "ok"})
    return profile_for(Metrics(profile="custom", custom=CustomMetrics(latency=latency, queue=Series(name="waiting"))))


WORKLOAD = PoolView("cpu", pod_prefix="feed-")
REFERENCE = ModelView("shop", "feed", 0.1, 0.95, Metrics(), (WORKLOAD,))


def shown(profile: Profile) -> str:
    return f"{profile.name} by name" if profile.identity.named else profile.name


LABELLED = [*map(load_profile, PROFILE_NAMES), custom()]
EVERY = [*LABELLED, *(by_name(profile, [REFERENCE]) for profile in LABELLED if profile.scope == "pod")]


@pytest.mark.parametrize("profile", EVERY, ids=shown)
def test_every_query_is_grouped_by_whose_it_is_and_rates_come_before_sums(profile: Profile) -> None:
    queries = profile_queries(profile, 60)
    by = ", ".join(profile.identity.labels)
    for query in (queries.requests, queries.answered, queries.failures):
        assert query is None or query.startswith((f"sum by ({by}) (rate(", f"sum by ({by}) (label_replace(rate("))
    if profile.latency:
        assert queries.buckets is not None
        assert queries.buckets.startswith(f"sum by ({by}, le) (rate({profile.latency.name}_bucket{{")
    assert queries.age.startswith(f"time() - max by ({by}) (timestamp(")
    assert len(queries.all()) <= 15
    assert all(query.count("{") == query.count("}") and query.count("(") == query.count(")") for query in queries.all())


def test_a_custom_profile_counts_requests_by_the_histogram() -> None:
    queries = profile_queries(custom(), 60)
    assert queries.requests == (
        "sum by (namespace, recmodel_dev_model, recmodel_dev_pool) "
        '(rate(took_count{code="ok",recmodel_dev_model!="",recmodel_dev_pool!=""}[60000ms]))'
    )
    assert queries.failures is None


def test_istio_is_asked_one_side_only_since_both_report_each_request() -> None:
    queries = profile_queries(load_profile("istio"), 60)
    assert all('reporter="source"' in query for query in queries.all())


def model(name: str, *pools: str) -> ModelView:
    return ModelView("de.mo", name, 0.1, 0.95, Metrics(), tuple(map(PoolView, pools)))


def test_the_history_of_some_models_names_exactly_those() -> None:
    query = model_rate(load_profile("envoy-gateway"), "de.mo", [model("a", "cpu"), model("b-c", "cpu", "gpu")], 300)
    found = re.search(r'envoy_cluster_name=~("[^"]+")', query)
    assert found is not None
    pattern = unquoted(found[1])
    assert re.fullmatch(pattern, "httproute/de.mo/b-c/rule/0/backend/1")
    for other in (
        "httproute/dexmo/a/rule/0/backend/0",
        "httproute/de.mo/b-cd/rule/0/backend/0",
        "httproute/de.mo/a/rule/1/backend/0",
    ):
        assert not re.fullmatch(pattern, other)


def test_usage_is_asked_for_in_the_namespaces_in_use_unless_they_are_many() -> None:
    assert 'namespace=~"a|b",container!=""' in usage_queries(["b", "a", "b"], 60).cpu_cores[0]
    assert "namespace=" not in usage_queries([f"n{i}" for i in range(101)], 60).cpu_cores[0]
    assert "namespace=" not in usage_queries([], 60).cpu_cores[0]


def test_the_spacing_of_scrapes_is_read_from_a_series_that_is_always_there() -> None:
    assert "envoy_http_downstream_rq_xx" in scrape_spacing(load_profile("envoy-gateway"))
    assert "up{" in scrape_spacing(load_profile("triton"))
    by_job = "60 / min(max by (namespace, job, endpoint) (count_over_time(nv_inference_request_success{"
    assert scrape_spacing(by_name(load_profile("triton"), [REFERENCE])).startswith(by_job)


def test_a_window_must_be_above_zero() -> None:
    assert duration(1.5) == "1500ms"
    with pytest.raises(ValueError, match="not above 0"):
        duration(0)


SCOPE = ('cluster="eu-1"', 'tenant!="test"')


def assert_scoped(query: str) -> None:
    """Each series of a query has braces, and in them the matchers."""
    unquoted_query = re.sub(r'"(?:[^"\\]|\\.)*"', '""', query)
    selectors = re.findall(r"{([^{}]*)}", unquoted_query)
    assert selectors
    assert all('cluster="",tenant!=""' in chosen for chosen in selectors), query
    rest = re.sub(r"{[^{}]*}", "{}", re.sub(r"(by|on|group_left) \([^)]*\)|offset \w+", "", unquoted_query))
    assert not re.search(r"[a-zA-Z_:][\w:]*\s*[\[)]", rest), f"a series without matchers: {rest}"


@pytest.mark.parametrize("profile", EVERY, ids=shown)
def test_the_matchers_of_the_setting_reach_every_query(profile: Profile) -> None:
    questions = profile_queries(profile, 60, SCOPE)
    asked = [*questions.all(), scrape_spacing(profile, SCOPE)]
    mine = [REFERENCE if profile.identity.named else model("feed", "cpu")]
    asked.append(model_rate(profile, "shop", mine, 300, SCOPE))
    if profile.latency and questions.buckets:
        asked += [own_edges_query(profile, "shop", mine, SCOPE)]
        asked += [edges_of(profile, SCOPE), with_edges(questions.buckets, profile, ["0.1"], SCOPE)]
    asked += [*usage_queries(["shop"], 60, SCOPE).all(), *usage_queries([], 60, SCOPE).all()]
    asked += usage_queries(["shop"], 60, SCOPE, matchers([REFERENCE])).all()
    for query in asked:
        assert_scoped(query)
