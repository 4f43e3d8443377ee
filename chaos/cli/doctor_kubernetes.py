"""``nines doctor --kubernetes``: whether a run could attach to pods of a namespace, or start some there; and the manifest of its rights."""

from __future__ import annotations

from typing import Final

from chaos.cli.doctor import MISSING, OK, OPTIONAL, Finding
from chaos.core.errors import EnvironmentUnusable
from chaos.kube.access import read
from chaos.kube.api import Api, Refused
from chaos.kube.rights import manifest, missing

ENFORCE: Final = "pod-security.kubernetes.io/enforce"
PRIVILEGED: Final = "privileged"


def examine(namespace: str, context: str, *, hosts: bool = False, own: bool = False) -> list[Finding]:
    """In the order in which a run would meet them; ``hosts``: of one that speaks of machines or zones, too; ``own``: of one that starts a
    cluster of ours. Changes nothing."""
    try:
        access = read(context=context)
    except EnvironmentUnusable as error:
        return [Finding("kubeconfig", MISSING, error.what, error.how)]
    found = [Finding("kubeconfig", OK, str(access))]
    api = Api(access)
    try:
        found.append(Finding("API server", OK, api.version()))
        found += _namespace(api, namespace)
        lacking = missing(api, namespace, hosts=hosts, own=own)
    except EnvironmentUnusable as error:
        return [*found, Finding("API server", MISSING, error.what, error.how)]
    finally:
        api.close()
    if lacking:
        more = f"{' --hosts' * hosts}{' --own' * own}"
        how = f"nines doctor --kubernetes {namespace} --rbac{more} | kubectl apply -f -, by an administrator"
        return [*found, Finding("rights", MISSING, "; ".join(lacking), how)]
    return [*found, Finding("rights", OK, f"all that a run {'of ours ' if own else ''}in '{namespace}' needs")]


def _namespace(api: Api, namespace: str) -> list[Finding]:
    """There, and open to privileged pods. Who may not read it is told when a run begins."""
    try:
        thing = api.ask("GET", f"api/v1/namespaces/{namespace}")
    except Refused as refused:
        if refused.missing:
            return [Finding("namespace", MISSING, f"there is no '{namespace}'", "name another: nines doctor --kubernetes shop")]
        return [Finding("namespace", OPTIONAL, f"'{namespace}' may not be read", "whether it admits privileged pods is seen by a run")]
    level = thing["metadata"].get("labels", {}).get(ENFORCE, PRIVILEGED)
    if level != PRIVILEGED:
        how = f"kubectl label namespace {namespace} {ENFORCE}=privileged --overwrite, by an administrator"
        return [Finding("namespace", MISSING, f"'{namespace}' enforces the pod security level '{level}': guests are privileged", how)]
    return [Finding("namespace", OK, f"'{namespace}' admits privileged pods, by its labels")]


def rbac(namespace: str, user: str, *, hosts: bool = False, own: bool = False) -> str:
    """YAML for kubectl."""
    import yaml

    return yaml.safe_dump_all(manifest(namespace, user, hosts=hosts, own=own), sort_keys=False)
