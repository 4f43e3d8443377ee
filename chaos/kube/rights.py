"""What a run needs to be allowed in its namespace: the least of it, as a manifest, and as questions to the API server.

The user's own account needs all of it; of the harness's account, which the run makes, only a part (``objects.Place.role``). Nobody may
give away rights that he does not have, so the user's account needs the harness's rights as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.api import Api, Thing

NAME: Final = "nines"
REVIEWS: Final = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Right(msgspec.Struct, frozen=True):
    """Verbs on one resource."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str

    @property
    def resource_name(self) -> str:
        """``pods/exec``: with its group, as people write it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


RIGHTS: Final[Sequence[Right]] = (
    Right("", "pods", ("get", "list", "watch", "create", "delete"), "to find the nodes, and for the clients' place"),
    Right("", "pods/exec", ("create", "get"), "to start the harness and the guests"),
    Right("", "pods/log", ("get",), "to keep what the nodes said in the run folder"),
    Right("", "services", ("get", "list"), "to know the name that clients resolve"),
    Right("", "events", ("list",), "to say why a pod of ours does not start"),
    Right("", "serviceaccounts", ("create", "list", "delete"), "for the harness's own account"),
    Right("rbac.authorization.k8s.io", "roles", ("create", "list", "delete"), "for what the harness may"),
    Right("rbac.authorization.k8s.io", "rolebindings", ("create", "list", "delete"), "for what the harness may"),
    Right("batch", "jobs", ("create", "get", "list", "patch", "delete"), "for the harness's pod"),
    Right("apps", "daemonsets", ("create", "list", "delete"), "for guests on the machines of the nodes"),
)
FOR_DRAINS: Final[Sequence[Right]] = (Right("", "pods/eviction", ("create",), "to ask pods to go, as their disruption budgets allow it"),)
OF_MACHINES: Final[Sequence[Right]] = (
    Right("", "nodes", ("list", "get", "patch"), "to know the zones of machines, to cordon one and open it again"),
)
"""In no namespace: machines belong to the whole cluster. Needed where an experiment speaks of zones, or drains a machine."""
_GROUP: Final = "rbac.authorization.k8s.io"
OWN_RIGHTS: Final[Sequence[Right]] = (
    Right("", "pods", ("get", "list", "watch", "create", "delete"), "to see the nodes, and for the places of clients and name server"),
    Right("", "pods/exec", ("create", "get"), "to start the harness and the agents"),
    Right("", "pods/log", ("get",), "for what the nodes say"),
    Right("", "services", ("create", "list", "delete"), "for the name of each part"),
    Right("apps", "statefulsets", ("create", "list", "delete"), "for the nodes"),
    *(right for right in RIGHTS if right.resource not in ("pods", "pods/exec", "pods/log", "services", "daemonsets")),
)
"""To start a cluster of ours, in place of those to attach."""
FOR_LOADS: Final[Sequence[Right]] = tuple(right for right in RIGHTS if right.resource == "daemonsets")
"""Beside them, to load the nodes of a cluster of ours (``cpu``, ``memory``, ``io``): privileged guests on their machines."""
FOR_CLAIMS: Final[Sequence[Right]] = (
    Right("", "persistentvolumeclaims", ("list", "delete"), "to remove the claims in which nodes have their data"),
)
"""Beside them, for a cluster of ours with ``volumes: claims``. The StatefulSet's controller makes them."""
OF_CLASSES: Final[Sequence[Right]] = (Right("storage.k8s.io", "storageclasses", ("list",), "to know whether there is that StorageClass"),)
"""In no namespace. Who lacks it is told by the cluster's own word that the claims find no volume."""
WHOLE_RIGHTS: Final[Sequence[Right]] = (Right("", "namespaces", ("create", "list", "delete"), "for a namespace of the run's own"),)
"""Beside them, where the experiment names no namespace. They are the cluster's, not a namespace's."""


def manifest(
    namespace: str, account: str = "", *, hosts: bool = False, own: bool = False, claims: bool = False, rights: Sequence[Right] = RIGHTS
) -> list[Thing]:  # fmt: skip
    """Role and binding; ``account``: the user that they are for; ``hosts``: with what is needed for machines; ``own``: to start a cluster
    of ours, and load it; ``claims``: whose data outlives its pods; ``rights``: those of a run that attaches."""
    ours = (*OWN_RIGHTS, *FOR_LOADS, *(FOR_CLAIMS if claims else ()))
    inside = (*(ours if own else rights), *(FOR_DRAINS if hosts else ()))
    found = _bound(inside, account, "Role", {"name": NAME, "namespace": namespace})
    if hosts:
        found += _bound(OF_MACHINES, account, "ClusterRole", {"name": f"{NAME}-hosts"})
    if own and claims:
        found += _bound(OF_CLASSES, account, "ClusterRole", {"name": f"{NAME}-classes"})
    return found


def _bound(rights: Sequence[Right], account: str, kind: str, metadata: Thing) -> list[Thing]:
    rules = [{"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)} for right in rights]
    return [
        {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{_GROUP}/v1", "kind": f"{kind}Binding", "metadata": metadata,
            "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": metadata["name"]},
            "subjects": [{"apiGroup": _GROUP, "kind": "User", "name": account or "YOU"}],
        },
    ]  # fmt: skip


def missing(
    api: Api, namespace: str, *, hosts: bool = False, own: bool = False, loads: bool = False, claims: bool = False,
    rights: Sequence[Right] = RIGHTS,
) -> list[str]:  # fmt: skip
    """``create pods/exec``: what the API server says that we may not do there. ``rights``: those of a run that attaches; ``loads``,
    ``claims``: with those to load a cluster of ours, and for data that outlives its pods."""
    ours = (*OWN_RIGHTS, *(FOR_LOADS if loads else ()), *(FOR_CLAIMS if claims else ()))
    inside = (*(ours if own else rights), *(FOR_DRAINS if hosts else ()))
    return _lacking(api, namespace, inside) + _lacking(api, "", OF_MACHINES if hosts else ())


def _lacking(api: Api, place: str, rights: Sequence[Right]) -> list[str]:
    """In this namespace, or in none. Of each resource one question a verb."""
    found = []
    for right in rights:
        resource, _, part = right.resource.partition("/")
        for verb in right.verbs:
            asked = {"namespace": place, "verb": verb, "group": right.group, "resource": resource}
            if part:
                asked["subresource"] = part
            answer = api.ask("POST", REVIEWS, {
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked},
            })  # fmt: skip
            if not answer.get("status", {}).get("allowed"):
                found.append(f"{verb} {right.resource_name} ({right.why})")
    return found


def refuse_unable(
    api: Api, namespace: str, rights: Sequence[Right] = RIGHTS, *, hosts: bool = False, own: bool = False, whole: bool = False,
    loads: bool = False, claims: bool = False,
) -> None:  # fmt: skip
    """``EnvironmentUnusable`` with all that is missing; ``hosts``: of a run that drains machines; ``whole``: it makes its namespace."""
    if whole and (barred := _lacking(api, "", WHOLE_RIGHTS)):
        raise EnvironmentUnusable(
            f"the API server {api.access} does not let us make a namespace for the run: {'; '.join(barred)}",
            how="name one that is there: NINES_KUBERNETES_NAMESPACE=trials, or cluster: {kubernetes: {namespace: trials}}; "
            "'nines doctor --kubernetes trials --own' checks what is needed in it",
        )
    lacking = missing(api, namespace, hosts=hosts, own=own, loads=loads, claims=claims, rights=rights)
    if lacking:
        lodged = not own and rights is not RIGHTS
        asks = f"--rbac{' --own' * own}{' --volumes claims' * claims}{' --guests ephemeral' * lodged}{' --hosts' * hosts}"
        how = f"'nines doctor --kubernetes {namespace} {asks}' prints the manifest that an administrator applies"
        raise EnvironmentUnusable(
            f"the API server {api.access} does not allow in the namespace '{namespace}': {'; '.join(lacking)}", how=how
        )
