"""The Toxiproxy adapter against the real server, and against one that misbehaves."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from chaos.core.errors import EnvironmentUnusable, NotHealed
from chaos.experiment.target.spec import Ask
from chaos.net.toxiproxy.errors import AlreadyThere, Broken, NoAnswer, NotAsAsked, NotThere, Refused, ToxiproxyError
from chaos.net.toxiproxy.program import argv, find
from chaos.net.toxiproxy.state import BOTH, DOWNSTREAM, ProxyState, ProxyToxic, toxics_for
from chaos.net.toxiproxy.toxics import HowRemoved, Removed, ToxicOn, ToxiproxyServer
from chaos.query import question as asking
from tests.support.asking import ask
from tests.support.fake_toxiproxy import HANG, HTML_503, JSON_AS_TEXT, FakeToxiproxy
from tests.support.needs import need

BLOCK = f"127.{32 + os.getpid() % 30}"
"""Addresses of this test process."""
PORT = 7000
TRIES = 50
NAME = "run.n1__n2.client"
CUT = toxics_for("cut", "timeout", {"timeout": 0}, BOTH)
LATENCY = toxics_for("slow", "latency", {"latency": 80, "jitter": 0}, DOWNSTREAM)[0]


# --- the real server ---------------------------------------------------------------------------------------------------


class Echo:
    """Answers each HTTP request at once, and sends back whatever else comes."""

    def __init__(self, address: str) -> None:
        self._socket = socket.create_server((address, PORT))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    @staticmethod
    def _talk(connection: socket.socket) -> None:
        try:
            while data := connection.recv(65536):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" if data.startswith(b"GET") else data)
        except OSError:
            return

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            connection.close()


@contextmanager
def serving(address: str) -> Iterator[ToxiproxyServer]:
    try:
        found = find(build=False)
    except EnvironmentUnusable as error:
        need("toxiproxy-server", present=False, how=error.how)
        raise
    process = subprocess.Popen(argv(found, address, 8474), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server = ToxiproxyServer(address)
        server.wait_ready(20)
        yield server
    finally:
        process.kill()
        process.wait()


def removed(server: ToxiproxyServer, proxy: str, name: str) -> Removed:
    """One taken out, by its name alone."""
    return server.remove_toxics([ToxicOn(proxy, ProxyToxic(name, "latency", {}))])[0]


@pytest.fixture(scope="module")
def real() -> Iterator[ToxiproxyServer]:
    """One real server for this file."""
    with serving(f"{BLOCK}.0.84") as server:
        yield server


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """A listener to lead to."""
    echo = Echo(f"{BLOCK}.1.1")
    yield f"{BLOCK}.1.1:{PORT}"
    echo.close()


@pytest.fixture
def proxied(real: ToxiproxyServer, upstream: str) -> Iterator[Ask]:
    """A question through an open proxy without toxics, gone after the test."""
    real.create(NAME, f"{BLOCK}.2.1:{PORT}", upstream)
    yield Ask(http=f"http://{BLOCK}.2.1:{PORT}/")
    real.delete(NAME)
    assert NAME not in real.proxies()


def connect(question: Ask) -> socket.socket:
    """An open connection through the proxy over which something has passed."""
    connection = socket.create_connection((f"{BLOCK}.2.1", PORT), timeout=5)
    connection.sendall(b"ping")
    assert connection.recv(4) == b"ping"
    return connection


def test_the_version_is_told_and_new_enough(real: ToxiproxyServer) -> None:
    """Built by ``go install`` it calls itself git: then PATCH shows that it is 2.6 or newer."""
    version = real.check_version()
    assert version.startswith("git (") or version[0] == "2"


def test_a_proxy_passes_bytes_and_is_read_back(real: ToxiproxyServer, proxied: Ask, upstream: str) -> None:
    """What it is after creation is the server's word."""
    state = real.proxy(NAME)
    assert state is not None
    assert (state.listen, state.upstream, state.enabled, state.toxics) == (f"{BLOCK}.2.1:{PORT}", upstream, True, ())
    assert ask(proxied, 5).ok


def test_latency_is_added_per_direction_and_gone_after(real: ToxiproxyServer, proxied: Ask) -> None:
    """80 ms downstream is 80 ms a round trip; upstream as well, 160; removed, it is as before."""
    real.add_toxics([ToxicOn(NAME, LATENCY)])
    one_way = ask(proxied, 5).rtt_s
    assert one_way is not None
    assert one_way >= 0.08
    upstream_too = ProxyToxic("slow_upstream", "latency", {"latency": 80}, "upstream")
    real.add_toxics([ToxicOn(NAME, upstream_too)])
    both_ways = ask(proxied, 5).rtt_s
    assert both_ways is not None
    assert both_ways >= 0.16
    removed = real.remove_toxics([ToxicOn(NAME, LATENCY), ToxicOn(NAME, upstream_too)])
    assert [each.how for each in removed] == [HowRemoved.DELETED] * 2
    assert any((ask(proxied, 5).rtt_s or 1.0) < 0.08 for _ in range(TRIES)), "none of them is quick: something is left of it"


def test_drop_by_timeout_toxics(real: ToxiproxyServer, proxied: Ask) -> None:
    """Connects complete, nothing comes, old connections hang; removal closes those it held and lets new ones through."""
    old = connect(proxied)
    real.add_toxics([ToxicOn(NAME, toxic) for toxic in CUT])
    assert ask(Ask(tcp=f"{BLOCK}.2.1:{PORT}"), 5).ok
    assert ask(proxied, 0.2).error == asking.TIMED_OUT
    old.settimeout(0.2)
    old.sendall(b"ping")
    with pytest.raises(TimeoutError):
        old.recv(4)
    real.remove_toxics([ToxicOn(NAME, toxic) for toxic in CUT])
    old.settimeout(5)
    assert old.recv(4) == b""
    old.close()
    assert ask(proxied, 5).ok


def test_reject_by_closing_the_proxy(real: ToxiproxyServer, proxied: Ask) -> None:
    """Open connections end, new ones are refused; opened again, all is well."""
    old = connect(proxied)
    real.set_enabled(NAME, enabled=False)
    assert old.recv(4) == b""
    old.close()
    assert ask(proxied, 5).error == asking.REFUSED
    real.set_enabled(NAME, enabled=True)
    assert ask(proxied, 5).ok


@pytest.mark.parametrize("existing", ["keep", "cut"])
def test_existing_connections_are_kept_or_cut(real: ToxiproxyServer, proxied: Ask, existing: str) -> None:
    """Kept, they get the toxic as well; cut, they end first."""
    old = connect(proxied)
    real.add_toxics([ToxicOn(NAME, LATENCY)], existing=existing)
    if existing == "keep":
        old.sendall(b"pong")
        assert old.recv(4) == b"pong"
    else:
        assert old.recv(4) == b""
    old.close()
    state = real.proxy(NAME)
    assert state is not None
    assert (state.enabled, [toxic.name for toxic in state.toxics]) == (True, [LATENCY.name])


def test_toxics_are_in_place_before_the_first_connection(real: ToxiproxyServer, upstream: str) -> None:
    """A proxy made with toxics never passes a byte without them."""
    listen, done = f"{BLOCK}.2.7:{PORT}", threading.Event()
    seen: list[asking.Answer] = []

    def keep_asking() -> None:
        while not done.is_set():
            seen.append(ask(Ask(http=f"http://{listen}/"), 0.1))

    asker = threading.Thread(target=keep_asking)
    asker.start()
    try:
        real.create("early", listen, upstream, toxics=CUT)
        assert ask(Ask(http=f"http://{listen}/"), 0.1).error == asking.TIMED_OUT
    finally:
        done.set()
        asker.join()
        real.delete("early")
    assert {answer.error for answer in seen} <= {asking.REFUSED, asking.TIMED_OUT}


def test_a_dead_upstream_accepts_and_closes(real: ToxiproxyServer) -> None:
    """Never refused: the model has to know (a proxied link is instrumented)."""
    real.create("dead", f"{BLOCK}.2.8:{PORT}", f"{BLOCK}.1.250:{PORT}")
    try:
        assert ask(Ask(tcp=f"{BLOCK}.2.8:{PORT}"), 5).ok
        assert ask(Ask(http=f"http://{BLOCK}.2.8:{PORT}/"), 5).error in {asking.CLOSED, asking.RESET}
    finally:
        real.delete("dead")


@pytest.mark.parametrize("name", ["run.a b__c#?.x%20", "run.ü__n1"])
def test_names_are_quoted(real: ToxiproxyServer, upstream: str, name: str) -> None:
    """Whatever stands in a name, it is one part of the path."""
    real.create(name, f"{BLOCK}.2.9:{PORT}", upstream, toxics=CUT)
    removed(real, name, CUT[0].name)
    state = real.proxy(name)
    assert state is not None
    assert [toxic.name for toxic in state.toxics] == [CUT[1].name]
    real.delete(name)
    assert real.proxy(name) is None


def test_errors_of_the_real_server_are_told_apart(real: ToxiproxyServer, proxied: Ask, upstream: str) -> None:
    """Twice the same proxy or toxic, an unknown type, a proxy that is not there, a port that is taken."""
    with pytest.raises(AlreadyThere, match="proxy already exists"):
        real.create(NAME, f"{BLOCK}.2.1:{PORT}", upstream)
    real.add_toxics([ToxicOn(NAME, LATENCY)])
    with pytest.raises(AlreadyThere, match="toxic already exists"):
        real.add_toxics([ToxicOn(NAME, LATENCY)])
    with pytest.raises(Refused, match="invalid toxic type"):
        real.add_toxics([ToxicOn(NAME, ProxyToxic("x", "teleport", {}))])
    with pytest.raises(NotThere, match="proxy not found"):
        real.add_toxics([ToxicOn("nobody", LATENCY)])
    with pytest.raises(Broken, match="address already in use"):
        real.create("taken", f"{BLOCK}.2.1:{PORT}", upstream)
    state = real.proxy(NAME)
    assert state is not None
    assert [toxic.name for toxic in state.toxics] == [LATENCY.name]


def test_many_proxies_by_one_call(real: ToxiproxyServer, upstream: str) -> None:
    """All are there and open, a toxic on each comes and goes; and a port that is taken is an error, not one proxy less."""
    wanted = [ProxyState(f"many-{number}", f"{BLOCK}.3.{number}:{PORT}", upstream, enabled=True) for number in range(1, 41)]
    real.create_all(wanted)
    harm = [ToxicOn(state.name, toxic) for state in wanted for toxic in CUT]
    real.add_toxics(harm)
    assert all(len(real.proxies()[state.name].toxics) == len(CUT) for state in wanted)
    assert len(real.remove_toxics(harm)) == len(harm)
    assert not any(state.toxics for state in real.proxies().values())
    with pytest.raises(ToxiproxyError, match="address already in use"):
        real.create_all([ProxyState("taken", wanted[0].listen, upstream, enabled=True)])
    for state in wanted:
        real.delete(state.name)


def test_an_addition_that_fails_takes_those_before_it_along(real: ToxiproxyServer, proxied: Ask) -> None:
    """The second of two is refused: the first is taken out again, and a proxy that was closed for it is open again."""
    with pytest.raises(Refused):
        real.add_toxics([ToxicOn(NAME, LATENCY), ToxicOn(NAME, ProxyToxic("x", "teleport", {}))], existing="cut")
    state = real.proxy(NAME)
    assert state is not None
    assert (state.enabled, state.toxics) == (True, ())


def test_removing_what_is_gone_is_no_error(real: ToxiproxyServer, proxied: Ask) -> None:
    """Undo may come twice."""
    assert removed(real, NAME, "never-was").how is HowRemoved.DELETED
    assert removed(real, "nobody", "never-was").how is HowRemoved.DELETED
    real.delete("nobody")


def test_two_servers_at_once(real: ToxiproxyServer, upstream: str) -> None:
    """Each object speaks to its own server, whatever another one does meanwhile."""
    with serving(f"{BLOCK}.0.85") as other:
        other.create("only-there", f"{BLOCK}.2.11:{PORT}", upstream)
        assert "only-there" in other.proxies()
        assert "only-there" not in real.proxies()
        assert (real.address, other.address) == (f"{BLOCK}.0.84:8474", f"{BLOCK}.0.85:8474")


# --- a server that misbehaves ------------------------------------------------------------------------------------------


@pytest.fixture
def fake() -> Iterator[FakeToxiproxy]:
    """Does as it is told."""
    server = FakeToxiproxy()
    yield server
    server.close()


@pytest.fixture
def server(fake: FakeToxiproxy) -> ToxiproxyServer:
    """The adapter to it, with one proxy and one toxic."""
    adapter = ToxiproxyServer(fake.host, fake.port, timeout_s=0.3)
    adapter.create("p", "127.0.0.1:1", "127.0.0.1:2")
    adapter.add_toxics([ToxicOn("p", LATENCY)])
    fake.calls.clear()
    return adapter


def names_on(fake: FakeToxiproxy) -> list[str]:
    toxics = fake.proxies["p"]["toxics"]
    assert isinstance(toxics, list)
    return [toxic["name"] for toxic in toxics]


@pytest.mark.parametrize(
    ("status", "kind", "body", "error", "says"),
    [
        (*HTML_503, Broken, 'Service Unavailable service is "busy"'),
        (500, JSON_AS_TEXT, b'{"error":"lock held","status":500}\n', Broken, "lock held"),
        (500, "text/plain", b"oh no", Broken, "oh no"),
        (409, JSON_AS_TEXT, b'{"error":"toxic already exists","status":409}\n', AlreadyThere, "toxic already exists"),
        (400, JSON_AS_TEXT, b'{"error":"bad request body: x","status":400}\n', Refused, "bad request body: x"),
        (403, "text/plain", b"User agent not allowed", Refused, "not allowed"),
        (404, JSON_AS_TEXT, b'{"error":"proxy not found","status":404}\n', NotThere, "proxy not found"),
        (302, "text/plain", b"", Broken, "an empty answer"),
        (200, "text/html", b"<html>login</html>", Broken, "cannot be read: login"),
        (200, "application/json", b'{"name": 5}', Broken, "cannot be read"),
        (HANG, "", b"", NoAnswer, "no answer within 0.3 s"),
    ],
)
def test_every_bad_answer_is_an_error(
    fake: FakeToxiproxy, server: ToxiproxyServer, status: int, kind: str, body: bytes, error: type[ToxiproxyError], says: str
) -> None:
    """The client would let most of these pass; here each has its class and the server's words."""
    fake.say("POST", "/toxics", status, kind, body)
    with pytest.raises(error, match=says) as raised:
        server.add_toxics([ToxicOn("p", CUT[0])])
    assert raised.value.status == (None if status == HANG else status)
    assert names_on(fake) == [LATENCY.name]


def test_nobody_there() -> None:
    """A server that is not running is said to be unreachable, and waiting for it ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoAnswer, match="cannot be reached"):
        ToxiproxyServer("127.0.0.1", port).wait_ready(0.1)


def test_the_environment_s_proxy_is_passed_by(server: ToxiproxyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a company's HTTP proxy, calls to loopback still go straight."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert server.version() == "2.12.0"
    server.set_enabled("p", enabled=False)


def test_a_yes_that_is_not_done_is_noticed(fake: FakeToxiproxy, server: ToxiproxyServer) -> None:
    """Only reading back shows it, for each kind of change."""
    fake.deaf_to = {"PATCH /proxies/p"}
    with pytest.raises(NotAsAsked, match="is open"):
        server.set_enabled("p", enabled=False)


def test_an_addition_that_is_not_there_is_taken_back(fake: FakeToxiproxy, server: ToxiproxyServer) -> None:
    """The first of two is answered with a yes and not kept: the second is taken out again, what was there before stays."""
    fake.say("POST", "/proxies/p/toxics", 200, "application/json", msgspec.json.encode(CUT[0]))
    with pytest.raises(NotAsAsked, match="has no toxic cut_upstream"):
        server.add_toxics([ToxicOn("p", toxic) for toxic in CUT])
    assert names_on(fake) == [LATENCY.name]


def test_no_patch_is_done_by_post(server: ToxiproxyServer, fake: FakeToxiproxy) -> None:
    """Before 2.6 updates were POST, and they still are understood."""
    fake.patch = False
    server.set_enabled("p", enabled=False)
    assert fake.proxies["p"]["enabled"] is False
    assert fake.calls[:2] == ["PATCH /proxies/p", "POST /proxies/p"]


@pytest.mark.parametrize(
    ("version", "patch", "good"),
    [
        (b'{"version": "2.12.0"}\n', True, True),
        (b'{"version": "2.6.0"}', True, True),
        (b'{"version": "v3.0"}', True, True),
        (b'{"version": "git"}', True, True),
        (b'{"version": "git"}', False, False),
        (b'{"version": "2.5.0"}', True, False),
    ],
)
def test_versions(fake: FakeToxiproxy, version: bytes, *, patch: bool, good: bool) -> None:
    """Below 2.6 is refused with how to get a newer one; one that does not say is tried."""
    fake.version, fake.patch = version, patch
    adapter = ToxiproxyServer(fake.host, fake.port)
    if good:
        assert adapter.check_version()
    else:
        with pytest.raises(EnvironmentUnusable, match=r"older than 2\.6") as refused:
            adapter.check_version()
        assert "NINES_TOXIPROXY" in refused.value.how


DELETE = "/toxics/slow_downstream"


def test_a_frozen_delete_is_escalated_to_closing(fake: FakeToxiproxy, server: ToxiproxyServer) -> None:
    """The first delete hangs: the proxy is closed, the toxic deleted, the proxy opened again."""
    fake.say("DELETE", DELETE, HANG)
    assert removed(server, "p", LATENCY.name).how is HowRemoved.CLOSED
    assert (names_on(fake), fake.proxies["p"]["enabled"]) == ([], True)
    assert [call.split()[0] for call in fake.calls] == ["DELETE", "PATCH", "DELETE", "PATCH", "GET"]


@pytest.mark.parametrize(("status", "kind", "body"), [(HANG, "", b""), HTML_503])
def test_a_toxic_that_cannot_be_deleted_takes_its_proxy_along(
    fake: FakeToxiproxy, server: ToxiproxyServer, status: int, kind: str, body: bytes
) -> None:
    """The proxy is made anew as it was, with its other toxics."""
    server.add_toxics([ToxicOn("p", CUT[0])])
    fake.say("DELETE", DELETE, status, kind, body, times=2)
    assert removed(server, "p", LATENCY.name).how is HowRemoved.RECREATED
    proxy = fake.proxies["p"]
    assert (proxy["listen"], proxy["upstream"], proxy["enabled"]) == ("127.0.0.1:1", "127.0.0.1:2", True)
    assert names_on(fake) == [CUT[0].name]


def test_a_yes_to_delete_that_is_not_done_is_escalated(fake: FakeToxiproxy, server: ToxiproxyServer) -> None:
    """The server says 204 and keeps the toxic: reading back shows it, and the proxy goes."""
    fake.deaf_to = {DELETE}
    assert removed(server, "p", LATENCY.name).how is HowRemoved.RECREATED
    assert names_on(fake) == []


def test_a_proxy_that_was_closed_stays_closed_when_made_anew(fake: FakeToxiproxy, server: ToxiproxyServer) -> None:
    """Escalation restores what was wanted, not what is usual."""
    server.set_enabled("p", enabled=False)
    fake.say("DELETE", DELETE, HANG, times=2)
    assert removed(server, "p", LATENCY.name).how is HowRemoved.RECREATED
    assert fake.proxies["p"]["enabled"] is False


def test_what_cannot_be_removed_is_not_healed(fake: FakeToxiproxy, server: ToxiproxyServer) -> None:
    """A server that answers nothing more: the error says that harm may be left, and what was tried; others are still tried."""
    server.add_toxics([ToxicOn("p", CUT[0])])
    fake.say("DELETE", DELETE, *HTML_503, times=2)
    fake.say("DELETE", "/proxies/p", *HTML_503)
    with pytest.raises(NotHealed, match=r"slow_downstream of proxy p .* may still be in force") as raised:
        server.remove_toxics([ToxicOn("p", LATENCY), ToxicOn("p", CUT[0])])
    assert raised.value.exit_code == 6
    assert all(str(how) in str(raised.value) for how in HowRemoved)
    assert names_on(fake) == [LATENCY.name]


def test_a_frozen_server_delays_no_other(fake: FakeToxiproxy, server: ToxiproxyServer) -> None:
    """A call that hangs holds nothing that a call to another server needs."""
    fake.say("GET", "/proxies", HANG)

    def ask_the_frozen_one() -> None:
        with pytest.raises(NoAnswer):
            ToxiproxyServer(fake.host, fake.port, timeout_s=5).proxies()

    frozen = threading.Thread(target=ask_the_frozen_one, daemon=True)
    frozen.start()
    other = FakeToxiproxy()
    try:
        assert ToxiproxyServer(other.host, other.port).version() == "2.12.0"
        assert frozen.is_alive()
    finally:
        other.close()
        fake.close()
        frozen.join(10)


def test_a_silent_server_is_asked_with_less_patience_until_it_answers(fake: FakeToxiproxy) -> None:
    """A layer of many toxics on a frozen server must not hold the run up for a whole time-out each."""
    server = ToxiproxyServer(fake.host, fake.port, timeout_s=0.4)
    fake.say("GET", "/proxies", HANG, times=2)
    for patience in ("0.4", "0.25"):
        with pytest.raises(NoAnswer, match=rf"no answer within {patience} s"):
            server.proxies()
    assert server.proxies() == {}
    fake.say("GET", "/proxies", HANG)
    with pytest.raises(NoAnswer, match=r"no answer within 0\.4 s"):
        server.proxies()
