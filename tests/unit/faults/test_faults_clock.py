"""Clocks, load, connections and files: what is refused, and the parts that need no process."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from chaos.agent.agent_parts import clock as faked
from chaos.agent.agent_parts import connections, limits
from chaos.api import order_text, perform
from chaos.core.clock import ManualClock
from chaos.core.errors import BadInput, CapabilityMissing, FaultNotEffective
from chaos.core.values import CLIENTS, Victims
from chaos.experiment.document import Experiment
from chaos.experiment.faults import params
from chaos.experiment.source import parse
from chaos.experiment.target.load import load_target
from chaos.faults.clock import Clock
from chaos.faults.connections import Connections
from chaos.faults.open_files import Files
from chaos.faults.surge import Load
from chaos.history.folder import RunFolder
from chaos.history.undo import UndoLog, pending
from chaos.plan.plan import Plan
from chaos.plugin import Fault, Scene
from chaos.runtimes.base import faketime
from chaos.runtimes.local import clock as local_clock
from chaos.testing.stubs import StubCluster, StubNet, StubNode
from tests.support.capable import why
from tests.support.needs import need, need_libfaketime
from tests.support.quick import QUICK
from tests.support.samples import sample_plan

# --- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clock: {}", "'mode: jump' needs 'offset'"),
        ("clock: {offset: 0s}", "an 'offset' below 100ms"),
        ("clock: {offset: 50ms}", "an 'offset' below 100ms"),
        ("clock: {offset: 5s, rate: 110%}", "and no 'rate'"),
        ("clock: {offset: 5s, every: 1s}", "'every' belongs to 'mode: strobe'"),
        ("clock: {mode: skew}", "'mode: skew' needs 'rate'"),
        ("clock: {mode: skew, rate: 110%, offset: 5s}", "and no 'offset'"),
        ("clock: {mode: skew, rate: 100.5%}", "between 99% and 101%"),
        ("clock: {mode: skew, rate: 2000%}", "above 1000%"),
        ("clock: {mode: skew, rate: 1.1}", "1.1"),
        ("clock: {mode: strobe}", "'mode: strobe' needs 'offset'"),
        ("clock: {mode: strobe, offset: 5s, every: 10ms}", "'every' is at least 100ms"),
        ("clock: {mode: freeze}", "not a choice"),
        ("files: {left: -1}", "out of range"),
        ("files: {left: 10s}", "whole number"),
        ("connections: {}", "count"),
        ("connections: {count: 0}", "out of range"),
        ("connections: {count: 100000}", "out of range"),
        ("load: {}", "rate"),
        ("load: {rate: 100}", "rate"),
        ("load: {rate: 50000/s}", "one prober sends at most"),
    ],
)
def test_bad_fields_are_refused(text: str, message: str) -> None:
    """With what would be right."""
    ((kind, value),) = parse(text, "x.yaml").entries.items()
    with pytest.raises(BadInput, match=message):
        params(value, kind)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("  - load: {rate: 10/s}\n    target: n1\n", "done to nobody in particular"),
        ("  - load: {rate: 10/s, operation: wrte}\n", "there is no operation 'wrte'.*write"),
        ("  - connections: {count: 5}\n", "'connections' needs a target"),
        ("  - connections: {count: 5, port: clinet}\n    target: any\n", "there is no port 'clinet'.*client"),
        ("  - files: {}\n    target: {link: clients -> n1}\n", "cannot be done to links"),
    ],
)
def test_what_cannot_be_meant_is_refused(fault: str, message: str) -> None:
    """By the plan, with its place."""
    with pytest.raises(BadInput, match=message):
        sample_plan(f"{fault}    at: 1s\n    for: 1s\n", runtime="local")


def test_a_load_comes_from_the_clients() -> None:
    """Its class says so."""
    plan: Plan = sample_plan("  - load: {rate: 10/s}\n    at: 1s\n    for: 1s\n", runtime="local")
    assert isinstance(plan.experiment, Experiment)
    from chaos.plan import selection as selectors
    from chaos.plan.traits import made

    victims = selectors.resolve(
        None, nodes=plan.nodes, roles={}, up=frozenset(), protect=(), draw=1, last={}, part="data", has_roles=True,
        fault=made(plan.experiment.faults[0]),
    )  # fmt: skip
    assert victims == Victims(role=CLIENTS)


@pytest.mark.parametrize("fault", ["clock: {offset: 5s}", "files: {}", "connections: {count: 5}", "load: {rate: 10/s}"])
def test_virtual_nodes_have_none_of_it(fault: str) -> None:
    """Said before the start."""
    target = "" if fault.startswith("load") else "    target: any\n"
    text = QUICK[: QUICK.index("faults:")] + f"faults:\n  - {fault}\n{target}    at: 1s\n    for: 1s\nsettle: 5s\n"
    with pytest.raises(CapabilityMissing, match="runtime 'fake'"):
        order_text(text, Path("x.yaml"), runtime="fake")


def test_a_clock_needs_a_program_that_can_be_deceived(monkeypatch: pytest.MonkeyPatch) -> None:
    """etcd is written in Go, so this machine cannot do it; nor can it without the library. A plan may be made all the same."""
    etcd, kv, fault = load_target("etcd"), load_target("replicated_kv"), Clock(offset_s=5.0)
    assert "PID 1" in why(fault, "docker", msgspec.structs.replace(kv, pid1=True))
    monkeypatch.setattr(faketime, "find", lambda: Path("/lib/libfaketimeMT.so.1"))
    monkeypatch.setattr(faketime, "refusal", lambda command: "it is written in Go" if "etcd" in command else "")
    assert "written in Go" in (fault.lacks_here(etcd) or "")
    assert fault.lacks_here(kv) is None
    monkeypatch.setattr(faketime, "find", lambda: None)
    assert "install libfaketime" in (fault.lacks_here(kv) or "")
    assert [why(fault, runtime, target) for runtime in ("local", "docker") for target in (kv, etcd)] == [""] * 4
    with pytest.raises(CapabilityMissing, match="libfaketime"):
        local_clock.NodeClock(Path("nowhere"), ManualClock(), waits=True)


def test_what_the_machine_lacks_is_found_by_the_run_and_not_by_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same plan everywhere; the run is refused with the file and the line, before anything is written."""
    text = QUICK[: QUICK.index("faults:")] + "faults:\n  - clock: {offset: 5s}\n    target: n1\n    at: 1s\n    for: 1s\nsettle: 5s\n"
    monkeypatch.setattr(faketime, "find", lambda: Path("/lib/libfaketimeMT.so.1"))
    there = order_text(text, Path("x.yaml"), runtime="local")
    monkeypatch.setattr(faketime, "find", lambda: None)
    assert order_text(text, Path("x.yaml"), runtime="local").plan == there.plan
    with pytest.raises(CapabilityMissing, match=r"x\.yaml:\d+: the fault 'clock-1' cannot be done.*here\n.*apt-get install libfaketime"):
        perform(there, RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_this_machine_s_etcd_is_written_in_go() -> None:
    """As its own build information says."""
    need("etcd")
    assert "written in Go" in faketime.refusal("etcd")


@pytest.mark.parametrize(
    ("fault", "victims"),
    [
        (Clock(offset_s=5.0), Victims(nodes=("n1",))),
        (Files(), Victims(nodes=("n1",))),
        (Connections(count=5), Victims(nodes=("n1",))),
        (Load(rate_per_s=5.0), Victims(role=CLIENTS)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_cluster_that_cannot_is_told_so(fault: Fault, victims: Victims, tmp_path: Path) -> None:
    """Not effective, and nothing left to undo."""
    scene = Scene(cluster=StubCluster([StubNode("n1")], StubNet()), clock=ManualClock(), undo=UndoLog(tmp_path / "undo.jsonl"))
    with pytest.raises(FaultNotEffective), fault.inject(scene, victims):
        pytest.fail("it was entered")
    assert pending(tmp_path / "undo.jsonl") == []


# --- the library -------------------------------------------------------------------------------------------------------


def symbols(library: bytes) -> dict[str, int]:
    """Exported function -> its binding."""
    import struct

    (at,) = struct.unpack_from("<Q", library, 0x28)
    size, count = struct.unpack_from("<HH", library, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", library, at + number * size) for number in range(count)]
    table = next(section for section in sections if section[1] == 11)
    names = sections[table[6]][4]
    found = {}
    for place in range(table[4], table[4] + table[5], 24):
        name, info, _, section = struct.unpack_from("<IBBH", library, place)
        if section and info & 15 == 2:
            found[library[names + name : library.index(b"\0", names + name)].decode()] = info >> 4
    return found


@pytest.mark.parametrize("waits", [True, False])
def test_only_readings_of_the_clock_are_offered(waits: bool) -> None:
    """Everything else of the library is local, and stays as it was."""
    path = faketime.find()
    need_libfaketime()
    assert path is not None
    whole, copy = path.read_bytes(), faked.only_readings(path.read_bytes(), waits)
    assert len(copy) == len(whole)
    assert {"clock_nanosleep", "select", "epoll_wait", "nanosleep"} <= {name for name, binding in symbols(whole).items() if binding}
    offered = {name for name, binding in symbols(copy).items() if binding}
    assert offered <= faked.READINGS | faked.WAITS
    assert {"clock_gettime", "gettimeofday", "time"} <= offered
    assert ("pthread_cond_timedwait" in offered) is waits


def test_another_machine_s_library_is_refused() -> None:
    """Of 32 bits, or none at all."""
    for head in (b"\x7fELF\x01\x01", b"not an ELF file"):
        with pytest.raises(ValueError, match="64-bit"):
            faked.only_readings(head + bytes(200))


def test_a_script_and_a_program_of_c_may_be_deceived(tmp_path: Path) -> None:
    """What has no headers has an interpreter that has."""
    script = tmp_path / "run"
    script.write_text("#!/bin/sh\n", encoding="ascii")
    assert faked.why_not(script) == ""
    assert faked.why_not(Path(sys.executable).resolve()) == ""
    assert faketime.refusal("no-such-program-at-all") == ""


def test_a_static_program_takes_no_library(tmp_path: Path) -> None:
    """Its headers name no interpreter: here those of a C program, with that one taken out."""
    import struct

    program = bytearray(Path(shutil.which("sh") or "/bin/sh").resolve().read_bytes())
    (at,) = struct.unpack_from("<Q", program, 0x20)
    size, count = struct.unpack_from("<HH", program, 0x36)
    for number in range(count):
        if struct.unpack_from("<I", program, at + number * size)[0] == 3:
            struct.pack_into("<I", program, at + number * size, 0)
    (tmp_path / "static").write_bytes(program)
    assert "statically linked" in faked.why_not(tmp_path / "static")


@pytest.mark.parametrize(("offset_s", "rate", "age_s", "text"), [
    (5.0, 1.0, 77.0, "+5.000000 x1.000000\n"),
    (-3600.0, 1.0, 0.0, "-3600.000000 x1.000000\n"),
    (0.0, 1.1, 100.0, "-10.000000 x1.100000\n"),
    (0.0, 0.5, 100.0, "+50.000000 x0.500000\n"),
])  # fmt: skip
def test_the_rate_acts_from_the_start_of_the_process(offset_s: float, rate: float, age_s: float, text: str) -> None:
    """So the offset makes up for what it would have gained before."""
    assert faked.line(offset_s, rate, age_s) == text


def test_an_agent_that_is_alone_sets_its_clock_right(tmp_path: Path) -> None:
    """Set, another process begins, healed."""
    need_libfaketime()
    agent = SimpleNamespace(processes=SimpleNamespace(main=os.getpid()))
    faked.do_prepare(agent, {"library": str(faketime.find()), "folder": str(tmp_path / "clock"), "waits": True})
    now = tmp_path / "clock" / "now"
    assert now.read_text() == faked.TRUE
    faked.do_set(agent, {"offset_s": 0.0, "rate": 3.0, "began_ns": 0})
    assert float(now.read_text().split()[0]) < 0
    faked.up(agent)
    assert 0 <= float(now.read_text().split()[0]) < 60
    assert now.read_text().split()[1] == "x3.000000"
    assert faked.heal(agent) == []
    assert now.read_text() == faked.TRUE
    faked.up(agent)
    assert now.read_text() == faked.TRUE


def test_a_path_that_the_linker_would_cut_is_refused(tmp_path: Path) -> None:
    """LD_PRELOAD has no way to quote."""
    need_libfaketime()
    with pytest.raises(Exception, match="a blank or a colon"):
        local_clock.NodeClock(tmp_path / "a b", ManualClock(), waits=True)


# --- descriptors and connections ---------------------------------------------------------------------------------------


TRIES = """
import os, sys
for line in sys.stdin:
    found = []
    try:
        while len(found) < 100:
            found.append(os.dup(0))
    except OSError:
        pass
    for fd in found:
        os.close(fd)
    print(len(found), flush=True)
"""


@pytest.fixture
def opener() -> Iterator[subprocess.Popen[str]]:
    """A process that opens what it can (100 at most) when it is asked, tells how many those were, and closes them."""
    with subprocess.Popen([sys.executable, "-c", TRIES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert opens(process) == 100
        yield process
        assert process.stdin is not None
        process.stdin.close()


def opens(process: subprocess.Popen[str]) -> int:
    """How many it could open just now."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("now\n")
    process.stdin.flush()
    return int(process.stdout.readline())


@pytest.mark.parametrize("left", [0, 1, 9])
def test_so_many_descriptors_are_left_and_no_more(left: int, opener: subprocess.Popen[str]) -> None:
    """Tried by the process itself; then it has its limit back."""
    before = limits.files(opener.pid)
    lowered = limits.lower(opener.pid, left)
    assert (lowered.left, opens(opener)) == (left, left)
    assert limits.restore(opener.pid) == before
    assert opens(opener) == 100


def test_an_agent_that_is_alone_denies_nobody_anything(opener: subprocess.Popen[str]) -> None:
    """By its commands, then without any."""
    agent = SimpleNamespace(processes=SimpleNamespace(all=lambda: [opener.pid]))
    before = limits.do_files(agent, {})["result"]
    assert limits.do_lower(agent, {"left": 2})["result"]["left"] == 2
    assert opens(opener) == 2
    assert limits.heal(agent) == []
    assert limits.do_files(agent, {})["result"] == before
    assert limits.heal(agent) == []


def test_a_limit_is_never_raised(opener: subprocess.Popen[str]) -> None:
    """Who had less left than was asked keeps what he had."""
    before = limits.files(opener.pid)
    assert limits.lower(opener.pid, before.left + 50) == before
    assert limits.restore(opener.pid) == before


def test_a_process_of_another_user_is_limited_in_his_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the agent does it, which is root without all of root's capabilities; with a Python and a file that everyone may read."""
    need("root, to ask in another user's name", os.getuid() == 0)
    python = shutil.which("python3", path="/usr/bin")
    need("a Python for all users", python is not None)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        copy = Path(shutil.copy(limits.__file__, folder))
        copy.chmod(0o644)
        monkeypatch.setattr(limits, "__file__", str(copy))
        monkeypatch.setattr(sys, "executable", python)
        pipe = subprocess.PIPE
        with subprocess.Popen([str(python), "-c", TRIES], stdin=pipe, stdout=pipe, text=True, cwd="/", user=65534, group=65534) as other:
            agent = SimpleNamespace(processes=SimpleNamespace(all=lambda: [other.pid]))
            assert opens(other) == 100
            limit = limits.do_files(agent, {})["result"]["limit"]
            assert limits.do_lower(agent, {"left": 3})["result"]["left"] == 3
            assert opens(other) == 3
            assert limits.do_restore(agent, {})["result"]["limit"] == limit
            assert opens(other) == 100
            assert other.stdin is not None
            other.stdin.close()


def test_a_crowd_stands_until_it_is_let_go() -> None:
    """Taken up by nobody, counted by this side's kernel."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        crowd = connections.opened("127.0.0.1", server.getsockname()[1], 40, 5.0)
        assert (len(crowd), connections.established(crowd)) == (40, 40)
        connections.close(crowd)
    assert all(one.fileno() == -1 for one in crowd)


def test_a_crowd_that_nobody_takes_is_small() -> None:
    """Refused at once; the caller sees how few there are."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert connections.opened("127.0.0.1", port, 10, 5.0) == []


def test_more_connections_than_the_limit_lets_are_refused() -> None:
    """Before any is opened."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(ValueError, match="ulimit"):
        connections.opened("127.0.0.1", 1, hard + 1, 1.0)


def test_a_run_with_more_connections_than_the_limit_lets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine; in containers the agent has its own."""
    monkeypatch.setattr("chaos.faults.connections.room", lambda: 100)
    target = load_target("replicated_kv")
    assert "ulimit" in (Connections(count=101).lacks_here(target) or "")
    assert Connections(count=100).lacks_here(target) is None
