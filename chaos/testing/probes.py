"""What every probe must do, tried on one slot: options that are read before anything starts, an attempt that never waits and ends once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from chaos.core import plugins as tables
from chaos.history.observations import Outcome, Why
from chaos.traffic.probe import Build, Setup, Slot, StartsSomething

WITHIN_S: Final = 5.0
AT_ONCE_S: Final = 0.5
"""``send`` only begins: what waits that long in it waits for an answer."""

Ended = tuple[Outcome, Why]


def check_probe(kind: str, options: Mapping[str, str], address: str, words: Mapping[str, str] | None = None) -> Ended:
    """Send one slot to ``address`` by the probe of this name in the table of probes; how it ended.

    ``options`` are an operation's own, with what stands behind the probe's name as ``what``; ``words`` fill their templates, such as
    ``{client}``. ``AssertionError`` says what does not hold.
    """
    build: Build = tables.find("probes", kind)
    given = {"address": "{address}", **(words or {})}
    return asyncio.run(_send(build, options, address, given))


async def _send(build: Build, options: Mapping[str, str], address: str, words: Mapping[str, str]) -> Ended:
    loop = asyncio.get_running_loop()
    setup = Setup(loop=loop, operation="checked", does="read", options=options, words=words)
    probe = build(setup)
    try:
        if isinstance(probe, StartsSomething):
            await asyncio.wait_for(probe.started(), WITHIN_S)
        ends: list[Ended] = []
        await _attempt(loop, probe.send, _slot(address, ends), ends)
        assert len(ends) == 1, f"one attempt ended {len(ends)} times"
        outcome, why = ends[0]
        assert (outcome is Outcome.OK) == (why is Why.NONE) or outcome is Outcome.UNSENT, f"{outcome.name} does not go with {why.name}"
        # Cut as soon as it has begun: no end may follow.
        cut_ends: list[Ended] = []
        slot = _slot(address, cut_ends)
        probe.send(slot)
        if slot.carrier is not None and not cut_ends:
            assert isinstance(slot.carrier.cut(), bool), "a carrier that is cut says whether anything may have reached the service"
            await asyncio.sleep(0.05)
            assert cut_ends == [], "an attempt ended after it had been cut"
        return ends[0]
    finally:
        probe.close()


async def _attempt(loop: asyncio.AbstractEventLoop, send: object, slot: Slot, ends: list[Ended]) -> None:
    assert callable(send)
    began_s = loop.time()
    send(slot)
    assert loop.time() - began_s < AT_ONCE_S, "'send' waits, and with it all traffic"
    while not ends:
        assert loop.time() - began_s < WITHIN_S, f"the attempt has not ended within {WITHIN_S:g} s"
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)


def _slot(address: str, ends: list[Ended]) -> Slot:
    """As the engine would make it."""
    slot = Slot()
    slot.index, slot.key, slot.value, slot.address = 0, "key-0", "value-0", address
    slot.carrier, slot.status, slot.attempts, slot.sure, slot.tried = None, 0, 0, False, ()
    slot.due_ns = slot.sent_ns = slot.deadline_ns = slot.expiry_ns = 0
    slot.ended = lambda _slot, outcome, why: ends.append((outcome, why))
    return slot
