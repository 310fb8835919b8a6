"""What the platform team lets the owners of RecModels ask for, and what it says to the rest. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from recmodel.api.pod import PodTemplate
from recmodel.api.v1alpha1 import RecModelSpec


@dataclass(frozen=True, slots=True)
class Permitted:
    """The operator's settings that refuse a spec. ``gateways`` (``namespace/name``) and ``hostnames`` (``*.shop.example``
    covers every name below ``shop.example``) set no limit where they are empty. ``acting`` is False where the operator has read
    rights only: then a spec is valid, and nothing is made of it.
    """

    service_accounts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    acting: bool = True

    def refusal(self, namespace: str, spec: RecModelSpec) -> str | None:
        """The field, the value and the rule of the first thing that is not allowed; None where all is."""
        templates = [(f"spec.pools[{pool.name}]", pool.template) for pool in spec.pools if pool.template is not None]
        if spec.optimisation:
            templates.append(("spec.optimisation", spec.optimisation.template))
        problems = (self._account(where, template) for where, template in templates)
        return next(filter(None, problems), None) or self._gateway(namespace, spec) or self._hostname(spec)

    def _account(self, where: str, template: PodTemplate) -> str | None:
        account = template.spec.service_account_name
        if account is None or account in self.service_accounts:
            return None
        return (
            f"{where}.template.spec.serviceAccountName is {account!r}: the operator's setting allowServiceAccounts "
            f"names {list(self.service_accounts) or 'none'}"
        )

    def _gateway(self, namespace: str, spec: RecModelSpec) -> str | None:
        route = (
            spec.own_route
        )  # of another one its author must hold the right to change it: the admission policy sees to that
        if route is None or not self.gateways:
            return None
        for index, parent in enumerate(route.parent_refs or []):
            gateway = f"{parent.namespace or namespace}/{parent.name}"
            if gateway not in self.gateways:
                return (
                    f"spec.route.parentRefs[{index}] is the Gateway {gateway!r}: the operator's setting "
                    f"routes.allowedGateways names {list(self.gateways)}"
                )
        return None

    def _hostname(self, spec: RecModelSpec) -> str | None:
        route = spec.own_route
        if route is None or not self.hostnames:
            return None
        rule = f"the operator's setting routes.allowedHostnames names {list(self.hostnames)}"
        if not route.hostnames:
            return f"spec.route.hostnames is empty, which means every host: {rule}"
        for index, hostname in enumerate(route.hostnames):
            if not any(covers(allowed, hostname) for allowed in self.hostnames):
                return f"spec.route.hostnames[{index}] is {hostname!r}: {rule}"
        return None


def covers(allowed: str, hostname: str) -> bool:
    """Whether every host that ``hostname`` matches is one that ``allowed`` matches; either may begin with ``*.``."""
    return hostname == allowed or (allowed.startswith("*.") and hostname.endswith(allowed[1:]))
