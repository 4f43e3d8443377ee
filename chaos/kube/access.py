"""How a cluster's API server is reached and who we are there: from a kubeconfig, as kubectl does it, or from inside a pod.

The kubeconfig is read by the official package (``kubernetes``), which knows its ways to sign in: certificates, tokens, exec plug-ins, OIDC.
It is an extra, imported only here. Inside the cluster nothing of it is needed: a pod's service account is three files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.pods import PodsSpec

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds who it is."""
PIP_LINE: Final = "pip install 'chaos-nines[kubernetes]'"


class Access(msgspec.Struct, frozen=True):
    """One API server, and our word to it."""

    server: str
    name: str
    """Of the context, for people; empty inside a pod."""
    headers: Callable[[], Mapping[str, str]] = dict
    """Asked before each request, since tokens expire."""
    authority: str | None = None
    """File of the certificates that may speak for the server; None: those that this system trusts."""
    verifies: bool = True
    certificate: tuple[str, str] | None = None
    """Files of a certificate of ours and its key."""
    server_name: str | None = None
    """What the server's certificate calls it, where that is not its address."""

    def __str__(self) -> str:
        return f"{self.name} ({self.server})" if self.name else self.server


def inside(environment: Mapping[str, str] = os.environ, folder: Path = ACCOUNT) -> Access:
    """That of the pod that we are in. ``EnvironmentUnusable`` outside of any."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        raise EnvironmentUnusable("this is no pod with a service account", how="run Nines where a kubeconfig is")

    def headers() -> Mapping[str, str]:
        return {"Authorization": f"Bearer {(folder / 'token').read_text(encoding='utf-8').strip()}"}  # kubelet renews it

    shown = f"[{host}]" if ":" in host else host
    return Access(server=f"https://{shown}:{port}", name="", headers=headers, authority=str(folder / "ca.crt"))


def by_kubeconfig(spec: PodsSpec | None = None) -> Access:
    """As kubectl does it. ``EnvironmentUnusable`` without the package, without a kubeconfig, for a context that is not in it."""
    return read(spec.kubeconfig if spec is not None else "", spec.context if spec is not None else "")


def read(kubeconfig: str = "", context: str = "") -> Access:
    """By a file and a context in it; what is left out is as kubectl finds it."""
    try:
        from kubernetes.client import Configuration
        from kubernetes.config import ConfigException, list_kube_config_contexts, load_kube_config
    except ImportError:
        raise EnvironmentUnusable("reading a kubeconfig needs the package 'kubernetes'", how=PIP_LINE) from None
    where = kubeconfig or os.environ.get("KUBECONFIG", "") or "~/.kube/config"
    found: Any = Configuration()
    try:
        contexts, current = list_kube_config_contexts(config_file=kubeconfig or None)
        name = context or (current or {}).get("name", "")
        if name not in {each["name"] for each in contexts}:
            known = ", ".join(sorted(each["name"] for each in contexts)) or "none"
            raise EnvironmentUnusable(f"the kubeconfig {where} has no context '{name}'", how=f"it has: {known}")
        load_kube_config(config_file=kubeconfig or None, context=context or None, client_configuration=found, persist_config=False)
    except (ConfigException, OSError) as error:
        how = "KUBECONFIG=FILE, or 'kubernetes: {kubeconfig: FILE}'; 'kubectl config view' shows what kubectl reads"
        raise EnvironmentUnusable(f"the kubeconfig {where} cannot be used: {error}", how=how) from error

    def headers() -> Mapping[str, str]:
        word = found.get_api_key_with_prefix("authorization") or found.get_api_key_with_prefix("BearerToken")
        return {"Authorization": word} if word else {}

    pair = (found.cert_file, found.key_file) if found.cert_file and found.key_file else None
    return Access(
        server=str(found.host).rstrip("/"), name=str(name), headers=headers, authority=found.ssl_ca_cert, verifies=bool(found.verify_ssl),
        certificate=pair, server_name=getattr(found, "tls_server_name", None),
    )  # fmt: skip
