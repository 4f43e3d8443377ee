"""Containers given back as they were before we came, by a fresh guest in each: at the end of a run, or after a crash of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from chaos.core.clock import Clock
from chaos.core.errors import NinesError
from chaos.engine.errors import translated
from chaos.engine.images.ensure import GUEST
from chaos.runtimes.base.agents.attached.guests import left_by
from chaos.runtimes.base.agents.link import AgentLink
from chaos.runtimes.docker.attach.find import Key, look_up
from chaos.runtimes.docker.containers import AGENT, Containers, Spec
from chaos.runtimes.docker.pairs import HELLO_WITHIN_S

if TYPE_CHECKING:
    from docker.api import APIClient


def guest_spec(run: str, node: str, number: int, image: str, container: str) -> Spec:
    """A guest of that container."""
    return Spec(
        name=f"nines-{run}-{node}-guest-{number}",
        node=node,
        role=AGENT,
        image=image,
        command=GUEST,
        joins=container,
        shares_pids=False,
        sees_host=True,
        env={"NINES_GUEST_OF": container},
        capabilities=("NET_ADMIN",),
        talks=True,
        protected=True,
        measures=True,
    )


def give_back(containers: Containers, keys: Sequence[Key], image: str, to_start: frozenset[str], clock: Clock) -> list[str]:
    """Each container as it was before we came, by a fresh guest: no rule, nothing frozen, started again if we stopped it.

    One that is gone altogether took with it all that could be left there. Returns what could not be taken back.
    """
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="guests") as pool:
        results = pool.map(lambda key: _give_back(containers, key, image, key.node in to_start, clock), keys)
        return [problem for problem in results if problem]


def _give_back(containers: Containers, key: Key, image: str, start: bool, clock: Clock) -> str:
    api: APIClient = containers.api
    found = look_up(api, key)
    if found is None:
        return ""
    try:
        if not found["State"]["Running"]:
            if start:
                with translated(f"starting {key}"):
                    api.start(found["Id"])
            return ""  # its network died with it
        spec = guest_spec(containers.run, key.node, clock.now_ns(), image, str(found["Id"]))
        container = containers.create(spec)
        link = AgentLink(api, container, node=key.node, clock=clock)
        try:
            containers.start(container, spec.name)
            link.hello(HELLO_WITHIN_S)
            left = left_by(link)
        finally:
            link.close()
            with translated("removing a guest"):
                api.remove_container(container, force=True, v=True)
    except NinesError as error:
        left = str(error)
    return f"{key}: {left}" if left else ""
