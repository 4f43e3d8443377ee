"""``nines doctor --kubernetes``: whether a run could attach to pods of a namespace, or start some there; and the manifest of its rights."""

from __future__ import annotations

from typing import Final

from chaos.cli.doctor import MISSING, OK, OPTIONAL, Finding
from chaos.core.errors import EnvironmentUnusable
from chaos.elsewhere.in_cluster import image_of
from chaos.kube import ephemeral
from chaos.kube.access import read
from chaos.kube.admission import refuse_unadmitted
from chaos.kube.api import Api, Refused, Thing
from chaos.kube.classes import chosen, classes
from chaos.kube.objects import Place
from chaos.kube.rights import RIGHTS, manifest, missing

ENFORCE: Final = "pod-security.kubernetes.io/enforce"
PRIVILEGED: Final = "privileged"
NEEDED: Final = "privileged pods"
NEEDED_BY_LODGERS: Final = "the capability NET_ADMIN"


def examine(
    namespace: str, context: str, *, hosts: bool = False, own: bool = False, lodged: bool = False, claims: bool = False
) -> list[Finding]:  # fmt: skip
    """In the order in which a run would meet them; ``hosts``: of one that speaks of machines or zones, too; ``own``: of one that starts a
    cluster of ours; ``lodged``: of one whose guests stand in ephemeral containers; ``claims``: of one whose data outlives its pods.
    Changes nothing."""
    try:
        access = read(context=context)
    except EnvironmentUnusable as error:
        return [Finding("kubeconfig", MISSING, error.what, error.how)]
    found = [Finding("kubeconfig", OK, str(access))]
    api = Api(access)
    try:
        found.append(Finding("API server", OK, api.version()))
        found += _namespace(api, namespace, NEEDED_BY_LODGERS if lodged else NEEDED)
        found += [_class(api)] if claims else []
        lacking = missing(api, namespace, hosts=hosts, own=own, claims=claims, rights=ephemeral.RIGHTS if lodged else RIGHTS)
        admitted = [] if lacking or own else [_lodger_admitted(api, namespace) if lodged else _admitted(api, namespace)]
    except EnvironmentUnusable as error:
        return [*found, Finding("API server", MISSING, error.what, error.how)]
    finally:
        api.close()
    if lacking:
        more = f"{' --hosts' * hosts}{' --own' * own}{' --volumes claims' * claims}{' --guests ephemeral' * lodged}"
        how = f"nines doctor --kubernetes {namespace} --rbac{more} | kubectl apply -f -, by an administrator"
        return [*found, Finding("rights", MISSING, "; ".join(lacking), how)]
    return [*found, Finding("rights", OK, f"all that a run {'of ours ' if own else ''}in '{namespace}' needs"), *admitted]


def _class(api: Api) -> Finding:
    """Whether claims that name no StorageClass would have one."""
    found = classes(api)
    if found is None:
        how = "an administrator's 'list storageclasses.storage.k8s.io'; without that a run says after some minutes that no volume came"
        return Finding("storage class", OPTIONAL, "which there are may not be read", how)
    try:
        choice = chosen(found, "")
    except EnvironmentUnusable as refused:
        state = OPTIONAL if any(not each.keeps for each in found) else MISSING
        return Finding("storage class", state, refused.what, refused.how)
    return Finding("storage class", OK, str(choice))


def _admitted(api: Api, namespace: str) -> Finding:
    """By the API server's own word of pods like ours, none of which is made: policies beside the namespace's label may refuse them."""
    where = _place(namespace)
    nobody: Thing = {"metadata": {"name": where.name, "uid": ""}}
    try:
        refuse_unadmitted(api, namespace, [where.job(0.0, "", {}), where.guests(nobody, {"any"})])
        return Finding("pods of ours", OK, "the API server would admit them")
    except EnvironmentUnusable as refused:
        lodger = _lodger_admitted(api, namespace)
        if lodger.state == MISSING:
            return lodger
        how = "kubernetes: {..., guests: ephemeral}, whose harness would be admitted: faults of the network and 'delete'"
        return Finding("pods of ours", MISSING, refused.what, how)


def _lodger_admitted(api: Api, namespace: str) -> Finding:
    """The same of the harness where guests stand in ephemeral containers: its pod and theirs have the same capability."""
    try:
        refuse_unadmitted(api, namespace, [ephemeral.unprivileged(_place(namespace).job(0.0, "", {}))])
    except EnvironmentUnusable as refused:
        return Finding("pods of ours", MISSING, refused.what, refused.how)
    return Finding("pods of ours", OK, "the API server would admit them")


def _place(namespace: str) -> Place:
    """Of a run that there will never be."""
    return Place("doctor-20260101-000000-000000", namespace, image_of(""))


def _namespace(api: Api, namespace: str, needed: str) -> list[Finding]:
    """There, and open to what is ``needed``: privileged pods, or a capability that the levels below refuse as well.

    Who may not read it is told when a run begins.
    """
    try:
        thing = api.ask("GET", f"api/v1/namespaces/{namespace}")
    except Refused as refused:
        if refused.missing:
            return [Finding("namespace", MISSING, f"there is no '{namespace}'", "name another: nines doctor --kubernetes shop")]
        return [Finding("namespace", OPTIONAL, f"'{namespace}' may not be read", f"whether it admits {needed} is seen by a run")]
    level = thing["metadata"].get("labels", {}).get(ENFORCE, PRIVILEGED)
    if level != PRIVILEGED:
        how = f"kubectl label namespace {namespace} {ENFORCE}=privileged --overwrite, by an administrator"
        return [Finding("namespace", MISSING, f"'{namespace}' enforces the pod security level '{level}': a run needs {needed}", how)]
    return [Finding("namespace", OK, f"'{namespace}' admits {needed}, by its labels")]


def rbac(
    namespace: str, user: str, *, hosts: bool = False, own: bool = False, lodged: bool = False, claims: bool = False
) -> str:  # fmt: skip
    """YAML for kubectl."""
    import yaml

    rights = ephemeral.RIGHTS if lodged else RIGHTS
    return yaml.safe_dump_all(manifest(namespace, user, hosts=hosts, own=own, claims=claims, rights=rights), sort_keys=False)
