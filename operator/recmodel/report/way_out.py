"""Who refused a write, and the way out, as far as the API server's sentence tells. Pure.

Only the API server's own wording, from where its sentence begins, counts: a webhook may say anything after that. Where it
does not tell who refused, nothing is added.
"""

from __future__ import annotations

import re

from recmodel.cluster.transport.errors import ApiRefused, ApiUnavailable

_NAME = r"[^\"']+"
# As ``deployments.apps "feed-cpu" is forbidden: ``; what is created with a generated name has none.
_FORBIDDEN = r'[a-z0-9./-]+ (?:"[^"]*" )?is forbidden: '
_WAYS_OUT = tuple(
    (re.compile(sentence), hint)
    for sentence, hint in (
        (
            rf'admission webhook "(?P<name>{_NAME})" denied the request',
            "the admission webhook {name} refused it: meet what it asks, or ask its owner for an exemption",
        ),
        (
            rf'Internal error occurred: failed calling webhook "(?P<name>{_NAME})":',
            "the admission webhook {name} could not be called: repair its server, or remove its webhook configuration",
        ),
        (
            rf"{_FORBIDDEN}ValidatingAdmissionPolicy '(?P<name>{_NAME})' with binding '(?P<binding>{_NAME})' denied request",
            "the ValidatingAdmissionPolicy {name} (binding {binding}) refused it: meet what it asks, or ask its owner for an "
            "exemption",
        ),
        (
            rf"{_FORBIDDEN}exceeded quota: (?P<name>[a-z0-9.-]+), requested: ",
            "the ResourceQuota {name} does not allow it: raise it, or have the namespace ask for less",
        ),
        (
            rf"{_FORBIDDEN}failed quota: (?P<name>[a-z0-9.-]+): must specify ",
            "the ResourceQuota {name} asks each container for these requests or limits: set them in the pool's template, or "
            "by a LimitRange",
        ),
        (
            rf'{_FORBIDDEN}violates PodSecurity "(?P<name>{_NAME})":',
            "PodSecurity {name} refused it: change the pool's template, or the namespace's label "
            "pod-security.kubernetes.io/enforce",
        ),
        (
            rf'{_FORBIDDEN}User "(?P<name>{_NAME})" cannot [a-z]+ resource ',
            "{name} lacks this right: grant it by a Role or ClusterRole",
        ),
    )
)


def way_out(said: str) -> str:
    """``; `` with who refused and what to do, for the API server's sentence ``said``; empty where it does not tell."""
    for sentence, hint in _WAYS_OUT:
        if found := sentence.match(said):
            return f"; {hint.format(**found.groupdict())}"
    return ""


def with_way_out(said: str, error: Exception) -> str:
    """What is said of an error, with the way out where the sentence of the API server has one."""
    if isinstance(error, ApiRefused):
        return said + way_out(error.said)
    if isinstance(error, ApiUnavailable):
        return said + way_out(str(error).partition(f": HTTP {error.status}: ")[2])
    return said
