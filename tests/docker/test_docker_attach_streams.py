"""Streams between containers that talked to each other before we came: slowed, seen by themselves, and given back."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.cli import main as cli
from chaos.core.clock import MonotonicClock
from chaos.core.errors import EnvironmentUnusable
from chaos.core.values import Cut, Link, RoundTrip
from chaos.engine.connection import Engine
from chaos.net import nft, packets
from chaos.net.addresses import UNNAMED, Addresses
from chaos.net.needs import Needs
from chaos.run import leftovers
from chaos.runtimes.base.agents.net.intercept import cut_old
from chaos.runtimes.base.agents.net.net import AgentNet
from chaos.runtimes.base.agents.net.proxies import CONTROL_PORT
from tests.support.paths import SUPPORT
from tests.support.theirs import PORT, WITHIN_S, Theirs, guest_of, injecting, leave_alone, theirs, words

DELAY_S = 0.3
CHATTER = (SUPPORT / "chatter.py").read_text(encoding="utf-8")
LATENCY = ("latency", "--to", "n1 -> n2", "--for", "600s", "--set", f"latency={round(DELAY_S * 1e3)}ms")


def talking(word: str) -> list[str]:
    """What each of them runs."""
    return ["python3", "-c", CHATTER, *(f"{word}-{number}" for number in (1, 2, 3))]


def said(there: Theirs, number: int, peer: int) -> dict[str, Any]:
    """What one of them says of its connections to another; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{there.state(number)[2] or '127.0.0.1'}:{PORT}/", timeout=5) as reply:
            found: dict[str, Any] = json.load(reply)[f"{there.word}-{peer}"]
            return found
    except OSError:
        return {}


def shortest_s(there: Theirs, number: int, peer: int) -> float:
    """Of the last round trips; 0 while there is none."""
    return said(there, number, peer).get("shortest_s") or 0.0


def await_that(what: Callable[[], bool]) -> None:
    """Until it is so."""
    until_s = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def await_quick(there: Theirs) -> None:
    """They talk, and nothing holds them up."""
    await_that(lambda: all(0 < shortest_s(there, 1, peer) < DELAY_S and said(there, 1, peer)["silent"] > 0 for peer in (2, 3)))


def test_streams_that_were_open_before_are_harmed_and_given_back(
    state: Path, engine: Engine, base_image: str, harness_image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They see the delay by themselves, on that link only, a restart or not; after it, and after a crash of ours, nothing is left."""
    with theirs(engine, base_image, command=talking) as there:
        await_quick(there)
        others = said(there, 1, 3)
        with injecting(there, *LATENCY) as process:
            await_that(lambda: shortest_s(there, 1, 2) >= DELAY_S)
            seen = said(there, 1, 2)
            assert (seen["talking"], seen["silent"]) == (2, 2), "each was opened again, once"
            assert shortest_s(there, 1, 3) < DELAY_S
            assert shortest_s(there, 2, 1) < DELAY_S
            assert {**said(there, 1, 3), "shortest_s": 0} == {**others, "shortest_s": 0}, "these were left alone"
            there.api.restart(there.ids[0], timeout=0)
            await_that(lambda: shortest_s(there, 1, 2) >= DELAY_S)
            process.send_signal(signal.SIGTERM)
            assert process.wait(WITHIN_S) == 143
        await_quick(there)
        there.assert_as_before(engine, harness_image)
        Path(there.word).rename("first")
        with injecting(there, "bandwidth", "--to", "n1 -> n2", "--for", "600s", "--set", "rate=20KB/s", "--port", "8001") as process:
            process.kill()
            process.wait()
        assert leftovers.heal().could_not == []
        await_quick(there)
        there.assert_as_before(engine, harness_image)
        Path(there.word).rename("second")
        assert cli.main([*words(there, "down", "--to", "n1 -> n2", "--for", "1s"), "--json"]) == 0
        done = json.loads(capsys.readouterr().out)
        assert done["during"]["n1 -> n2.error"] == "refused"
        assert done["healed_s"] - done["effective_s"] >= 1.0
        await_quick(there)
        there.assert_as_before(engine, harness_image)
        assert leftovers.leftovers() == []


def test_connections_are_only_called_cut_when_they_are(state: Path, engine: Engine, base_image: str, harness_image: str) -> None:
    """Where the kernel ends none, those that speak are reset, and a silent one is told; a guest that is left alone takes all of it back."""
    with theirs(engine, base_image, command=talking) as there, guest_of(there, 1, harness_image, "6") as link:
        await_quick(there)
        ours, peer = there.before[0][2], there.before[1][2]
        line, ports = Link("n1", "n2"), {"client": PORT}
        net = AgentNet(
            run="r", addresses=Addresses({UNNAMED: {"n1": ours, "n2": peer}}), ports={"n1": ports, "n2": ports}, links=[line],
            gateway=there.gateway, measure=lambda _link, _timeout_s: RoundTrip(None), clock=MonotonicClock(),
            needs=Needs(frozenset({line}), ages=True), late=True,
        )  # fmt: skip
        (redirect,) = net.redirects_of("n1")
        rules = nft.standing_commands(packets.Namespace(there.gateway, redirects=(redirect,), control=CONTROL_PORT))
        link.call("nft", commands=rules)  # and no proxy: what is turned aside is refused
        with pytest.raises(EnvironmentUnusable, match=f"n1 to {peer}:{PORT} could not be ended within 2 s .*not supported"):
            cut_old("n1", link, [redirect], within_s=2.0, destroys=False)
        assert said(there, 1, 2)["silent"] == 1
        link.call("nft", commands=["delete table inet nines", "add table inet nines"])
        await_that(lambda: said(there, 1, 2)["talking"] == 2)
        net.check("n1", link)
        net.join("n1", link)
        await_that(lambda: (said(there, 1, 2)["talking"], said(there, 1, 2)["silent"]) == (3, 2))
        assert there.reaches(2, 1)
        assert not there.reaches(2, 1, CONTROL_PORT), "nobody but us gives orders to our proxies"
        with net.layer([Cut(line, existing="keep")]):
            asked = {"host": peer, "port": PORT, "request": "GET / HTTP/1.0\r\n\r\n", "within_s": 0.5}
            assert link.call("ask", **asked).errno is not None, "no new connection"
            assert (said(there, 1, 2)["talking"], said(there, 1, 2)["silent"]) == (3, 2), "and the old ones stay"
        assert link.call("ask", **asked).errno is None
        net.close()
        leave_alone(there, link)
        await_that(lambda: (said(there, 1, 2)["talking"], said(there, 1, 2)["silent"]) == (4, 3))
        there.assert_as_before(engine, harness_image)
