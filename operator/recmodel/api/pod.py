"""The pod template of a pool: a closed list of pod fields.

Whoever may create a RecModel must not get, through it, pods that they could not create themselves. So there is no host access,
no privilege and no host path here, and a service account only where the operator's own settings allow one. A field that is
missing from these classes is refused by name by ``kubectl apply`` (strict field validation). One that manifests carry with its
default (``hostNetwork: false``) is taken with that value, and handed on.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recmodel.api.container import USER, Container, InitContainer, Profile, must_be_false
from recmodel.api.scheduling import Affinity, SpreadConstraints, Tolerations
from recmodel.api.strict import Keyed, Kubernetes, Rule, Strict, one_of
from recmodel.api.text import Address, DnsLabel, LabelKey, Labels, PodAnnotations, ShortText, Subdomain
from recmodel.api.volume import LocalReference, Volumes

GRACE_SECONDS = 30  # where the template says nothing
HOST = must_be_false("a pool's pods have no access to their node")


class PodSecurityContext(Strict):
    """The part of a pod's security context that gives no rights over the node."""

    run_as_non_root: bool | None = None
    run_as_user: USER | None = None
    run_as_group: USER | None = None
    fs_group: USER | None = None
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] | None = None
    supplemental_groups: Annotated[list[USER], Field(max_length=32)] | None = None
    supplemental_groups_policy: Literal["Merge", "Strict"] | None = None
    seccomp_profile: Profile | None = None
    app_armor_profile: Profile | None = None


class PodResourceClaim(Kubernetes):
    """A claim of devices (dynamic resource allocation)."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of("resourceClaimName", "resourceClaimTemplateName"),)

    name: DnsLabel
    resource_claim_name: Subdomain | None = None
    resource_claim_template_name: Subdomain | None = None


class DnsOption(Kubernetes):
    """An option of the resolver."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    value: ShortText | None = None


SearchDomain = Annotated[
    str,
    Field(pattern=r"^(\.|_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*\.?)$", max_length=253),
]


class DnsConfig(Kubernetes):
    """How the pod resolves names."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.searches) || self.searches.join(' ').size() <= 2048",
            "searches must have at most 2048 characters together",
            lambda config: len(" ".join(config.searches or [])) <= 2048,
        ),
    )

    nameservers: Annotated[list[Address], Field(max_length=3)] | None = None
    searches: Annotated[list[SearchDomain], Field(max_length=32)] | None = None
    options: Annotated[list[DnsOption], Field(max_length=16)] | None = None


class HostAlias(Kubernetes):
    """Names of an address, for the pod's hosts file."""

    ip: Address
    hostnames: Annotated[list[Subdomain], Field(max_length=16)] | None = None


class ReadinessGate(Kubernetes):
    """A condition that somebody else sets, without which the pod is not Ready."""

    condition_type: LabelKey


class PodOs(Kubernetes):
    """The operating system."""

    name: Literal["linux"]


def _all(pod: PodSpec) -> list[Container]:
    return [*pod.containers, *(pod.init_containers or [])]


def _mounted(pod: PodSpec) -> bool:
    names = {volume.name for volume in pod.volumes or []}
    return all(mount.name in names for container in _all(pod) for mount in container.volume_mounts or [])


def _claimed(pod: PodSpec) -> bool:
    names = {claim.name for claim in pod.resource_claims or []}
    used = [claim.name for c in _all(pod) if c.resources is not None for claim in c.resources.claims or []]
    return all(name in names for name in used)


def _sleeps_end(pod: PodSpec) -> bool:
    grace_seconds = pod.termination_grace_period_seconds or GRACE_SECONDS
    cycles = [c.lifecycle for c in _all(pod) if c.lifecycle is not None]
    hooks = [hook for cycle in cycles for hook in (cycle.pre_stop, cycle.post_start) if hook is not None]
    return all(hook.sleep is None or hook.sleep.seconds < grace_seconds for hook in hooks)


def _named_once(pod: PodSpec) -> bool:
    names = [container.name for container in _all(pod)]
    return len(set(names)) == len(names)


def _user_is_not_root(pod: PodSpec) -> bool:
    theirs = pod.security_context
    for container in _all(pod):
        own = container.security_context
        user, non_root = (
            value if value is not None else theirs and getattr(theirs, name)
            for name in ("run_as_user", "run_as_non_root")
            for value in (own and getattr(own, name),)
        )
        if non_root and user == 0:
            return False
    return True


def _each(rule: str) -> str:
    """A rule on ``c`` for the containers and the init containers."""
    return f"self.containers.all(c, {rule}) && (!has(self.initContainers) || self.initContainers.all(c, {rule}))"


_SLEEP = "has(c.lifecycle) && has(c.lifecycle.{0}) && has(c.lifecycle.{0}.sleep)"
_GRACE = f"(has(self.terminationGracePeriodSeconds) ? self.terminationGracePeriodSeconds : {GRACE_SECONDS})"
_THEIRS = "(has(self.securityContext) && has(self.securityContext.{0}) ? self.securityContext.{0} : {1})"
_OWN = "(has(c.securityContext) && has(c.securityContext.{0}) ? c.securityContext.{0} : {1})"


def _effective(field: str, default: str) -> str:
    return _OWN.format(field, _THEIRS.format(field, default))


class PodSpec(Strict):
    """The pod fields that a pool may set. What is not described here is as Kubernetes describes it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.initContainers) || self.initContainers.all(i, !self.containers.exists(c, c.name == i.name))",
            "containers and initContainers: each name may stand once",
            _named_once,
        ),
        Rule(
            _each("!has(c.volumeMounts) || c.volumeMounts.all(m, has(self.volumes) && self.volumes.exists(v, v.name == m.name))"),
            "volumeMounts: each name must be that of one of volumes",
            _mounted,
        ),
        Rule(
            _each("!has(c.resources) || !has(c.resources.claims) || c.resources.claims.all(r, has(self.resourceClaims) && "
                  "self.resourceClaims.exists(k, k.name == r.name))"),
            "resources.claims: each name must be that of one of resourceClaims",
            _claimed,
        ),
        Rule(
            _each(" && ".join(f"(!({_SLEEP.format(hook)}) || c.lifecycle.{hook}.sleep.seconds < {_GRACE})"
                              for hook in ("preStop", "postStart"))),
            f"lifecycle: sleep.seconds must be below terminationGracePeriodSeconds ({GRACE_SECONDS} where it is not set)",
            _sleeps_end,
        ),
        Rule(
            _each(f"!({_effective('runAsNonRoot', 'false')} && {_effective('runAsUser', '1')} == 0)"),
            "securityContext.runAsUser must not be 0 where runAsNonRoot is true",
            _user_is_not_root,
        ),
        Rule(
            "!has(self.serviceAccount) || (has(self.serviceAccountName) && self.serviceAccount == self.serviceAccountName)",
            "serviceAccount, the old name of serviceAccountName, must be the same",
            lambda pod: pod.service_account in (None, pod.service_account_name),
        ),
        Rule(
            "!has(self.automountServiceAccountToken) || !self.automountServiceAccountToken || has(self.serviceAccountName)",
            "automountServiceAccountToken must be false without serviceAccountName",
            lambda pod: not pod.automount_service_account_token or pod.service_account_name is not None,
        ),
        Rule(
            "!has(self.dnsPolicy) || self.dnsPolicy != 'None' || (has(self.dnsConfig) && has(self.dnsConfig.nameservers) && "
            "self.dnsConfig.nameservers.size() > 0)",
            "dnsConfig.nameservers must be set where dnsPolicy is None",
            lambda pod: pod.dns_policy != "None" or bool(pod.dns_config and pod.dns_config.nameservers),
        ),
    )  # fmt: skip

    containers: Annotated[list[Container], Field(min_length=1, max_length=8), Keyed(("name",))]
    init_containers: Annotated[list[InitContainer], Field(max_length=8), Keyed(("name",))] | None = None
    volumes: Volumes | None = None
    node_selector: Labels | None = None
    affinity: Affinity | None = None
    tolerations: Tolerations | None = None
    topology_spread_constraints: SpreadConstraints | None = None
    priority_class_name: Subdomain | None = None
    preemption_policy: Literal["Never", "PreemptLowerPriority"] | None = None
    runtime_class_name: Subdomain | None = None
    scheduler_name: Subdomain | None = None
    resource_claims: Annotated[list[PodResourceClaim], Field(max_length=16), Keyed(("name",))] | None = None
    image_pull_secrets: Annotated[list[LocalReference], Field(max_length=8), Keyed(("name",))] | None = None
    termination_grace_period_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    security_context: PodSecurityContext | None = None
    service_account_name: Annotated[
        Subdomain | None, Field(description="Allowed only where the operator's setting allowServiceAccounts names it.")
    ] = None
    service_account: Subdomain | None = None
    automount_service_account_token: bool | None = None
    restart_policy: Literal["Always", "Never"] | None = None
    dns_policy: Literal["ClusterFirst", "Default", "None"] | None = None
    dns_config: DnsConfig | None = None
    host_aliases: Annotated[list[HostAlias], Field(max_length=16), Keyed(("ip",))] | None = None
    hostname: DnsLabel | None = None
    subdomain: DnsLabel | None = None
    set_hostname_as_fqdn: Annotated[bool | None, Field(alias="setHostnameAsFQDN")] = None
    readiness_gates: Annotated[list[ReadinessGate], Field(max_length=8)] | None = None
    enable_service_links: bool | None = None
    share_process_namespace: bool | None = None
    host_users: bool | None = None
    host_network: Annotated[bool, HOST] | None = None
    host_pid: Annotated[Annotated[bool, HOST] | None, Field(alias="hostPID")] = None
    host_ipc: Annotated[Annotated[bool, HOST] | None, Field(alias="hostIPC")] = None
    os: PodOs | None = None


class PodMetadata(Strict):
    """Labels and annotations of the pool's pods, beside those that the operator sets."""

    labels: Labels | None = None
    annotations: PodAnnotations | None = None
    name: Annotated[ShortText | None, Field(exclude=True, description="Dropped: each pod has a name of its own.")] = (
        None
    )
    creation_timestamp: Annotated[ShortText | None, Field(exclude=True, description="Dropped.")] = None


class PodTemplate(Strict):
    """The pods of a pool."""

    metadata: PodMetadata | None = None
    spec: PodSpec
