"""Doors to engines of other hosts: real sockets, TLS and processes on loopback."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from chaos.api import order_text
from chaos.cli import there
from chaos.elsewhere import travel, verbs
from chaos.elsewhere.beside import Beside
from chaos.elsewhere.channel import HarnessGone
from chaos.elsewhere.frames import Ticket
from chaos.elsewhere.hosts import Hosts
from chaos.engine import address
from chaos.engine.address import Certificates
from chaos.engine.connection import answers
from chaos.engine.ways import door as door_module
from chaos.engine.ways.dial import Dialler, Door
from chaos.engine.ways.door import _Asked
from chaos.history.events import RunEnded
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.registry import runs as registry
from tests.support.engine_transports import certificates, tls_before
from tests.support.needs import need

TOKEN = "ab" * 32
EXPERIMENT = """
experiment: sent
question: Where does a run belong that was sent to another host?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, hosts: {a: "tcp://127.0.0.1:1", b: "tcp://127.0.0.1:2"}}
traffic: {operations: {write: 20/s}}
"""
pytestmark = pytest.mark.timeout(60)


class Engine(http.server.BaseHTTPRequestHandler):
    """What stands behind a door here."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The path, twice; ``/info`` with an id; ``/big`` is a megabyte."""
        body = b"x" * 1_000_000 if self.path == "/big" else json.dumps({"ID": "engine-b", "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """A socket in a file has none."""
        return "somebody"

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


class OverUnix(socketserver.ThreadingUnixStreamServer):
    """One thread a connection."""

    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Path]:
    """Its socket."""
    path = tmp_path / "engine.sock"
    with OverUnix(str(path), Engine) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield path
        server.shutdown()


class Opened(NamedTuple):
    """A door's process, and what it said."""

    process: subprocess.Popen[bytes]
    told: dict[str, object]

    @property
    def door(self) -> Door:
        """As the harness is told."""
        return Door("ssh://b", "127.0.0.1", int(str(self.told["port"])), str(self.told["certificate"]), TOKEN)


def opened(engine: Path, quiet_s: float = 30.0) -> Opened:
    """As in its container: from its text."""
    need("openssl", bool(shutil.which("openssl")), "sudo apt-get install openssl")
    text = Path(door_module.__file__).read_text(encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", text, str(engine), str(quiet_s), "0"],
        stdout=subprocess.PIPE,
        env={**os.environ, "NINES_DOOR_TOKEN": TOKEN},
    )
    assert process.stdout is not None
    return Opened(process, json.loads(process.stdout.readline()))


@pytest.fixture
def far(engine: Path) -> Iterator[Opened]:
    found = opened(engine)
    yield found
    found.process.kill()
    found.process.communicate()


@pytest.fixture
def dialler(far: Opened) -> Iterator[Dialler]:
    found = Dialler({"a": Door("ssh://a"), "b": far.door}, "unix:///run/own.sock")
    yield found
    found.close()


def got(way: str, path: str) -> bytes:
    """The answer through a socket here."""
    asked = _Asked(way.removeprefix("unix://"))
    asked.request("GET", path)
    return asked.getresponse().read()


def test_an_engine_is_reached_through_its_door(far: Opened, dialler: Dialler) -> None:
    """The first host's is here; what passes is whole, and a connection serves more than one question."""
    assert far.told["engine"] == "engine-b"
    assert dialler.ways["ssh://a"] == "unix:///run/own.sock"
    way = dialler.ways["ssh://b"]
    assert json.loads(got(way, "/somewhere"))["path"] == "/somewhere"
    assert got(way, "/big") == b"x" * 1_000_000
    asked = _Asked(way.removeprefix("unix://"))
    for path in ("/one", "/two"):
        asked.request("GET", path)
        assert json.loads(asked.getresponse().read())["path"] == path


def test_the_experiment_s_own_word_for_an_engine_leads_there(dialler: Dialler) -> None:
    """So what a run notes down means the same to whoever reads it elsewhere."""
    with dialler.known():
        assert answers({"DOCKER_HOST": "ssh://b"})
        assert address.found("ssh://b").url == dialler.ways["ssh://b"]
        assert address.found("ssh://stranger").url == "ssh://stranger"
        assert address.found("ssh://b", way=False).url == "ssh://b"
    assert address.found("ssh://b").url == "ssh://b"


@pytest.mark.parametrize("knows", [True, False])
def test_an_engine_s_own_tls_port_is_a_way_as_well(engine: Path, tmp_path: Path, knows: bool) -> None:
    """With what the docker command would show and trust; nobody without it."""
    need("openssl", bool(shutil.which("openssl")), "sudo apt-get install openssl")
    for each in ("theirs", "other"):
        (tmp_path / each).mkdir()
        certificates(tmp_path / each)
    own = tmp_path / ("theirs" if knows else "other")
    with tls_before(str(engine), tmp_path / "theirs") as port:
        place = Door("tcp://b", "127.0.0.1", port, shown=Certificates(*(str(own / f"{name}.pem") for name in ("ca", "cert", "key"))))
        with contextlib.closing(Dialler({"b": place})) as dialler, dialler.known():
            assert answers({"DOCKER_HOST": "tcp://b"}) == knows


def shown(place: Door, words: bytes) -> bytes:
    """The answer of a door to somebody who says these words."""
    context = ssl.create_default_context(cadata=place.certificate)
    context.check_hostname = False
    with socket.create_connection((place.address, place.port), 10.0) as plain, context.wrap_socket(plain) as way:
        way.sendall(words)
        return way.recv(1000)


def test_who_does_not_have_the_token_is_told_nothing(far: Opened) -> None:
    """Nor who speaks in the open."""
    question = b"GET /info HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert shown(far.door, TOKEN.encode() + question).startswith(b"HTTP/1.1 200")
    assert shown(far.door, b"0" * len(TOKEN) + question) == b""
    with socket.create_connection((far.door.address, far.door.port), 10.0) as plain:
        plain.sendall(TOKEN.encode() + question)
        assert b"engine-b" not in plain.recv(1000)


def test_another_door_is_not_shown_the_token(engine: Path, far: Opened) -> None:
    """One with another certificate stands where ours was."""
    stranger = opened(engine)
    dialler = Dialler({"a": Door("ssh://a"), "b": msgspec.structs.replace(stranger.door, certificate=far.door.certificate)}, "unix:///x")
    try:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            got(dialler.ways["ssh://b"], "/info")
        dialler.change("b", stranger.door)  # as after its power was off
        assert got(dialler.ways["ssh://b"], "/info")
    finally:
        dialler.close()
        stranger.process.kill()
        stranger.process.communicate()


def test_a_door_where_nobody_is_closes(engine: Path) -> None:
    """Not while somebody is there."""
    found = opened(engine, quiet_s=0.5)
    context = ssl.create_default_context(cadata=found.door.certificate)
    context.check_hostname = False
    with socket.create_connection((found.door.address, found.door.port), 10.0) as plain, context.wrap_socket(plain) as way:
        way.sendall(TOKEN.encode())
        with pytest.raises(subprocess.TimeoutExpired):
            found.process.wait(1.5)
    assert found.process.wait(10) == 0
    found.process.communicate()


# --- the run, registered here --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "raises", "stale"),
    [
        ([], None, False),
        (["container x on b (gone away)"], None, True),
        (None, None, False),
        (None, HarnessGone("it is gone", how="wait"), True),
    ],
)
def test_a_run_is_known_here_until_its_harness_says_that_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: list[str] | None, raises: Exception | None, stale: bool
) -> None:
    """``None``: it was refused before there was a history."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    door = Door("tcp://127.0.0.1:2", "127.0.0.1", 4790)
    monkeypatch.setattr(Hosts, "open", lambda *_: contextlib.nullcontext({"a": Door("tcp://127.0.0.1:1"), "b": door}))
    monkeypatch.setattr("chaos.elsewhere.beside.where", lambda _: None)
    monkeypatch.setattr("chaos.elsewhere.beside.sockets", lambda _: [])
    plan = order_text(EXPERIMENT, Path("x.yaml")).plan
    folder = RunFolder(tmp_path / "r")
    folder.path.mkdir()
    stand = Beside(type("Engine", (), {})(), "image")  # type: ignore[arg-type]
    with (
        pytest.raises(HarnessGone) if raises else contextlib.nullcontext(),
        travel._on_hosts(stand, Ticket("run", images={"harness": "h"}), plan, folder, lambda _: None) as ticket,
    ):
        assert ticket.doors["b"] == door
        (record,) = registry.records()
        assert (record.engine, record.further) == ("tcp://127.0.0.1:1", ("tcp://127.0.0.1:2",))
        if left is not None:
            writer = HistoryWriter(folder.history)
            writer.append(RunEnded(at_ns=1, left=left))
            writer.close()
        if raises:
            raise raises
    assert [each.stale for each in registry.records()] == [True] * stale


def test_a_crashed_run_is_settled_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, when heal has removed what it left."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    folder, settled = RunFolder(tmp_path / "run"), []
    folder.write_plan(order_text(EXPERIMENT, Path("x.yaml")).plan, EXPERIMENT)
    with registry.claim(folder.run, folder.path, "docker", engine="tcp://127.0.0.1:1", further=("tcp://127.0.0.1:2",)) as claim:
        claim.begins()
        claim.abandon("its command was killed")
    monkeypatch.setattr(
        verbs, "healed_on_hosts", lambda plan, found, _: settled.append((found.run, list(plan.experiment.cluster.hosts))) or ""
    )
    crashed = there.Crashed()
    assert crashed.settle() == []
    assert settled == []
    registry.forget(registry.stale()[0])
    assert crashed.settle() == []
    assert settled == [(folder.run, ["a", "b"])]
