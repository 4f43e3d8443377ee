"""Bytes of ours between two ends: what the reader tells of them, and that no partner is left behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from chaos.agent.agent_parts import passage

HERE = "127.0.0.1"
WITHIN_S = 5.0


@pytest.fixture
def partner() -> Iterator[int]:
    """The port of one; nobody listens there any more afterwards."""
    port = passage.listen(HERE)
    yield port
    passage.forget(port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HERE, port), timeout=1.0)


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_all_of_it_arrives_and_then_the_end(partner: int, stream: str) -> None:
    """Without anything between the two, in both directions."""
    seen = passage.send(HERE, partner, partner, stream, 300_000, WITHIN_S)
    assert (seen["ended"], seen["bytes"]) == ("closed", 300_000)
    assert seen["pieces"] >= 300_000 / passage.CHUNK_BYTES
    assert 0 < seen["last_s"] <= seen["ended_s"]
    assert 0 <= seen["closing_s"] <= seen["ended_s"]


def test_who_refuses_lets_nothing_through(partner: int) -> None:
    """A closed port in place of the proxy, and one behind which no partner is reached."""
    with socket.create_server((HERE, 0)) as other:
        port = other.getsockname()[1]
        assert passage.send(HERE, partner, port, "upstream", 10, 0.1) == {"ended": "refused"}
    again = passage.listen(HERE)
    assert passage.send(HERE, again, port, "upstream", 10, WITHIN_S) == {"ended": "refused"}


def test_what_hangs_ends_by_its_time() -> None:
    """Longer than the buffers of a connection that nobody reads from: the sender gives up, the reader has what it had."""
    with socket.create_server((HERE, 0)) as held:
        partner = passage.listen(HERE)
        with socket.create_connection((HERE, partner)):  # takes the partner's only place
            seen = passage.send(HERE, partner, held.getsockname()[1], "downstream", 10, 0.1)
    assert seen["ended"] == "timed out"
    assert (seen["bytes"], seen["last_s"], seen["ended_s"], seen["closing_s"]) == (0, None, None, None)


def test_a_partner_serves_once() -> None:
    """Afterwards, and after a heal, there is none."""
    one, other = passage.listen(HERE), passage.listen(HERE)
    assert passage.send(HERE, one, one, "upstream", 1, WITHIN_S)["ended"] == "closed"
    assert passage.heal(None) == []
    for port in (one, other):
        with pytest.raises(ValueError, match=str(port)):
            passage.send(HERE, port, port, "upstream", 1, WITHIN_S)
