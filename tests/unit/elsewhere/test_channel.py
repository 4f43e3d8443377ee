"""What this side hears of a harness beside the engine."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.elsewhere import beside as besides
from chaos.elsewhere.beside import Beside
from chaos.elsewhere.channel import Channel, HarnessGone
from chaos.elsewhere.frames import END, ROW, Ticket
from chaos.elsewhere.place import Where
from chaos.engine.connection import Engine


class Nobody:
    """The streams of a harness that is never read: frames come when the test puts them."""

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        yield from ()

    def sendall(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_machine_that_slept_reads_what_was_said_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock has gone on for longer than a harness may be silent; the frames are only read now."""
    channel = Channel(Nobody())
    hours = itertools.count(0.0, 3600.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(hours))
    later = [threading.Timer(0.2, channel._frames.put, ((ROW, b"{}"),)), threading.Timer(0.5, channel._frames.put, ((END, b"{}"),))]
    for each in later:
        each.start()
    assert [kind for kind, _ in channel.receive()] == [ROW, END]


def test_a_harness_that_says_nothing_is_gone() -> None:
    """Not even that it is there."""
    with pytest.raises(HarnessGone, match="nothing was heard"):
        list(Channel(Nobody()).receive(silent_s=0.4))


def stood(monkeypatch: pytest.MonkeyPatch, found: str, *, fresh: bool = False) -> Beside:
    """A harness that is made; ``found``: another engine than the one that is meant."""
    monkeypatch.setattr(besides, "where", lambda _: Where("/v", fresh))
    monkeypatch.setattr(besides, "sockets", lambda _: ["/s"])
    monkeypatch.setattr(besides, "identity", lambda _: "it")
    monkeypatch.setattr(Beside, "_create", lambda *_: ("made", ""))
    monkeypatch.setattr(Beside, "_started", lambda *_: Channel(Nobody()))
    monkeypatch.setattr(Beside, "_found_another", lambda *_: found)
    monkeypatch.setattr(Beside, "_await_gone", lambda *_: None)
    return Beside(cast(Engine, type("Engine", (), {"facts": type("Facts", (), {"host": "tcp://x"})})), "image")


def test_an_engine_that_dies_with_its_harness_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told is that the harness is gone, and the verbs that help; not that its engine cannot be asked about it."""
    beside = stood(monkeypatch, "")

    def dead(*_: object) -> None:
        raise EnvironmentUnusable("the engine does not answer", how="start it")

    monkeypatch.setattr(Beside, "_await_gone", dead)
    with pytest.raises(HarnessGone) as raised, beside.doing(Ticket(do="run")):
        list(Channel(Nobody()).receive(silent_s=0.2))
    assert "nines fetch" in raised.value.how
    assert "nines leftovers" in raised.value.how


@pytest.mark.parametrize("fresh", [True, False])
def test_a_wrong_socket_leaves_no_volume_behind(monkeypatch: pytest.MonkeyPatch, fresh: bool) -> None:
    """One that was there before may hold what somebody measured."""
    beside, gone = stood(monkeypatch, "another engine", fresh=fresh), []
    monkeypatch.setattr(besides, "discard", gone.append)
    with pytest.raises(EnvironmentUnusable, match="its socket there was not found"), beside.doing(Ticket(do="run")):
        pytest.fail("there is no harness")
    assert len(gone) == fresh


@pytest.mark.parametrize("raised", [KeyboardInterrupt, RuntimeError])
def test_who_lets_go_does_not_wait(monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]) -> None:
    """The third Ctrl-C ends the command at once; the harness ends by itself. After anything else it is waited for."""
    waited: list[str] = []
    monkeypatch.setattr(besides, "where", lambda _: None)
    monkeypatch.setattr(besides, "sockets", lambda _: ["/s"])
    monkeypatch.setattr(besides, "identity", lambda _: "it")
    monkeypatch.setattr(Beside, "_create", lambda *_: ("made", ""))
    monkeypatch.setattr(Beside, "_started", lambda *_: Channel(Nobody()))
    monkeypatch.setattr(Beside, "_found_another", lambda *_: "")
    monkeypatch.setattr(Beside, "_await_gone", lambda _, container: waited.append(container))
    beside = Beside(cast(Engine, None), "image")
    with pytest.raises(raised), beside.doing(Ticket(do="run")):
        raise raised
    assert waited == ([] if raised is KeyboardInterrupt else ["made"])
