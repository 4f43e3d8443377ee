"""What a harness that has travelled has done on the user's side: through the real frames, over real pipes, by the real keeper."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from chaos.elsewhere.channel import Channel
from chaos.elsewhere.frames import END, ERRAND, NOTE, OBEYED, SHOWN, End, Frames, frame
from chaos.elsewhere.hosts import Hosts, filled
from chaos.elsewhere.lifeline import Lifeline
from chaos.elsewhere.reader import Reader
from chaos.engine.ways.dial import Door
from chaos.experiment.hosts import HostSpec
from chaos.history.folder import RunFolder
from chaos.history.owed import Owed, note, owed
from chaos.plugin import COMMAND_GONE
from chaos.runtimes.base.machines.orders import Obeyed, Order
from chaos.runtimes.docker.hosts import power
from chaos.runtimes.docker.hosts.engines import address_of

pytestmark = pytest.mark.timeout(60)
DOOR = Door("ssh://b", "b", 4790, "new", "token")


class Pipes:
    """The streams of a harness whose other ends are here."""

    def __init__(self, read: int, write: int) -> None:
        self._read = read
        self._write = write

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Of its output."""
        while data := os.read(self._read, 65536):
            yield 1, data

    def sendall(self, data: bytes) -> None:
        """To its input."""
        os.write(self._write, data)

    def close(self) -> None:
        """Its input ends."""
        os.close(self._write)


class Api:
    """An engine's, of a host that has just come back."""

    def close(self) -> None:
        """Connections of before."""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    return folder


@pytest.fixture
def hosts(tmp_path: Path, run: RunFolder) -> Iterator[Hosts]:
    off, on = ((sys.executable, "-c", f"open({str(tmp_path / name)!r}, 'w')") for name in ("off", "on"))
    specs = {"a": HostSpec("ssh://a"), "b": HostSpec("ssh://b", power_off=off, power_on=on), "c": HostSpec("tcp://10.0.0.3:2376")}
    found = Hosts(specs, run)
    yield found
    found.errands.close()


@pytest.fixture
def line(hosts: Hosts, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lifeline]:
    """The harness's end, while a command listens at the other one."""
    monkeypatch.setattr(os, "kill", lambda *_: None)  # of a line that is lost
    (into, write), (read, out) = os.pipe(), os.pipe()
    line = Lifeline(into, out)
    channel = Channel(Pipes(read, write))
    channel.begin()
    reader = Reader(channel, run.path)
    reader.errands = hosts
    command = threading.Thread(target=reader.until_end)
    command.start()
    yield line
    line.send(END, msgspec.json.encode(End(0)))
    command.join()
    channel.close()
    line.end()
    os.close(out)


def come_back(hosts: Hosts, monkeypatch: pytest.MonkeyPatch, *, answers: bool) -> None:
    """Host b has an engine that answers, or not, and a door is opened where it does."""
    monkeypatch.setattr(power, "BOOT_S", 0.1)
    monkeypatch.setattr(power, "answers", lambda _: answers)
    monkeypatch.setattr(Hosts, "_open", lambda _, host: DOOR if host == "b" else None)
    hosts._engines["b"] = type("Engine", (), {"client": type("Client", (), {"api": Api()})})()  # type: ignore[assignment]


def test_what_is_owed_is_noted_here_before_a_host_is_off(line: Lifeline, run: RunFolder, tmp_path: Path) -> None:
    """Where it can be paid; the harness's own folder may be out of reach."""
    assert line.errand("power_off", "b").said == ""
    assert (tmp_path / "off").exists()
    assert [(each.do, each.host) for each in owed(run.path)] == [("power_on", "b")]


def test_a_host_that_is_on_has_another_door(
    line: Lifeline, hosts: Hosts, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """And nothing is owed any more."""
    come_back(hosts, monkeypatch, answers=True)
    line.errand("power_off", "b")
    obeyed = line.errand("power_on", "b")
    assert (obeyed.said, obeyed.door) == ("", DOOR)
    assert (tmp_path / "on").exists()
    assert owed(run.path) == []


@pytest.mark.parametrize("host", ["a", "c", "d"])
def test_nothing_is_run_that_the_experiment_does_not_name(line: Lifeline, run: RunFolder, host: str) -> None:
    """A harness speaks of hosts, never of commands."""
    assert line.errand("power_off", host).said == f"nothing says how host '{host}' is switched off"
    assert line.errand("power_on", host) == Obeyed(2, "")
    assert owed(run.path) == []


def test_a_host_that_does_not_come_back(line: Lifeline, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness is told why."""
    come_back(hosts, monkeypatch, answers=False)
    line.errand("power_off", "b")
    assert "did not answer within 0.1 s" in line.errand("power_on", "b").said


def test_files_are_told_by_the_names_that_they_have_here(hosts: Hosts, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads it has no such folder."""
    monkeypatch.setattr(os, "kill", lambda *_: None)
    (into, write), (read, out) = os.pipe(), os.pipe()
    line, channel = Lifeline(into, out), Channel(Pipes(read, write))
    channel.begin()
    said: list[str] = []
    reader = Reader(channel, run.path, show=said.append, note=said.append)
    reader.there = "/var/lib/docker/volumes/nines-beside/_data/runs/r"
    line.send(SHOWN, f"the log is in {reader.there}/history.jsonl\n".encode())
    line.send(NOTE, f"{reader.there}: no".encode())
    line.send(END, msgspec.json.encode(End(0)))
    reader.until_end()
    assert said == [f"the log is in {run.path}/history.jsonl\n", f"{run.path}: no"]
    channel.close()
    line.end()
    os.close(out)


def test_a_command_that_ends_owes_no_host(line: Lifeline, hosts: Hosts, run: RunFolder, tmp_path: Path) -> None:
    """Whatever the harness did not come to."""
    line.errand("power_off", "b")
    assert hosts.errands.close() == ""
    assert (tmp_path / "on").exists()
    assert owed(run.path) == []


@pytest.mark.parametrize("ours", [True, False])
def test_no_debt_comes_from_there(line: Lifeline, run: RunFolder, tmp_path: Path, ours: bool) -> None:
    """A heal runs the words of a debt: they are to be those of whoever wrote the experiment."""
    debt = Owed("power_on", "b", ("ours",))
    if ours:
        note(run.path, debt)
    note(tmp_path / "there", Owed("power_on", "b", ("theirs",)))
    (tmp_path / "there" / "row").write_text("measured")
    line.archive({"": tmp_path / "there"})
    assert line.kept(10.0)
    assert (run.path / "row").read_text() == "measured"
    assert owed(run.path) == [debt] * ours


def test_addresses_that_only_the_command_knows_travel() -> None:
    """A context's name says nothing where there are no contexts; what is written stays."""
    specs = {"a": HostSpec("work"), "b": HostSpec("home"), "c": HostSpec("ssh://c", address="10.0.0.9")}
    doors = {"a": Door("work"), "b": Door("home", "b.example", 4790), "c": Door("ssh://c", "c", 4790)}
    assert {host: spec.address for host, spec in filled(specs, doors).items()} == {"a": "", "b": "b.example", "c": "10.0.0.9"}
    assert address_of(HostSpec("ssh://me@b.example:22")) == "b.example"


def test_a_harness_hears_what_came_of_its_own_errand(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its number; and what to say once nobody answers."""
    monkeypatch.setattr(os, "kill", lambda *_: None)  # of a line that is lost
    (into, there), (here, out) = os.pipe(), os.pipe()
    line = Lifeline(into, out)
    answers: queue.Queue[str] = queue.Queue()
    frames = Frames()

    def next_errand() -> Order:
        while True:
            for kind, payload in frames.feed(os.read(here, 65536)):
                if kind == ERRAND:
                    return msgspec.json.decode(payload, type=Order)

    def ask(do: str) -> None:
        threading.Thread(target=lambda: answers.put(line.errand(do, "b").said)).start()

    ask("cordon")
    order = next_errand()
    assert (order.do, order.host) == ("cordon", "b")
    os.write(there, frame(OBEYED, msgspec.json.encode(Obeyed(order.number + 7, "of another one"))))
    os.write(there, frame(OBEYED, msgspec.json.encode(Obeyed(order.number, "no"))))
    assert answers.get(timeout=10) == "no"
    ask("uncordon")
    next_errand()
    os.close(there)  # the command is gone
    assert answers.get(timeout=10) == COMMAND_GONE
    line.end()
    for fd in (here, into):
        os.close(fd)
