"""A signal before a harness stands elsewhere ends the command on its way out; afterwards it is the run's."""

from __future__ import annotations

import signal

import pytest

from chaos.core.errors import Interrupted
from chaos.elsewhere.signals import Signals, obeyed_at_once


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_made_is_removed_on_the_way_out(number: signal.Signals) -> None:
    """The first one ends it; a second one does not cut the removal short; handlers are as before."""
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    removed = False
    with pytest.raises(Interrupted) as caught, obeyed_at_once():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            removed = True
    assert removed
    assert caught.value.exit_code == 128 + number
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


def test_while_a_harness_stands_it_is_told() -> None:
    sent: list[tuple[bytes, bytes]] = []

    class Told:
        def send(self, kind: bytes, payload: bytes) -> None:
            sent.append((kind, payload))

    with obeyed_at_once(), Signals() as signals:
        signal.raise_signal(signal.SIGTERM)
        signals.pass_on(Told())  # type: ignore[arg-type]
        signals.pass_on(Told())  # type: ignore[arg-type]
    assert [payload for _, payload in sent] == [str(int(signal.SIGTERM)).encode()]
