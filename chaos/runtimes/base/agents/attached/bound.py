"""What of a run keeps to the addresses that nodes had when it began: with it, no node may come back at another one."""

from __future__ import annotations

from chaos.experiment.target import templates
from chaos.net.needs import Needs
from chaos.plan.plan import Plan


def bound(plan: Plan, needs: Needs, *, named: bool, traffic: bool) -> tuple[str, str] | None:
    """Why not, and what to do; None: all that has to know of a new address is told. ``named``: clients resolve a name."""
    if needs.toxics:
        return "the proxies of stream faults stand before the old one", "no stream faults beside it; partition, loss and pause go with it"
    if needs.queues:
        return "the kernel's queues tell packets by the old one", "'loss' or 'partition' in place of faults with netem"
    if not traffic:
        return None
    client = plan.experiment.traffic.client
    if client.endpoints is not None or client.redirects:
        key = "endpoints" if client.endpoints is not None else "redirects"
        return f"with 'client: {{{key}: ...}}' clients know the old one", f"leave '{key}' out: clients then ask the name"
    if not named:
        how = 'a name in the operations, such as {http: "http://store:8080/"}'
        return "clients ask no name and know the old one", how
    for name, kind in plan.operations.items():
        if written := next(filter(None, map(templates.by_address, kind.options.values())), ""):
            return f"'{name}' says {written}: its clients know the old one", "{name} in place of {address}"
    return None
