"""Encrypted requests and questions, against real TLS servers with certificates of an authority of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.agent.agent_questions import asked
from chaos.core.clock import MonotonicClock
from chaos.core.errors import BadInput
from chaos.experiment import probe_options
from chaos.experiment.target.spec import Ask
from chaos.history.observations import Outcome, Why
from chaos.query.aio import ask
from chaos.query.kept import Beat, KeptQuestion
from chaos.query.once import Fetched
from chaos.query.question import Answer, prepare
from chaos.traffic.loop import new_loop
from chaos.traffic.probe import Probe, Setup, Slot
from chaos.traffic.probes import etcd, http, tcp
from tests.support.certificates import ADDRESS, NAME, Authority

pytestmark = pytest.mark.e2e
GOOD = (Outcome.OK, Why.NONE)
REFUSED = (Outcome.FAIL, Why.TLS)
BODY = b"x" * 70_000
"""More than four records of TLS, so that a part of it is decrypted before anybody asks for it."""


class Server:
    """Answers each request of up to one read with ``BODY``, in a thread for each connection; ``PING`` with ``+PONG``."""

    def __init__(self, context: ssl.SSLContext, *, shakes_after_s: float = 0.0) -> None:
        self._context = context
        self._after_s = shakes_after_s
        self.requests: list[bytes] = []
        self.handshakes = 0
        self.peers: list[dict[str, object] | None] = []
        self._listener = socket.create_server((ADDRESS, 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            plain.settimeout(10)
            time.sleep(self._after_s)
            with self._context.wrap_socket(plain, server_side=True) as connection:
                self.handshakes += 1
                self.peers.append(connection.getpeercert())
                while data := connection.recv(65_536):
                    self.requests.append(data)
                    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
                    connection.sendall(b"+PONG" if data == b"PING" else head + BODY)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests: its keys take a tenth of a second each."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Server]:
    """With a certificate for ``ADDRESS`` and ``NAME``."""
    made = Server(authority.server())
    yield made
    made.close()


class Bench:
    """A loop, and attempts sent one at a time. A probe is closed with it."""

    def __init__(self, port: int, folder: Path) -> None:
        self.loop = new_loop()
        self.port = port
        self._folder = folder
        self._probes: list[Probe] = []
        self.ended: list[tuple[Outcome, Why]] = []

    def probe(self, kind: str, **options: str) -> Probe:
        what = {"http": "https://{address}:{client}/", "etcd": "get"}.get(kind, "{address}:{client}")
        setup = Setup(loop=self.loop, operation="op", does="read", options={"what": what, **options}, words={"client": str(self.port)},
                      folder=str(self._folder))  # fmt: skip
        made = {"http": http.build, "etcd": etcd.build, "tcp": tcp.build}[kind](setup)
        self._probes.append(made)
        return made

    def begin(self, probe: Probe) -> Slot:
        slot = Slot()
        slot.index, slot.key, slot.value, slot.address = 0, "k0", "v0", ADDRESS
        slot.carrier, slot.status = None, 0
        slot.ended = lambda _, outcome, why: self.ended.append((outcome, why))
        probe.send(slot)
        return slot

    def one(self, probe: Probe) -> tuple[Outcome, Why]:
        before = len(self.ended)
        self.begin(probe)
        self.turn(lambda: len(self.ended) > before)
        return self.ended[-1]

    def turn(self, until) -> int:  # noqa: ANN001 - a question to the test
        """Let the loop turn until that holds; how often it did."""
        end_s, turns = time.monotonic() + 10.0, 0
        while not until():
            assert time.monotonic() < end_s, "what was awaited did not happen within ten seconds"
            self.loop.run_until_complete(asyncio.sleep(0.0005))
            turns += 1
        return turns

    def close(self) -> None:
        for probe in self._probes:
            probe.close()
        self.loop.close()


@pytest.fixture
def bench(server: Server, authority: Authority) -> Iterator[Bench]:
    """Against the server."""
    made = Bench(server.port, authority.folder)
    yield made
    made.close()


def test_requests_share_one_encrypted_connection(bench: Bench, server: Server) -> None:
    """One handshake for three requests; an answer of several records is read whole."""
    before = server.handshakes
    probe = bench.probe("http", ca="ca.pem", pattern=f"^x{{{len(BODY)}}}$")
    assert [bench.one(probe) for _ in range(3)] == [GOOD] * 3
    assert server.handshakes == before + 1


@pytest.mark.parametrize(
    ("options", "came"),
    [
        ({}, REFUSED),  # an authority that this system does not trust
        ({"verify": "false"}, GOOD),
        ({"ca": "ca.pem", "server_name": NAME}, GOOD),
        ({"ca": "ca.pem", "server_name": "another.test"}, REFUSED),
        ({"ca": "{target}/ca.pem"}, GOOD),
    ],
)
@pytest.mark.parametrize("kind", ["http", "tcp", "etcd"])
def test_a_certificate_is_believed_or_not(
    bench: Bench, kind: str, options: dict[str, str], came: tuple[Outcome, Why], capfd: pytest.CaptureFixture[str]
) -> None:
    """By its authority and its name; what is not believed is a failure with that reason, told once."""
    more = {"tcp": {"tls": "true", "send": "PING", "expect": "+PONG"}, "etcd": {"tls": "true"}}.get(kind, {})
    probe = bench.probe(kind, **options, **more)
    assert [bench.one(probe), bench.one(probe)] == [came, came]
    told = capfd.readouterr().err
    assert told.count("op: no encrypted connection to 127.0.0.1: ") == (came == REFUSED)
    if "server_name" in options and came == REFUSED:
        assert "another.test" in told


def test_a_server_may_ask_for_a_certificate(authority: Authority) -> None:
    """Shown, it is let in, from one file or two; without one it is not, over either probe."""
    certificate, key = authority.certificate("client")
    (authority.folder / "both.pem").write_text(certificate.read_text() + key.read_text())
    server = Server(authority.server(asks_for_certificate=True))
    bench = Bench(server.port, authority.folder)
    try:
        for options in ({"cert": "client.pem", "cert_key": "client.key"}, {"cert": "both.pem"}):
            assert bench.one(bench.probe("http", ca="ca.pem", **options)) == GOOD
            assert bench.one(bench.probe("tcp", tls="true", send="PING", expect="+PONG", ca="ca.pem", **options)) == GOOD
        assert [peer["subject"] for peer in server.peers if peer] == [((("commonName", "client"),),)] * 4
        assert bench.one(bench.probe("http", ca="ca.pem"))[0] is not Outcome.OK
        assert bench.one(bench.probe("tcp", tls="true", send="PING", expect="+PONG", ca="ca.pem"))[0] is not Outcome.OK
    finally:
        bench.close()
        server.close()


def test_the_loop_turns_on_while_a_handshake_is_awaited(authority: Authority) -> None:
    """A server that takes its time for the handshake holds nobody up; cut meanwhile, nothing was sent."""
    server = Server(authority.server(), shakes_after_s=0.3)
    bench = Bench(server.port, authority.folder)
    try:
        probe = bench.probe("http", ca="ca.pem")
        slot = bench.begin(probe)
        assert bench.turn(lambda: bool(bench.ended)) > 10
        assert bench.ended == [GOOD]
        another = bench.begin(bench.probe("http", ca="ca.pem"))
        bench.loop.run_until_complete(asyncio.sleep(0.01))
        assert another.carrier is not None
        assert not another.carrier.cut()
        assert slot.carrier is None
    finally:
        bench.close()
        server.close()


def test_a_plain_server_is_no_tls_server(bench: Bench) -> None:
    """It answers the handshake with something else: refused, not a timeout."""
    plain = socket.create_server((ADDRESS, 0))
    answered = threading.Thread(target=lambda: plain.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), daemon=True)
    answered.start()
    other = Bench(plain.getsockname()[1], Path())
    try:
        assert other.one(other.probe("http", verify="false")) == REFUSED
    finally:
        other.close()
        plain.close()
        answered.join(timeout=5)


def test_a_server_that_goes_in_its_handshake_has_not_refused() -> None:
    """As one that was killed: reset, not a certificate that is wrong."""
    plain = socket.create_server((ADDRESS, 0))

    def hang_up() -> None:
        connection, _ = plain.accept()
        connection.recv(65_536)
        connection.close()

    gone = threading.Thread(target=hang_up, daemon=True)
    gone.start()
    other = Bench(plain.getsockname()[1], Path())
    try:
        assert other.one(other.probe("http", verify="false")) == (Outcome.FAIL, Why.RESET)
    finally:
        other.close()
        plain.close()
        gone.join(timeout=5)


def test_questions_are_asked_over_tls_and_believe_anybody(server: Server) -> None:
    """Once, again and again on one connection, and from inside a node: an unknown authority is no reason to call a node unready."""
    url = f"https://{ADDRESS}:{server.port}/"
    clock = MonotonicClock()

    async def again_and_again(question: Ask, times: int) -> list[Fetched]:
        came: list[Fetched] = []
        beat = Beat([KeptQuestion(prepare(question, keep_alive=True), came.append, clock)], 0.01, 2.0, clock)
        beat.begin(0.0)
        while len(came) < times:
            await asyncio.sleep(0.001)
        beat.close()
        return came

    async def all_of_it() -> tuple[Answer, Answer, list[Fetched]]:
        return (
            await ask(Ask(http=url), 2.0, clock),
            await ask(Ask(tcp=f"{ADDRESS}:{server.port}", tls=True, send="PING", expect="+PONG"), 2.0, clock),
            await again_and_again(Ask(http=url), 3),
        )

    before = server.handshakes
    once, by_tcp, kept = asyncio.run(asyncio.wait_for(all_of_it(), 20))
    assert (once.ok, len(once.body), by_tcp.ok) == (True, len(BODY), True)
    assert [each.reply.status if each.reply else each.error for each in kept] == [200] * 3
    assert server.handshakes == before + 3
    answer = asked(ADDRESS, server.port, f"GET / HTTP/1.1\r\nHost: {ADDRESS}\r\n\r\n", 2.0, tls=True)
    assert answer["status"] == 200
    assert asked(ADDRESS, server.port, "PING", 2.0, "+PONG", tls=True)["state"] == ""


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("http", {"ca": "nothing.pem"}, "the file '.*nothing.pem' cannot be read"),
        ("http", {"ca": "ca.key"}, "'ca.key' holds no certificate in PEM form"),
        ("http", {"cert": "ca.pem"}, "'ca.pem' holds no certificate with its unencrypted key"),
        ("http", {"cert_key": "ca.key"}, "'cert_key' is the key of a certificate that is not given"),
        ("http", {"ca": "ca.pem", "verify": "false"}, "'verify: false' believes anybody"),
        ("http", {"verify": "no"}, "'no' stands where true or false belongs"),
        ("http", {"what": "http://{address}:{client}/", "ca": "ca.pem"}, "'ca' is for encrypted connections.*https://"),
        ("tcp", {"ca": "ca.pem"}, "'ca' is for encrypted connections.*tls: true"),
    ],
)
def test_what_is_written_wrongly_is_refused(bench: Bench, kind: str, options: dict[str, str], says: str) -> None:
    """Before anything is sent."""
    with pytest.raises(BadInput, match=says):
        bench.probe(kind, **options)


def test_keys_travel_by_the_environment(bench: Bench, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prober in a container has neither our disks nor our environment; what it is told in files holds names only."""
    authority.certificate("far")
    options = {"what": "https://{address}:{client}/", "ca": "ca.pem", "cert": "far.pem", "cert_key": "far.key"}
    carried = probe_options.secrets([options], str(authority.folder))
    assert len(carried) == 3
    assert any("PRIVATE KEY" in text for text in carried.values())
    for name, text in carried.items():
        monkeypatch.setenv(name, text)
    there = Bench(bench.port, Path("/nowhere"))
    try:
        assert there.one(there.probe("http", ca="ca.pem", cert="far.pem", cert_key="far.key")) == GOOD
    finally:
        there.close()
