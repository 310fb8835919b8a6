"""A container of a pod: what may be set, and the rules that the API server has for the pods made of it."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from recmodel.api.probe import EndingProbe, Lifecycle, ReadinessProbe
from recmodel.api.quantity import Quantity, exact
from recmodel.api.source import Variable, Variables
from recmodel.api.strict import Keyed, Kubernetes, Rule, Strict, given
from recmodel.api.text import DnsLabel, Image, LabelKey, LocalPath, MountPath, Port, PortName, ShortText, Text

OPERATORS_PORT = (
    "recmodel"  # the operator adds a port of this name where no container names the one that the pool serves on
)
# What PodSecurity baseline lets a container add: the ones that a container runtime gives by default.
Capability = Literal[
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYS_CHROOT",
]  # fmt: skip
_HUGE = "hugepages-"
LONGEST_PREFIX = 244  # of a resource: a quota puts "requests." before it, and 253 are the limit
MOST_DEVICES = 10**15  # the API server counts in thousandths
STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
USER = Annotated[int, Field(ge=0, le=2**31 - 1)]


class ContainerPort(Kubernetes):
    """A port of the container."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.name) || self.name != '{OPERATORS_PORT}'",
            f"name must not be {OPERATORS_PORT}: the operator adds a port of that name",
            lambda port: port.name != OPERATORS_PORT,
        ),
    )

    name: PortName | None = None
    container_port: Port
    protocol: Literal["TCP", "UDP", "SCTP"] | None = None
    host_port: Literal[0] | None = None


class ResourceClaim(Kubernetes):
    """A claim of the pod that the container uses."""

    name: DnsLabel
    request: DnsLabel | None = None


class Resources(Strict):
    """Requests, limits and claims of a container. Any device resource of the cluster may stand here (nvidia.com/gpu, ...)."""

    requests: Annotated[dict[LabelKey, Quantity], Field(max_length=32)] | None = None
    limits: Annotated[dict[LabelKey, Quantity], Field(max_length=32)] | None = None
    claims: Annotated[list[ResourceClaim], Field(max_length=16), Keyed(("name",))] | None = None

    @model_validator(mode="after")
    def _can_be_given(self) -> Resources:
        """What no schema can hold: the values have no type there."""
        requests, limits = self.requests or {}, self.limits or {}
        for name in {**limits, **requests}:
            if rule := _broken(name, requests.get(name), limits.get(name)):
                raise PydanticCustomError("rule", "{rule}", {"rule": rule})
            if name.startswith(_HUGE) and not {"cpu", "memory"} & {*requests, *limits}:
                raise PydanticCustomError("rule", "{rule}", {"rule": f"{name}: cpu or memory must be set, too"})
        return self


def _broken(name: str, request: str | None, limit: str | None) -> str | None:
    """The rule of the API that the request and limit of one resource break."""
    standard = name in STANDARD_RESOURCES
    if not standard and "/" not in name and not name.startswith(_HUGE):
        return f"{name}: must be {', '.join(STANDARD_RESOURCES)}, hugepages-SIZE, or have a prefix, as nvidia.com/gpu"
    prefix = name.rpartition("/")[0]
    if name.startswith("requests.") or len(prefix) > LONGEST_PREFIX:
        return f"{name}: must not begin with requests., and have at most {LONGEST_PREFIX} characters before '/'"
    if request is not None and limit is None and not standard:
        return f"requests.{name} is {request}: limits.{name} must be set to the same"
    if request is not None and limit is not None and exact(request) > exact(limit):
        return f"requests.{name} is {request}: must not be above limits.{name}, {limit}"
    if request is not None and limit is not None and not standard and exact(request) != exact(limit):
        return f"requests.{name} is {request}: must be the same as limits.{name}, {limit}"
    if limit is not None and name.startswith(_HUGE):
        size = name.removeprefix(_HUGE)
        if not re.fullmatch(r"[1-9][0-9]{0,5}[KMG]i", size):
            return f"{name}: the size of a page must be as 2Mi or 1Gi"
        if exact(limit) % exact(size):
            return f"limits.{name} is {limit}: must be a multiple of {size}"
    elif limit is not None and not standard and (exact(limit) % 1 or exact(limit) > MOST_DEVICES):
        return f"limits.{name} is {limit}: must be a whole number of at most {MOST_DEVICES:g}"
    return None


class ResizePolicy(Kubernetes):
    """Whether the container is restarted when a resource of it is changed."""

    resource_name: Literal["cpu", "memory"]
    restart_policy: Literal["NotRequired", "RestartContainer"]


class VolumeMount(Kubernetes):
    """Where a volume is mounted."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.subPath) && has(self.subPathExpr))",
            "must not have both subPath and subPathExpr",
            lambda mount: given(mount, "subPath", "subPathExpr") < 2,
        ),
        Rule(
            "!has(self.recursiveReadOnly) || self.recursiveReadOnly == 'Disabled' || (has(self.readOnly) && self.readOnly && "
            "(!has(self.mountPropagation) || self.mountPropagation == 'None'))",
            "recursiveReadOnly needs readOnly true, and mountPropagation None or not set",
            lambda m: (
                m.recursive_read_only in (None, "Disabled")
                or (m.read_only is True and m.mount_propagation in (None, "None"))
            ),
        ),
    )

    name: DnsLabel
    mount_path: MountPath
    read_only: bool | None = None
    recursive_read_only: Literal["Disabled", "IfPossible", "Enabled"] | None = None
    mount_propagation: Literal["None", "HostToContainer"] | None = None
    sub_path: LocalPath | None = None
    sub_path_expr: LocalPath | None = None


class Capabilities(Strict):
    """Linux capabilities. Where drop is not set the operator drops ALL; those of PodSecurity baseline can be added."""

    add: Annotated[list[Capability], Field(max_length=16)] | None = None
    drop: Annotated[list[ShortText], Field(max_length=64)] | None = None


def _unpadded(path: str) -> str:
    if path.strip() != path:
        raise PydanticCustomError("rule", "must not begin or end with white space")
    return path


class Profile(Kubernetes):
    """The seccomp or AppArmor profile."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.type == 'Localhost') == has(self.localhostProfile)",
            "localhostProfile must be set if, and only if, type is Localhost",
            lambda profile: (profile.type == "Localhost") == (profile.localhost_profile is not None),
        ),
    )

    type: Literal["RuntimeDefault", "Localhost"]
    localhost_profile: Annotated[LocalPath, AfterValidator(_unpadded)] | None = None


def must_be_false(reason: str) -> Rule:
    """The rule of a field that manifests carry with its default, false."""
    return Rule("!self", f"must be false: {reason}", lambda value: not value)


class SecurityContext(Strict):
    """The part of a container's security context that gives no rights over the node."""

    run_as_non_root: bool | None = None
    run_as_user: USER | None = None
    run_as_group: USER | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: Annotated[bool, must_be_false("a process must not gain privileges")] | None = None
    privileged: Annotated[bool, must_be_false("a pool's pods have no rights over their node")] | None = None
    proc_mount: Literal["Default"] | None = None
    capabilities: Capabilities | None = None
    seccomp_profile: Profile | None = None
    app_armor_profile: Profile | None = None


def _ports_are_distinct(container: Container) -> bool:
    ports = [(port.container_port, port.protocol or "TCP") for port in container.ports or []]
    return len(set(ports)) == len(ports)


def _port_names_are_distinct(container: Container) -> bool:
    names = [port.name for port in container.ports or [] if port.name]
    return len(set(names)) == len(names)


_PROTOCOL = "(has({0}.protocol) ? {0}.protocol : 'TCP')"


class Container(Kubernetes):
    """A container of the pool's pods."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.ports) || self.ports.all(p, self.ports.exists_one(q, q.containerPort == p.containerPort && "
            f"{_PROTOCOL.format('q')} == {_PROTOCOL.format('p')}))",
            "ports: each containerPort and protocol may stand once",
            _ports_are_distinct,
        ),
        Rule(
            "!has(self.ports) || self.ports.all(p, !has(p.name) || self.ports.exists_one(q, has(q.name) && q.name == p.name))",
            "ports: each name may stand once",
            _port_names_are_distinct,
        ),
    )

    name: DnsLabel
    image: Image
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    command: Annotated[list[Text], Field(max_length=64)] | None = None
    args: Annotated[list[Text], Field(max_length=256)] | None = None
    working_dir: Text | None = None
    env: Annotated[list[Variable], Field(max_length=128), Keyed(("name",))] | None = None
    env_from: Annotated[list[Variables], Field(max_length=16)] | None = None
    ports: Annotated[list[ContainerPort], Field(max_length=16)] | None = None
    resources: Resources | None = None
    resize_policy: Annotated[list[ResizePolicy], Field(max_length=2), Keyed(("resourceName",))] | None = None
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=32), Keyed(("mountPath",))] | None = None
    readiness_probe: ReadinessProbe | None = None
    liveness_probe: EndingProbe | None = None
    startup_probe: EndingProbe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: MountPath | None = None
    termination_message_policy: Literal["File", "FallbackToLogsOnError"] | None = None
    security_context: SecurityContext | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None


class InitContainer(Container):
    """A container that ends before the others start; with restartPolicy Always, a side-car that starts before them and goes on."""

    rules: ClassVar[tuple[Rule, ...]] = (
        *Container.rules,
        Rule(
            "has(self.restartPolicy) || !(has(self.readinessProbe) || has(self.livenessProbe) || has(self.startupProbe) || "
            "has(self.lifecycle))",
            "probes and lifecycle may be set only with restartPolicy Always",
            lambda c: c.restart_policy or not given(c, "readinessProbe", "livenessProbe", "startupProbe", "lifecycle"),
        ),
        Rule(
            "has(self.restartPolicy) || !has(self.resizePolicy) || self.resizePolicy.all(p, p.restartPolicy != 'RestartContainer')",
            "resizePolicy must not be RestartContainer without restartPolicy Always",
            lambda c: c.restart_policy or all(p.restart_policy != "RestartContainer" for p in c.resize_policy or []),
        ),
    )

    restart_policy: Literal["Always"] | None = None
