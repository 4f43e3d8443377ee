"""The prober as the process that the harness starts: its words, its ends, and what it makes of a frozen world or a frozen self."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import dnslib
import dnslib.server
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from chaos.experiment.traffic import ClientPolicy
from chaos.history import observations
from chaos.history.observations import Outcome, Why
from chaos.traffic.spec import OperationOrder, ProberSpec
from tests.support.needs import need

pytestmark = pytest.mark.e2e
SERVER = """
import asyncio, sys
class One(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
async def main():
    server = await asyncio.get_running_loop().create_server(One, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A small HTTP server in a process of its own, and its port."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


PATIENT = ClientPolicy(timeout_s=5.0, attempts=1, deadline_s=5.0)
"""Clients for whom no answer is too late, however busy the machine is: what they meet is what the other side does."""
TRIES = 4
"""For what a machine that is busy can spoil: once it must be as it is on a calm one."""


class Prober:
    """One prober process."""

    def __init__(self, folder: Path, ports: dict[str, int], *operations: OperationOrder, **fields: object) -> None:
        self.folder = folder
        given = {
            "run": "r",
            "seed": 1,
            "start_ns": time.monotonic_ns() + 800_000_000,
            "duration_s": 1.0,
            "observations": str(folder / "observations.bin"),
            "client": PATIENT,
            "name": "web",
            "addresses": ("127.0.0.1",),
            "operations": operations,
            "ports": ports,
        }
        self.spec = msgspec.convert(msgspec.to_builtins(given | fields), ProberSpec)
        path = folder / "prober.json"
        path.write_bytes(msgspec.json.encode(self.spec))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chaos.traffic.prober", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.rows: list[dict[str, object]] = []

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline()) == {"ready": True}

    def say(self, text: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait_slots(self, count: int) -> None:
        """Until so many records are on disk."""
        end_s = time.monotonic() + 10
        while len(observations.read(Path(self.spec.observations))) < count:
            assert time.monotonic() < end_s, "the prober writes no records"
            time.sleep(0.01)

    def end(self, within_s: float = 10) -> NDArray[np.void]:
        """Wait for its end; the records in due order."""
        assert self.process.stdout is not None
        self.rows = [json.loads(line) for line in self.process.stdout]
        assert self.process.wait(within_s) == 0
        return np.sort(observations.read(Path(self.spec.observations)), order=["operation", "due"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


Start = Callable[..., Prober]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts probers and sees to it that none is left."""
    made: list[Prober] = []

    def begin(ports: dict[str, int], *operations: OperationOrder, **fields: object) -> Prober:
        prober = Prober(tmp_path, ports, *operations, **fields)
        made.append(prober)
        prober.wait_ready()
        return prober

    yield begin
    for prober in made:
        prober.kill()


def sent(records: NDArray[np.void]) -> NDArray[np.void]:
    """Those that were sent at all: on a machine that is busy some are not, and say so."""
    found = records[records["outcome"] != Outcome.UNSENT]
    assert len(found) > 0
    return found


def get(rate_per_s: float, name: str = "read", **more: str) -> OperationOrder:
    return OperationOrder(name, "http", "read", rate_per_s, {"what": "GET http://{address}:{client}/"} | more)


def test_it_says_what_it_does_and_leaves_one_record_a_slot(start: Start, server: tuple[subprocess.Popen[bytes], int]) -> None:
    """Ready, a row a second and operation, the end; two grids, each slot once."""
    prober = start({"client": server[1]}, get(100.0, "write"), get(50.0), duration_s=2.0)
    records = prober.end()
    assert np.bincount(records["operation"]).tolist() == [200, 100]
    assert set(sent(records)["outcome"]) == {Outcome.OK}
    assert set(sent(records)["address"]) == {0x7F000001}
    for operation, width_ns in ((0, 10_000_000), (1, 20_000_000)):
        due = records["due"][records["operation"] == operation]
        assert due.tolist() == [prober.spec.start_ns + index * width_ns for index in range(len(due))]
    seconds = [row for row in prober.rows if row["row"] == "traffic_second"]
    assert sorted((str(row["operation"]), row["due"]) for row in seconds) == [("read", 50), ("read", 50), ("write", 100), ("write", 100)]
    assert prober.rows[-1]["row"] == "traffic_ended"
    assert prober.rows[-1]["slots"] == {"write": 200, "read": 100}
    assert prober.rows[-1]["end_ns"] == prober.spec.start_ns + 2_000_000_000


@pytest.mark.parametrize("how", ["stop", "end of input", "SIGTERM", "SIGINT"])
def test_it_ends_early_when_told(start: Start, server: tuple[subprocess.Popen[bytes], int], how: str) -> None:
    """Whoever tells it: nothing due later is sent, and what was sent is on disk."""
    prober = start({"client": server[1]}, get(100.0), duration_s=600.0)
    prober.wait_slots(20)
    if how == "stop":
        prober.say(b"stop\n")
    elif how == "end of input":
        assert prober.process.stdin is not None
        prober.process.stdin.close()
    else:
        prober.process.send_signal(getattr(signal, how))
    told_ns = time.monotonic_ns()
    records = prober.end()
    ended = prober.rows[-1]
    assert ended["slots"] == {"read": len(records)}
    assert ended["end_ns"] == prober.spec.start_ns + len(records) * 10_000_000
    assert records["due"].max() <= told_ns + 5_000_000_000
    assert 20 <= len(records) < 1000


def test_a_frozen_server_is_an_outage_in_full(start: Start, server: tuple[subprocess.Popen[bytes], int], tmp_path: Path) -> None:
    """The server is stopped for 1.2 s: every slot due in that time is bad, none before, none after."""
    assert any(frozen(start, server, str(tmp_path / f"records-{number}.bin")) for number in range(TRIES)), "others were bad too, each time"


def frozen(start: Start, server: tuple[subprocess.Popen[bytes], int], records_in: str) -> bool:
    """Whether no others were bad: a machine that is busy may keep one of them waiting for too long."""
    client = ClientPolicy(timeout_s=0.5, attempts=1, deadline_s=0.5)
    prober = start({"client": server[1]}, get(200.0), duration_s=3.5, client=client, observations=records_in)
    prober.wait_slots(200)
    server[0].send_signal(signal.SIGSTOP)
    down_ns = time.monotonic_ns()
    time.sleep(1.2)
    up_ns = time.monotonic_ns()
    server[0].send_signal(signal.SIGCONT)
    records = prober.end()
    bad = np.isin(records["outcome"], (Outcome.FAIL, Outcome.UNKNOWN))
    # A request that was sent at most 500 ms before the server went on is answered in time: this server answers late.
    inside = (records["due"] > down_ns) & (records["due"] < up_ns - 520_000_000)
    outside = (records["due"] < down_ns - 50_000_000) | (records["due"] > up_ns + 50_000_000)
    judged = (records["outcome"] != Outcome.UNSENT) & (records["sent"] < up_ns - 520_000_000)
    assert inside.sum() > 100
    assert bad[inside & judged].all()
    return not bad[outside].any()


def test_a_frozen_prober_invents_no_outage(start: Start, server: tuple[subprocess.Popen[bytes], int], tmp_path: Path) -> None:
    """It is stopped for a second itself: slots of that time are unsent or late, none is bad."""
    assert any(slept(start, server, str(tmp_path / f"records-{number}.bin")) for number in range(TRIES)), "some were bad, each time"


def slept(start: Start, server: tuple[subprocess.Popen[bytes], int], records_in: str) -> bool:
    """Whether none was bad: a machine that is busy may keep one of them waiting for too long."""
    client = ClientPolicy(timeout_s=0.2, attempts=1, deadline_s=0.5)
    prober = start({"client": server[1]}, get(200.0), duration_s=3.0, client=client, observations=records_in)
    prober.wait_slots(100)
    prober.process.send_signal(signal.SIGSTOP)
    down_ns = time.monotonic_ns()
    time.sleep(1.0)
    up_ns = time.monotonic_ns()
    prober.process.send_signal(signal.SIGCONT)
    records = prober.end()
    assert len(records) == 600
    late = records["sent"] - records["due"] > 2_500_000
    asleep = (records["due"] > down_ns + 5_000_000) & (records["due"] < up_ns)
    assert asleep.sum() > 150
    assert (late | (records["outcome"] == Outcome.UNSENT))[asleep].all()
    assert (records["outcome"][asleep] == Outcome.UNSENT).sum() > 80
    return set(records["outcome"][~late]) <= {Outcome.OK, Outcome.UNSENT}


def test_a_killed_prober_leaves_what_it_saw(start: Start, server: tuple[subprocess.Popen[bytes], int]) -> None:
    """SIGKILL: all but the last moments are on disk and readable."""
    prober = start({"client": server[1]}, get(200.0), duration_s=60.0)
    prober.wait_slots(100)
    prober.process.kill()
    killed_ns = time.monotonic_ns()
    prober.process.wait()
    records = observations.read(Path(prober.spec.observations))
    assert len(records) >= 100
    assert records["due"].max() > killed_ns - 3_000_000_000


class Zone(dnslib.server.BaseResolver):  # type: ignore[misc] # dnslib has no types
    """A name server whose answer a test sets."""

    def __init__(self) -> None:
        self.addresses: tuple[str, ...] = ()
        self.names: list[str] = []

    def resolve(self, request: dnslib.DNSRecord, handler: object) -> dnslib.DNSRecord:
        self.names.append(str(request.q.qname))
        reply = request.reply()
        for address in self.addresses:
            reply.add_answer(dnslib.RR(request.q.qname, dnslib.QTYPE.A, ttl=1, rdata=dnslib.A(address)))
        return reply


def test_it_asks_the_name_server_and_follows_its_answer(start: Start, server: tuple[subprocess.Popen[bytes], int]) -> None:
    """The name leads to a dead address, then to the living one: clients move within the time to live, not before they ask again."""
    zone = Zone()
    zone.addresses = ("127.0.0.9",)
    quiet = dnslib.server.DNSLogger("", prefix=False)
    name_server = dnslib.server.DNSServer(zone, port=0, address="127.0.0.1", logger=quiet)
    thread = threading.Thread(target=name_server.server.serve_forever, daemon=True)
    thread.start()
    try:
        where = name_server.server.server_address
        prober = start(
            {"client": server[1]},
            get(50.0),
            duration_s=3.0,
            addresses=(),
            domain="nines.test",
            nameserver=where[0],
            nameserver_port=where[1],
        )
        prober.wait_slots(10)
        zone.addresses = ("127.0.0.1",)
        moved_ns = time.monotonic_ns()
        records = prober.end()
    finally:
        name_server.server.shutdown()
        name_server.server.server_close()
        thread.join()
    assert set(zone.names) == {"web.nines.test."}
    assert 2 <= len(zone.names) <= 10, "far fewer questions than the 150 requests"
    records = sent(records)
    bad = records["outcome"] != Outcome.OK
    assert set(records["why"][bad]) == {Why.REFUSED}
    assert bad[records["sent"] < moved_ns - 20_000_000].all()
    later = records["due"] > moved_ns + 1_500_000_000
    assert later.any()
    assert not bad[later].any()


def test_hosts_other_than_the_cluster_are_asked_for_themselves(start: Start, server: tuple[subprocess.Popen[bytes], int]) -> None:
    """A URL with an address of its own needs no name at all."""
    order = OperationOrder("home", "http", "read", 50.0, {"what": f"http://127.0.0.1:{server[1]}/"})
    records = start({}, order, name="", addresses=()).end()
    assert set(sent(records)["outcome"]) == {Outcome.OK}


def test_no_name_server_is_a_failure_of_the_name(start: Start) -> None:
    """Nobody listens there: refused at once, definitely not done."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    records = start({"client": 1}, get(50.0), duration_s=0.5, addresses=(), nameserver="127.0.0.1", nameserver_port=port).end()
    assert set(sent(records)["outcome"]) == {Outcome.FAIL}
    assert set(sent(records)["why"]) == {Why.DNS}


DRIVER = """#!/usr/bin/env python3
import json, sys
held = None
for line in sys.stdin:
    ask = json.loads(line)
    if ask["key"] == "k5" and ask["op"] == "die":
        sys.exit(1)
    answer = json.dumps({"id": ask["id"], "outcome": "fail" if ask["key"] == "k1" else "ok", "value": None, "more": 1})
    if held is None:
        held = answer
    else:
        print(answer)
        print(held, flush=True)
        held = None
"""


def test_a_driver_answers_in_any_order(start: Start, tmp_path: Path) -> None:
    """A process of the target's, started in its folder; it answers in pairs, the later one first; ``fail`` is a definite no."""
    (tmp_path / "driver.py").write_text(DRIVER, encoding="utf-8")
    order = OperationOrder("write", "driver", "write", 100.0, {"what": "{python} driver.py put"})
    records = start({}, order, target_folder=str(tmp_path), keys=4).end()
    assert len(records) == 100
    asked = [index for index, outcome in enumerate(records["outcome"]) if outcome != Outcome.UNSENT]
    pairs = asked[: len(asked) // 2 * 2]  # the last of an odd number waits for one that does not come
    assert pairs
    assert records["outcome"][pairs].tolist() == [Outcome.FAIL if index % 4 == 1 else Outcome.OK for index in pairs]


def test_a_driver_that_dies_is_our_trouble(start: Start, tmp_path: Path) -> None:
    """What was under way is unknown, what finds no driver is unsent; it is started again and goes on."""
    (tmp_path / "driver.py").write_text(DRIVER, encoding="utf-8")
    order = OperationOrder("write", "driver", "write", 50.0, {"what": "{python} driver.py die"})
    records = start({}, order, target_folder=str(tmp_path), keys=1000, duration_s=1.5).end()
    assert len(records) == 75
    assert {Outcome.UNKNOWN, Outcome.UNSENT} <= set(records["outcome"])
    assert Outcome.OK in set(records["outcome"][6:])


NO_DRIVERS = [
    ("import nothing_such", "No module named 'nothing_such'"),
    ("", "and said nothing"),
    ("input(); raise SystemExit('no licence')", "no licence"),
]


@pytest.mark.parametrize(("code", "says"), NO_DRIVERS)
def test_a_driver_that_never_answers_ends_the_prober_with_its_last_line(tmp_path: Path, code: str, says: str) -> None:
    """At its start, or at the first line it is given: it is no driver, and that no request was sent is no availability."""
    what = f"{{python}} -c {shlex.quote(code)} put"
    prober = Prober(tmp_path, {}, OperationOrder("write", "driver", "write", 50.0, {"what": what}), target_folder=str(tmp_path))
    try:
        assert prober.process.wait(30) == 5
        assert prober.process.stderr is not None
        said = prober.process.stderr.read().decode()
    finally:
        prober.kill()
    assert "ended before it answered anything" in said
    assert says in said


READY = """
import json, pathlib, sys, time
time.sleep(float(sys.argv[1]))
pathlib.Path("said").write_text("")
print(json.dumps({"id": 0, "outcome": "ok"}), flush=True)
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "outcome": "ok"}), flush=True)
"""


def test_traffic_waits_for_a_driver_that_says_when_it_is_ready(tmp_path: Path) -> None:
    """Longer than for one that says nothing; the line answers no request."""
    (tmp_path / "driver.py").write_text(READY, encoding="utf-8")
    order = OperationOrder("write", "driver", "write", 50.0, {"what": "{python} driver.py 1.0 put", "ready": "15s"})
    prober = Prober(tmp_path, {}, order, target_folder=str(tmp_path), duration_s=60.0)
    try:
        prober.wait_ready()
        assert (tmp_path / "said").exists()
        wait_until(lambda: Outcome.OK in observations.read(Path(prober.spec.observations))["outcome"])
        prober.say(b"stop\n")
        assert set(sent(prober.end())["outcome"]) == {Outcome.OK}
    finally:
        prober.kill()


def test_a_driver_that_is_never_ready_ends_the_prober(tmp_path: Path) -> None:
    """It lives, and says nothing: the message tells what was awaited."""
    (tmp_path / "driver.py").write_text(READY, encoding="utf-8")
    order = OperationOrder("write", "driver", "write", 50.0, {"what": "{python} driver.py 60 put", "ready": "500ms"})
    prober = Prober(tmp_path, {}, order, target_folder=str(tmp_path))
    try:
        assert prober.process.wait(30) == 5
        assert prober.process.stderr is not None
        said = prober.process.stderr.read().decode()
    finally:
        prober.kill()
    assert "did not say within 0.5 s that it is ready" in said


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def test_etcd_is_written_and_read_by_its_gateway(start: Start, tmp_path: Path) -> None:
    """A real etcd: puts and linearizable gets are ok, and what was put is there."""
    need("etcd", how="apt-get install etcd-server")
    client, peer = free_port(), free_port()
    url = f"http://127.0.0.1:{client}"
    words = ["etcd", "--data-dir", str(tmp_path / "etcd"), "--listen-client-urls", url, "--advertise-client-urls", url]
    words += ["--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"]
    words += ["--initial-cluster", f"default=http://127.0.0.1:{peer}"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: asked(f"{url}/health") == b'{"health":"true"}')
            put = OperationOrder("write", "etcd", "write", 50.0, {"what": "put", "key": "nines/{key}"})
            got = OperationOrder("read", "etcd", "read", 50.0, {"what": "get", "key": "nines/{key}"}, 0.01)
            records = start({"client": client}, put, got, keys=4).end()
            value = json.loads(asked(f"{url}/v3/kv/range", json.dumps({"key": base64.b64encode(b"nines/k1").decode()}).encode()) or b"{}")
        finally:
            process.kill()
    assert len(records) == 100
    assert set(sent(records)["outcome"]) == {Outcome.OK}
    written = np.flatnonzero(records["outcome"][:50] != Outcome.UNSENT)
    assert base64.b64decode(value["kvs"][0]["value"]) == f"r.write.{max(index for index in written if index % 4 == 1)}".encode()


def asked(url: str, body: bytes | None = None) -> bytes | None:
    """The answer's body, or None while there is none."""
    try:
        with urllib.request.urlopen(url, body, timeout=1.0) as answer:
            data: bytes = answer.read()
            return data
    except OSError:
        return None


def wait_until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end_s, "what was awaited did not happen within 15 seconds"
        time.sleep(0.05)


def test_a_spec_that_is_wrong_is_refused(tmp_path: Path) -> None:
    """An unknown probe, with the nearest name, and exit status 2."""
    prober = Prober(tmp_path, {"client": 1}, OperationOrder("read", "htp", "read", 1.0, {"what": "x"}))
    _, error = prober.process.communicate(timeout=10)
    assert prober.process.returncode == 2
    assert b"did you mean 'http'?" in error
    prober.kill()


def test_a_long_silence_uses_up_no_port(start: Start, tmp_path: Path) -> None:
    """A listener with a full accept queue for two seconds at 500 a second: nothing is left in TIME_WAIT, hardly any is unsent."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        client = ClientPolicy(timeout_s=0.1, attempts=2, deadline_s=0.25)
        for number in range(TRIES):
            place = str(tmp_path / f"records-{number}.bin")
            records = start({"client": port}, get(500.0), duration_s=2.0, client=client, observations=place).end()
            assert set(records["outcome"]) <= {Outcome.FAIL, Outcome.UNSENT}
            if (records["outcome"] == Outcome.FAIL).mean() > 0.95:
                break
        else:
            pytest.fail("many were not sent, each time")
        assert set(sent(records)["why"]) <= {Why.TIMEOUT, Why.DEADLINE}
        lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
        assert [fields for fields in lines if fields[2].endswith(f":{port:04X}") and fields[3] == "06"] == []


def test_the_process_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    """Its driver is gone when it is."""
    (tmp_path / "driver.py").write_text(
        DRIVER.replace("held = None\n", "import os; open('pid', 'w').write(str(os.getpid()))\nheld = None\n", 1), encoding="utf-8"
    )
    order = OperationOrder("write", "driver", "write", 100.0, {"what": "{python} driver.py put"})
    start({}, order, target_folder=str(tmp_path), duration_s=0.3).end()
    pid = int((tmp_path / "pid").read_text(encoding="ascii"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_bug_in_a_callback_ends_the_process(tmp_path: Path) -> None:
    """Alive but sending nothing would read like an outage of the system under test."""
    order = OperationOrder("write", "http", "write", 100.0, {"what": "GET http://{address}:9/"})
    spec = ProberSpec(
        run="r", seed=1, start_ns=time.monotonic_ns() + 300_000_000, duration_s=30.0, observations=str(tmp_path / "observations.bin"),
        operations=(order,), client=ClientPolicy(), ports={}, addresses=("127.0.0.1",),
    )  # fmt: skip
    path = tmp_path / "spec.json"
    path.write_bytes(msgspec.json.encode(spec))
    code = (
        "import sys, chaos.traffic.prober, chaos.traffic.engine\n"
        "def boom(*_): raise IndexError('a bug of ours')\n"
        "chaos.traffic.engine.Engine._send = boom\n"
        "sys.exit(chaos.traffic.prober.main(sys.argv[1:]))\n"
    )
    reading, writing = os.pipe()  # held open: an end of input would be the harness's own end
    try:
        command = [sys.executable, "-c", code, str(path)]
        done = subprocess.run(command, stdin=reading, capture_output=True, text=True, timeout=20, check=False)
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == 70
    assert "a bug of ours" in done.stderr
