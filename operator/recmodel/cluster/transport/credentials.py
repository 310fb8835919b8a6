"""Where the API server is and how to prove who we are: the pod's service account, else a kubeconfig.

The loading is the Kubernetes client's (``kubernetes.aio.config``), which knows every kind of kubeconfig and reads
the pod's token again each minute (it rotates); the requests are our own, since its typed objects drop or refuse
fields that they do not know.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from kubernetes.aio import config
from kubernetes.aio.client import Configuration


@dataclass(frozen=True)
class Credentials:
    """The server's address, the TLS to trust it with, and the headers of each request."""

    host: str
    ssl_context: ssl.SSLContext | bool
    configuration: Configuration

    async def headers(self) -> dict[str, str]:
        """The headers that authenticate a request made now: the token may have rotated since the last one."""
        token = await self.configuration.get_api_key_with_prefix("BearerToken")
        if token:
            return {"Authorization": token[0].upper() + token[1:]}
        basic = self.configuration.get_basic_auth_token() if self.configuration.username else None
        return {"Authorization": basic} if basic else {}


async def load() -> Credentials:
    """Credentials of the pod that we run in, else of ``KUBECONFIG``; raises
    ``kubernetes.aio.config.ConfigException`` if none.
    """
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return Credentials(configuration.host.rstrip("/"), _tls(configuration), configuration)


def _tls(configuration: Configuration) -> ssl.SSLContext | bool:
    if not configuration.host.startswith("https"):
        return False
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:  # only where the kubeconfig says insecure-skip-tls-verify
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
