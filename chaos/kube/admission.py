"""Whether the API server would admit pods like ours in a namespace: asked before anything is made, by requests that change nothing.

A Job or a DaemonSet is admitted whatever its pods are; its controller learns much later that they are not (Pod Security, or a policy of the
cluster's administrators). So the pods themselves are asked for, with ``dryRun=All``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.api import Api, Refused, Thing, place

LABEL: Final = "pod-security.kubernetes.io/enforce"
HOW: Final = (
    f"an administrator may allow it (kubectl label namespace NAME --overwrite {LABEL}=privileged, or an exception of the cluster's policy);"
    " without that nothing can be done to these pods from outside, and Nines does not run there"
)


def refuse_unadmitted(api: Api, namespace: str, makers: Sequence[Thing]) -> None:
    """``EnvironmentUnusable`` with the server's own words. ``makers``: what makes our pods, with the template of each."""
    for maker in makers:
        try:
            api.ask("POST", place("pods", namespace), _pod(maker), dryRun="All")
        except Refused as refused:
            if not refused.forbidden and refused.status != 422:
                raise
            raise EnvironmentUnusable(
                f"the namespace '{namespace}' does not admit the pods that a run needs: {refused.what.partition(': ')[2] or refused.what}",
                how=HOW,
            ) from refused


def _pod(maker: Thing) -> Thing:
    """As its controller would ask for it, but by nobody's account: that one is made later."""
    template = maker["spec"]["template"]
    spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName"}
    metadata = {"name": f"{maker['metadata']['name'][:50]}-asked", "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec | {"automountServiceAccountToken": False}}
