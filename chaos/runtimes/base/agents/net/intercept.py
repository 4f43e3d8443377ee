"""Interposing where a system runs already: what it had open is ended once, so that it is opened again through our proxies.

    look: can it be done? -> the proxies -> the rules that turn aside -> cut -> no connection goes past them any more

What cannot be shown is refused: a delay that some connections never met would be a lie about the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.net.nft import PROXY_UID
from chaos.net.packets import Redirect
from chaos.runtimes.base.agents.net.proxies import Agent

CUT_WITHIN_S: Final = 10.0
GRACE_S: Final = 5.0
RIGHT: Final = "attach: {{..., ports: [{}]}}"


def refuse_unable(source: str, agent: Agent, redirects: Sequence[Redirect], control_port: int) -> None:
    """What would make a lie of the harm, before anything is done.

    ``EnvironmentUnusable`` if the system uses what our proxies need in its namespace, their ports or their uid; ``CapabilityMissing``
    if it has connections to the same places at ports that no proxy stands for.
    """
    ports = [control_port, *(one.to for one in redirects)]
    found = agent.call("aside.look", ports=ports, redirects=_rows(redirects)).result
    if found["taken"]:
        how = f"say which ports it listens on, so that others are taken: {RIGHT.format(found['taken'])}"
        raise EnvironmentUnusable(f"{source} listens on port {found['taken']}, which a proxy of ours was to use", how=how)
    if found["proxies"]:
        how = "run it as another user; or 'nines heal', if an earlier run was here"
        raise EnvironmentUnusable(f"somebody in the network of {source} runs as uid {PROXY_UID}, by which our proxies are known", how=how)
    if found["unnamed"]:
        named = ", ".join(sorted({each.rpartition(":")[2] for each in str(found["unnamed"]).split(", ")}, key=int))
        raise CapabilityMissing(
            f"{source} has connections to {found['unnamed']}, at ports that no proxy stands for: they would not be harmed",
            how=f"name them: {RIGHT.format(named)}, or --port",
        )


def cut_old(source: str, agent: Agent, redirects: Sequence[Redirect], *, within_s: float = CUT_WITHIN_S, destroys: bool = True) -> int:
    """End what goes past the proxies, until the kernel's own table shows nothing of it; how many connections that were.

    ``EnvironmentUnusable`` for connections that stay. Without ``destroys``, as on a kernel that cannot end them, those stay that are idle.
    """
    found = agent.call("aside.cut", within_s + GRACE_S, redirects=_rows(redirects), within_s=within_s, destroys=destroys).result
    if found["left"]:
        why = f" ({found['why']})" if found["why"] else ""
        raise EnvironmentUnusable(
            f"connections of {source} to {found['left']} could not be ended within {within_s:g} s{why}, and would not be harmed",
            how="a kernel with CONFIG_INET_DIAG_DESTROY; else restart the container and attach while its connections are young",
        )
    return int(found["cut"] or 0)


def _rows(redirects: Sequence[Redirect]) -> list[tuple[str, int, int]]:
    return [(one.address, one.port, one.to) for one in redirects]
