"""Faults by hand on pods: the harness is in their cluster, so the words of the command go there, and what it says comes back."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.cli.output import note, show
from chaos.core.errors import BadInput

if TYPE_CHECKING:
    from chaos.registry.runs import RunRecord
    from chaos.run.manual.socket import HandOrder


def spec_of(where: str, context: str) -> dict[str, Any]:
    """``shop/store``, as ``attach`` has it."""
    namespace, slash, service = where.partition("/")
    if not (namespace and slash and service):
        raise BadInput(f"--kubernetes {where}: no namespace and Service", right="--kubernetes shop/store")
    return {"namespace": namespace, "service": service} | ({"context": context} if context else {})


def are_here() -> bool:
    """We are the harness in the cluster already."""
    from chaos.runtimes.kubernetes.runtime import IN_POD

    return bool(os.environ.get(IN_POD))


def attached(arguments: argparse.Namespace, hand: HandOrder, argv: Sequence[str]) -> int:
    """One fault on pods that run already; the exit status. ``argv``: the words of the command, without its folder."""
    from chaos.api import new_folder
    from chaos.cli.manual_orders import NAME, refuse_held
    from chaos.cli.manual_orders import attached as planned
    from chaos.core.capabilities import Capability
    from chaos.core.errors import CapabilityMissing
    from chaos.elsewhere import in_cluster, verbs
    from chaos.history import identity
    from chaos.history.folder import RunFolder
    from chaos.kube.access import by_kubeconfig
    from chaos.kube.api import Api
    from chaos.plan.capabilities import needed, runtime_of

    if not arguments.yes and sys.stdin.isatty():
        raise BadInput("the fault is injected by a harness in the cluster, which cannot ask you whether to go on", right="--yes")
    ordered = planned(
        hand, pods=spec_of(arguments.kubernetes, arguments.context), ask=arguments.ask, send=arguments.send, expect=arguments.expect,
        ports=arguments.port,
    )  # fmt: skip
    wanted = needed(ordered.plan)
    if wanted & {Capability.SURGES, Capability.NAME_SET}:
        raise CapabilityMissing(
            f"'{hand.kind}' is done to clients of ours, and 'nines inject --kubernetes' starts none: nobody would ask",
            how=f"an experiment that plans '{hand.kind}': nines up X.yaml, then nines inject {hand.kind}; or nines run X.yaml",
        )
    refuse_held(ordered.plan, wanted)  # guests are placed for this very fault
    attach = ordered.plan.experiment.cluster.attach
    assert attach is not None
    if stays := runtime_of(ordered.plan.runtime).stays(ordered.plan):
        note(stays)
    folder = RunFolder(Path(arguments.folder)) if arguments.folder else new_folder(NAME)
    folder.run = identity.stamped(NAME)  # the harness there knows the run by the name of its folder
    api = Api(by_kubeconfig(attach.pods))
    try:
        with in_cluster.standing(api, ordered.plan, folder, note) as stand:
            return verbs.verb(stand, argv, show, note, folder)
    finally:
        api.close()


def relay(record: RunRecord, argv: Sequence[str], told: Any = show) -> int:  # noqa: ANN401 - takes text
    """A verb about a cluster that is held there; its exit status."""
    from chaos.elsewhere import in_cluster, verbs

    return verbs.verb(in_cluster.fetchable(record.run), argv, told, note)


def rows_of(record: RunRecord) -> list[dict[str, Any]]:
    """What the harness there says of itself; empty while it is not up yet."""
    import msgspec

    from chaos.core.errors import EnvironmentUnusable

    said: list[str] = []
    try:
        relay(record, ["status", "--json"], said.append)
    except EnvironmentUnusable:
        return []
    found: list[dict[str, Any]] = msgspec.json.decode("".join(said) or "[]")
    return found
