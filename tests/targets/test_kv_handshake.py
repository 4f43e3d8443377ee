"""Peers that prove to each other that they know the secret: who gets through, and who does not."""

from __future__ import annotations

import json

import pytest
from replicated_kv.handshake import HELLO, PROVE, Called, Caller


def met(caller: Caller, called: Called, session: dict[str, str]) -> int:
    """The whole handshake: the last status, 0 if the caller hung up."""
    _, answer = called.answer(HELLO, caller.hello(), session)
    shown = caller.prove(answer)
    return called.answer(PROVE, shown, session)[0] if shown is not None else 0


def known(name: str) -> bool:
    """The members."""
    return name in {"n1", "n2", "n3"}


@pytest.mark.parametrize(
    ("secret", "name", "called", "status"),
    [(b"s", "n1", "n2", 200), (b"t", "n1", "n2", 0), (b"s", "n9", "n2", 401), (b"s", "n1", "n3", 0)],
    ids=["one of us", "another secret", "no member", "somebody else answers"],
)
def test_who_gets_through(secret: bytes, name: str, called: str, status: int) -> None:
    """Both must know the secret, the caller must be a member, and the called one who it should be."""
    session: dict[str, str] = {}
    assert met(Caller(secret, name, called), Called(b"s", "n2", known), session) == status
    assert ("node" in session) == (status == 200)


def test_a_stranger_who_skips_the_check_of_the_other_side() -> None:
    """Whoever does not know the secret cannot make the second proof, whatever the first one said."""
    called, session = Called(b"s", "n2", known), {}
    _, answer = called.answer(HELLO, json.dumps({"node": "n1", "nonce": "x"}).encode(), session)
    for shown in ("", json.loads(answer)["proof"]):
        assert called.answer(PROVE, json.dumps({"proof": shown}).encode(), dict(session))[0] == 401
    for nonsense in (b"", b"[]", b"{}", b"7", b'{"proof": null}'):
        assert called.answer(PROVE, nonsense, dict(session))[0] == 401
        assert called.answer(PROVE, nonsense, {})[0] == 401


def test_a_recorded_handshake_is_worth_nothing() -> None:
    """The same words on another connection meet another nonce."""
    called, caller, first, second = Called(b"s", "n2", known), Caller(b"s", "n1", "n2"), {}, {}
    hello = caller.hello()
    shown = caller.prove(called.answer(HELLO, hello, first)[1])
    assert shown is not None
    assert called.answer(PROVE, shown, first)[0] == 200
    called.answer(HELLO, hello, second)
    assert called.answer(PROVE, shown, second)[0] == 401
