"""Where pods may run: affinity, tolerations, spreading, as Kubernetes takes them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recmodel.api.strict import Distinct, Keyed, Kubernetes, Rule
from recmodel.api.text import AnyKey, DnsLabel, LabelKey, Labels, LabelValue, Subdomain

Weight = Annotated[int, Field(ge=1, le=100)]
LabelKeys = Annotated[list[LabelKey], Field(max_length=16), Distinct()]


class Requirement(Kubernetes):
    """A condition on a label of pods."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
            "values must be set if, and only if, operator is In or NotIn",
            lambda r: (r.operator in ("In", "NotIn")) == bool(r.values),
        ),
    )

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[list[LabelValue], Field(max_length=64)] | None = None


class NodeRequirement(Kubernetes):
    """A condition on a label of nodes."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.operator in ['Exists', 'DoesNotExist']) == (!has(self.values) || self.values.size() == 0)",
            "values must be set unless operator is Exists or DoesNotExist",
            lambda r: (r.operator in ("Exists", "DoesNotExist")) == (not r.values),
        ),
        Rule(
            "!(self.operator in ['Gt', 'Lt']) || self.values.size() == 1",
            "values must be one where operator is Gt or Lt",
            lambda r: r.operator not in ("Gt", "Lt") or len(r.values or ()) == 1,
        ),
    )

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: Annotated[list[LabelValue], Field(max_length=64)] | None = None


class NodeName(Kubernetes):
    """A condition on the name of nodes."""

    key: Literal["metadata.name"]
    operator: Literal["In", "NotIn"]
    values: Annotated[list[Subdomain], Field(min_length=1, max_length=1)]


class LabelSelector(Kubernetes):
    """Pods by their labels."""

    match_labels: Labels | None = None
    match_expressions: Annotated[list[Requirement], Field(max_length=16)] | None = None


def _keys(selector: LabelSelector | None) -> set[str]:
    if selector is None:
        return set()
    return {*(selector.match_labels or {}), *(requirement.key for requirement in selector.match_expressions or [])}


def _not_in_the_selector(and_also: str = "") -> str:
    """The rule for matchLabelKeys: pods with keys of the selector are refused when they are created, since their labels are put
    into it. ``and_also`` is asked of each key ``k`` as well.
    """
    return (
        "!has(self.matchLabelKeys) || self.matchLabelKeys.all(k, !has(self.labelSelector) || "
        "(!has(self.labelSelector.matchLabels) || !(k in self.labelSelector.matchLabels)) && "
        f"(!has(self.labelSelector.matchExpressions) || self.labelSelector.matchExpressions.all(e, e.key != k)){and_also})"
    )


class NodeTerm(Kubernetes):
    """Conditions of which all hold."""

    match_expressions: Annotated[list[NodeRequirement], Field(max_length=16)] | None = None
    match_fields: Annotated[list[NodeName], Field(max_length=4)] | None = None


class NodeTerms(Kubernetes):
    """Terms of which one holds."""

    node_selector_terms: Annotated[list[NodeTerm], Field(min_length=1, max_length=16)]


class PreferredNodes(Kubernetes):
    """A term that is preferred."""

    weight: Weight
    preference: NodeTerm


class NodeAffinity(Kubernetes):
    """Which nodes."""

    required_during_scheduling_ignored_during_execution: NodeTerms | None = None
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredNodes], Field(max_length=16)] | None
    ) = None


class PodTerm(Kubernetes):
    """Beside which pods, and what counts as beside."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.labelSelector) || !((has(self.matchLabelKeys) && self.matchLabelKeys.size() > 0) || "
            "(has(self.mismatchLabelKeys) && self.mismatchLabelKeys.size() > 0))",
            "labelSelector must be set where matchLabelKeys or mismatchLabelKeys is",
            lambda t: t.label_selector is not None or not (t.match_label_keys or t.mismatch_label_keys),
        ),
        Rule(
            _not_in_the_selector(" && (!has(self.mismatchLabelKeys) || !(k in self.mismatchLabelKeys))"),
            "matchLabelKeys must have no key of labelSelector or mismatchLabelKeys",
            lambda t: not set(t.match_label_keys or ()) & (_keys(t.label_selector) | set(t.mismatch_label_keys or ())),
        ),
    )

    label_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    namespaces: Annotated[list[DnsLabel], Field(max_length=16)] | None = None
    topology_key: LabelKey
    match_label_keys: LabelKeys | None = None
    mismatch_label_keys: LabelKeys | None = None


class PreferredPods(Kubernetes):
    """A term that is preferred."""

    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(Kubernetes):
    """Near to, or away from, which pods."""

    required_during_scheduling_ignored_during_execution: Annotated[list[PodTerm], Field(max_length=8)] | None = None
    preferred_during_scheduling_ignored_during_execution: Annotated[list[PreferredPods], Field(max_length=8)] | None = (
        None
    )


class Affinity(Kubernetes):
    """Which nodes, and beside which pods."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(Kubernetes):
    """A taint that is tolerated."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
            "operator must be Exists where key is empty",
            lambda t: bool(t.key) or t.operator == "Exists",
        ),
        Rule(
            "!(has(self.operator) && self.operator == 'Exists' && has(self.value) && self.value != '')",
            "value must be empty where operator is Exists",
            lambda t: not (t.operator == "Exists" and t.value),
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "effect must be NoExecute where tolerationSeconds is set",
            lambda t: t.toleration_seconds is None or t.effect == "NoExecute",
        ),
    )

    key: AnyKey | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: Annotated[int, Field(ge=-86_400, le=31_536_000)] | None = None


class SpreadConstraint(Kubernetes):
    """How evenly pods are spread."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            "whenUnsatisfiable must be DoNotSchedule where minDomains is set",
            lambda c: c.min_domains is None or c.when_unsatisfiable == "DoNotSchedule",
        ),
        Rule(
            "!has(self.matchLabelKeys) || self.matchLabelKeys.size() == 0 || has(self.labelSelector)",
            "labelSelector must be set where matchLabelKeys is",
            lambda c: not c.match_label_keys or c.label_selector is not None,
        ),
        Rule(
            _not_in_the_selector(),
            "matchLabelKeys must have no key of labelSelector",
            lambda c: not set(c.match_label_keys or ()) & _keys(c.label_selector),
        ),
    )

    max_skew: Annotated[int, Field(ge=1, le=10_000)]
    topology_key: LabelKey
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: LabelSelector | None = None
    min_domains: Annotated[int, Field(ge=1, le=10_000)] | None = None
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    match_label_keys: LabelKeys | None = None


Tolerations = Annotated[list[Toleration], Field(max_length=32)]
SpreadConstraints = Annotated[list[SpreadConstraint], Field(max_length=8), Keyed(("topologyKey", "whenUnsatisfiable"))]
