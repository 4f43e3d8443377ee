"""A machine goes away that servers of the name stand on: whoever asks for the name meanwhile is told nothing.

    the machine is gone   questions to the servers there are lost; the runtime's address of all servers leads to them as before
    it is missed          after the runtime's grace: questions go to the servers elsewhere, if there are any
    it is back            its servers are started with it (``name_restart``)

With so many of all servers there, a client's questions go there with that chance, and stay with the server that they met first: its one
socket is one connection to the runtime. Clients that keep an answer carry on to the end of its life.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.predict.scenarios.case import ZONE, Case
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

POWER_OFF: Final = "power_off"
PARTITION: Final = "partition"


def share(case: Case) -> float:
    """How large a share of the name's servers goes with the fault; 0 where none does, or nobody says where they stand."""
    servers, host = case.system.front.servers, case.facts.role.removeprefix(f"{ZONE}:")
    whole = case.facts.kind == POWER_OFF or (case.facts.kind == PARTITION and case.text("by", "") == "host")
    return servers.get(host, 0) / sum(servers.values()) if whole and servers else 0.0


def without_names(case: Case, built: Scenario) -> Scenario:
    """The same fault, where clients cannot ask the name for a while either."""
    part, front = share(case), case.system.front
    if part <= 0 or front.resolve == "once":
        return built
    back_s = _back_s(case, part)
    lost = case.rng.uniform(0.0, 1.0, case.samples) < part
    until_s = np.where(lost, back_s, 0.0)
    if front.resolve == "per-request" or front.ttl_s <= 0:
        groups = tuple(replace(each, spells=(Spell(Fate.LOSE, until_s), *each.spells)) for each in built.groups)
        groups = tuple(_asked_by_nobody(each, until_s) for each in groups)
    else:
        # The cache is renewed at one phase; the question that meets no server is asked again each time-out as long as somebody waits.
        ends_s = case.moment(front.ttl_s)
        again_s = until_s + case.moment(min(case.system.client.timeout_s, case.system.client.deadline_s))
        empty = lost & (ends_s < until_s)
        groups = tuple(_unlisted(each, np.where(empty, ends_s, np.inf), np.where(empty, again_s, np.inf)) for each in built.groups)
        until_s = np.where(empty, again_s, 0.0)
    return Scenario(built.samples, groups, (Block("dns", until_s), *built.blocks), built.first_due_s)


def _back_s(case: Case, part: float) -> Floats:
    """When questions are answered again: by the servers that come back with their machine, or by others once this one is missed."""
    front = case.system.front
    booted = case.facts.kind == POWER_OFF
    back_s = case.for_s + (case.optional("boot_s") + case.optional("name_restart_s") if booted else 0.0)
    if front.lost is None:
        return back_s
    missed_s = front.lost.sample(case.rng, case.samples)
    if part < 1:
        return np.minimum(back_s, missed_s)
    given = case.system.given
    eviction = given.get("name_eviction_s", given.get("eviction_s"))
    elsewhere_s = (
        np.inf if eviction is None else missed_s + eviction.mean_s + case.optional("replacement_s") + case.optional("name_restart_s")
    )
    # A server that was missed is one of the name's again when its machine's word has come, and a probe.
    seen_s = np.where(back_s > missed_s, case.optional("name_again_s"), 0.0)
    return np.minimum(back_s + seen_s, elsewhere_s)


def _asked_by_nobody(group: Group, until_s: Floats) -> Group:
    """Whether it is in the answer or not makes no difference while there is none."""
    if group.left_s is None:
        return group
    return replace(group, left_s=np.maximum(group.left_s, np.minimum(until_s, _back(group))))


def _unlisted(group: Group, from_s: Floats, to_s: Floats) -> Group:
    """Its address is in no answer for so long; in the next one, unless it was to be left out for longer."""
    gone_s = np.full(len(from_s), np.inf) if group.left_s is None else group.left_s
    out = np.isfinite(from_s)
    back_s = np.where(np.isfinite(gone_s), np.maximum(_back(group), np.where(out, to_s, 0.0)), to_s)
    return replace(group, left_s=np.minimum(gone_s, from_s), back_s=back_s)


def _back(group: Group) -> Floats:
    assert group.left_s is not None or group.back_s is None
    return np.full(1, np.inf) if group.back_s is None else group.back_s
