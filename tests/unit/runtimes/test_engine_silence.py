"""A word that a container of ours never answers: whether it is silent by itself, or the engine that stands between."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from docker.api import APIClient

from chaos.core.clock import MonotonicClock
from chaos.core.errors import FaultNotEffective, NotHealed
from chaos.core.values import NameHarm
from chaos.engine import errors as engine_errors
from chaos.engine.errors import SILENT, silence
from chaos.history.events import NamesOrdered
from chaos.runtimes.base import names as common_names
from chaos.runtimes.base.names import ServerNames


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket where an engine could be; who connects is not answered."""
    monkeypatch.setattr(engine_errors, "ANSWERS_WITHIN_S", 0.05)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "engine.sock"))
        server.listen()
        yield server


def api(server: socket.socket) -> APIClient:
    return APIClient(base_url=f"unix://{server.getsockname()}", version="1.41")


def test_an_engine_that_hangs_is_named(listening: socket.socket) -> None:
    """It takes the connection and says nothing, as one that is stopped does."""
    assert silence(api(listening)) == SILENT


def test_an_engine_that_answers_is_not_to_blame(listening: socket.socket) -> None:
    """Whatever it says."""

    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")

    answering = threading.Thread(target=answer)
    answering.start()
    assert silence(api(listening)) == ""
    answering.join()


class Server:
    """A name server that obeys so many orders; ``why`` nothing is heard of it then."""

    def __init__(self, obeys: int, why: str) -> None:
        self.child = self
        self.obeys = obeys
        self.why = why
        self.names: ServerNames

    def tell(self, line: bytes) -> bool:
        if self.obeys:
            self.obeys -= 1
            self.names.told(NamesOrdered(at_ns=7, number=1, mode="down", on=True))
        return True

    def unheard(self) -> str:
        return self.why


def names(server: Server) -> ServerNames:
    server.names = ServerNames(cast("Any", server), "db", "127.0.0.1", 53, MonotonicClock())
    return server.names


@pytest.mark.parametrize(("why", "said"), [(SILENT, SILENT), ("", "it does not answer")], ids=["the engine", "the server"])
def test_an_order_that_is_not_heard_says_whose_doing_it_is(monkeypatch: pytest.MonkeyPatch, why: str, said: str) -> None:
    """When it is given, and when it is taken back."""
    monkeypatch.setattr(common_names, "OBEYS_WITHIN_S", 0.01)
    with pytest.raises(FaultNotEffective) as refused, names(Server(0, why)).harm(NameHarm("down")):
        pytest.fail("the order was obeyed")
    assert str(refused.value) == f"the name server could not be told to do 'down': {said}"
    with pytest.raises(NotHealed) as left, names(Server(1, why)).harm(NameHarm("down")):
        pass
    assert str(left.value) == f"the name server does not say that it has stopped doing 'down': {said}"
