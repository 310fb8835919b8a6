"""Text of the API with a form: names, labels, ports, paths, as Kubernetes and the Gateway API take them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from recmodel.api.strict import IntegerOrText, Rule

_LABEL = "[a-z0-9]+(-+[a-z0-9]+)*"
_SUBDOMAIN = r"[a-z0-9]+((-+|\.)[a-z0-9]+)*"  # labels and a dot between two of them
_QUALIFIED = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_SHORT = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PORT = r"([0-9]+-)*[0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*"  # a letter somewhere, no two hyphens beside each other
# Segments of a URL path: not empty (but the last), not "." or "..", no encoded slash.
_OCTET = r"%([013-9A-Fa-f][0-9A-Fa-f]|2[0-9A-Ea-e])"
_CHARACTER = rf"([-A-Za-z0-9_~!$&'()*+,;=:@]|{_OCTET})"
_SEGMENT = rf"(\.{{0,2}}{_CHARACTER}|\.{{3}})({_CHARACTER}|\.)*"
# Parts of a relative path: none of them begins with "..", which is the kubelet's own.
_PART = r"([^/.][^/]*|\.|\.[^/.][^/]*)"
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_BYTE}(\.{_BYTE}){{3}}"
_GROUP = r"[0-9a-fA-F]{1,4}"  # so many groups, then the gap, then so many
_IPV6 = "|".join(
    [rf"({_GROUP}:){{7}}{_GROUP}", rf"({_GROUP}:){{1,7}}:", rf":(:{_GROUP}){{1,7}}", "::"]
    + [rf"({_GROUP}:){{1,{7 - after}}}(:{_GROUP}){{{after}}}" for after in range(1, 7)]
)

Text = Annotated[str, StringConstraints(max_length=4096)]
ShortText = Annotated[str, StringConstraints(max_length=253)]
DnsLabel = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}$", max_length=63)]
Subdomain = Annotated[str, StringConstraints(pattern=rf"^{_SUBDOMAIN}$", max_length=253)]
GroupVersion = Annotated[str, StringConstraints(pattern=rf"^{_SUBDOMAIN}/v[a-z0-9]+$", max_length=253)]
KindName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)]
OptionalSubdomain = Annotated[str, StringConstraints(pattern=rf"^({_SUBDOMAIN})?$", max_length=253)]
Hostname = Annotated[str, StringConstraints(pattern=rf"^(\*\.)?{_SUBDOMAIN}$", max_length=253)]
UrlPath = Annotated[str, StringConstraints(pattern=rf"^(/{_SEGMENT})*/?$", min_length=1, max_length=253)]
PagePath = Annotated[str, StringConstraints(pattern=r"^/[^\s]*$", max_length=253)]
LocalPath = Annotated[str, StringConstraints(pattern=rf"^{_PART}(/({_PART})?)*$", min_length=1, max_length=1024)]
MountPath = Annotated[str, StringConstraints(pattern=r"^[^:]+$", max_length=1024)]
PortName = Annotated[str, StringConstraints(pattern=rf"^{_PORT}$", max_length=15)]
Port = Annotated[int, Field(ge=1, le=65535)]
PortOrName = Annotated[int | str, IntegerOrText(rf"^{_PORT}$", 15, 1, 65535)]
KEY = rf"({_SUBDOMAIN}/)?{_SHORT}"
_KEY = rf"({_SUBDOMAIN}/)?{_QUALIFIED}"
LabelKey = Annotated[
    str,
    StringConstraints(pattern=rf"^{KEY}$", max_length=317),
]
AnyKey = Annotated[str, StringConstraints(pattern=rf"^(({_SUBDOMAIN}/)?{_SHORT})?$", max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=rf"^({_QUALIFIED})?$", max_length=63)]
Address = Annotated[str, StringConstraints(pattern=rf"^({_IPV4}|{_IPV6})$", max_length=45)]
DataKey = Annotated[str, StringConstraints(pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$", max_length=253)]
VariableName = Annotated[str, StringConstraints(pattern=r"^[ -<>-~]+$", max_length=253)]
Image = Annotated[str, StringConstraints(pattern=r"^[^\s]+$", max_length=4096)]


def _is_key(text: str) -> bool:
    prefix, _, name = text.rpartition("/")
    return bool(re.fullmatch(_KEY, text)) and len(prefix) <= 253 and len(name) <= 63


# The form and the length apart: a regular expression that counts is what makes a rule too dear for the API server.
Keys = Rule(
    f"self.all(k, k.matches(r'^{_KEY}$') && k.indexOf('/') <= 253 && k.size() - k.indexOf('/') <= 64)",
    "each key must be a label key: at most 63 letters, digits, '-', '_' or '.', after an optional DNS subdomain and '/'",
    lambda keyed: all(_is_key(key) for key in keyed),
)


Labels = Annotated[dict[str, LabelValue], Field(max_length=64), Keys]
Annotations = Annotated[dict[str, Text], Field(max_length=64), Keys]
# Of these the API server reads the value, or the container runtime takes rights from it.
_WITH_A_MEANING = (
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
    "scheduler.alpha.kubernetes.io/",
    "kubernetes.io/config.mirror",
)
_COST = "controller.kubernetes.io/pod-deletion-cost"
MOST_ANNOTATION_BYTES = 240 * 1024  # keys and values; the API server takes 256 KiB, those of the operator among them


def _small_enough(annotations: dict[str, str]) -> dict[str, str]:
    """What would cost the API server too much as a rule of the schema."""
    found = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if found > MOST_ANNOTATION_BYTES:
        rule = f"must have at most {MOST_ANNOTATION_BYTES} bytes together, and has {found}: put large texts into a ConfigMap"
        raise PydanticCustomError("rule", "{rule}", {"rule": rule})
    return annotations


def _is_a_cost(text: str) -> bool:
    return bool(re.fullmatch(r"0|-?[1-9][0-9]{0,9}", text)) and -(2**31) <= int(text) < 2**31


PodAnnotations = Annotated[
    Annotations,
    Rule(
        "self.all(k, !(" + " || ".join(f"k.startsWith('{prefix}')" for prefix in _WITH_A_MEANING) + "))",
        "AppArmor and seccomp profiles, tolerations and affinity are set in their fields (securityContext, tolerations, affinity), not "
        "by annotations, and kubernetes.io/config.mirror must not be set",
        lambda annotations: not any(key.startswith(_WITH_A_MEANING) for key in annotations),
    ),
    Rule(
        f"!('{_COST}' in self) || (self['{_COST}'].matches(r'^(0|-?[1-9][0-9]{{0,9}})$') && "
        f"int(self['{_COST}']) <= 2147483647 && int(self['{_COST}']) >= -2147483648)",
        f"{_COST} must be a whole number of 32 bits, without a plus or leading zeros",
        lambda annotations: _is_a_cost(annotations.get(_COST, "0")),
    ),
    AfterValidator(_small_enough),
]
