"""Asking for a pod to go, as ``kubectl drain`` does: by the Eviction API (policy/v1), which disruption budgets may bind."""

from __future__ import annotations

import math

from chaos.kube.api import Api, Refused, Thing, place

HELD_BACK: int = 429


def evict(api: Api, namespace: str, name: str, uid: str, grace_s: float | None = None, *, dry_run: bool = False) -> str:
    """Has it evicted; what holds it back, empty if it goes. ``dry_run``: only asked, nothing is changed. ``Refused`` for all else."""
    options: Thing = {"preconditions": {"uid": uid}}
    if grace_s is not None:
        options["gracePeriodSeconds"] = math.ceil(grace_s)
    if dry_run:
        options["dryRun"] = ["All"]
    asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}, "deleteOptions": options}
    try:
        api.ask("POST", f"{place('pods', namespace, name)}/eviction", asked)
    except Refused as refused:
        if refused.status == HELD_BACK:
            return (refused.what.rpartition(": ")[2] or refused.what).rstrip(".")
        raise
    return ""
