"""A private engine comes, answers, and goes again with all that belongs to it: stopped, crashed, or left by its user."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.engine import private as private_engine
from chaos.engine.connection import answers, connect
from chaos.engine.images.build import Entry, Recipe, build
from chaos.engine.private_parts import ENVIRONMENT, Layout, Record
from chaos.registry import processes as proc
from tests.support.needs import need

WITHIN_S = 60.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for one engine, which is stopped whatever happens."""
    need("root and dockerd", private_engine.may())
    with tempfile.TemporaryDirectory(prefix="nines-engine-") as name:
        yield Path(name)
        private_engine.stop(Path(name))


def _remains(folder: Path) -> list[str]:
    """Processes, mounts and interfaces of the engine in this folder."""
    processes = [str(pid) for pid in proc.pids() if proc.environ(pid).get(ENVIRONMENT) == str(folder) and proc.identity(pid)]
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines() if f" {folder}/" in line]
    bridges = [name for name in (Layout.of(folder).bridge,) if Path("/sys/class/net", name).exists()]
    rules = [line for line in subprocess.check_output(["iptables", "-S"], text=True).splitlines() if Layout.of(folder).bridge in line]
    return processes + mounts + bridges + rules


def _busy(record: Record) -> tuple[proc.Identity, str]:
    """A container that runs on a network of its own, and the bridge of that."""
    with connect(record.docker_host) as engine:
        program = _static_sleeper()
        entries = (Entry("sleeper", program, 0o755),)
        build(
            engine,
            Recipe(tag="nines-test-sleeper:1", dockerfile="FROM scratch\nCOPY sleeper /sleeper\n", entries=entries, purpose="target"),
            print,
        )
        network = engine.client.networks.create("nines-test-private")
        container = engine.client.containers.run(
            "nines-test-sleeper:1", ["/sleeper", "-host", "127.0.0.1"], detach=True, network=network.name, labels={"nines.test": "private"}
        )
        container.reload()
        who = proc.identity(container.attrs["State"]["Pid"])
        assert who is not None
        return who, f"br-{network.id[:12]}"


def _static_sleeper() -> bytes:
    """Any static program that stays: no base image is needed for one."""
    from chaos.net.toxiproxy.program import find

    return Path(find(build=True).path).read_bytes()


def test_it_starts_answers_and_stops(folder: Path) -> None:
    """Once, however often it is asked to start; afterwards nothing of it is left but its folder."""
    first = private_engine.start(folder, print)
    assert answers({"DOCKER_HOST": first.docker_host})
    assert private_engine.start(folder, print) == first
    assert private_engine.running(folder) == first
    who, bridge = _busy(first)
    assert private_engine.stop(folder)
    assert not answers({"DOCKER_HOST": first.docker_host})
    assert not proc.alive(who)
    assert _remains(folder) == []
    assert not Path("/sys/class/net", bridge).exists()
    assert not private_engine.stop(folder)


def test_images_survive_and_containers_do_not(folder: Path) -> None:
    """The next start finds what was built, and nothing that ran."""
    _busy(private_engine.start(folder, print))
    private_engine.stop(folder)
    with connect(private_engine.start(folder, print).docker_host) as engine:
        assert engine.client.images.get("nines-test-sleeper:1")
        assert engine.client.containers.list(all=True) == []


def test_a_crashed_one_is_recognised_and_cleaned_up(folder: Path) -> None:
    """SIGKILL leaves containers, mounts and bridges behind; the stale record fools nobody."""
    record = private_engine.start(folder, print)
    who, bridge = _busy(record)
    proc.end([record.who], WITHIN_S)
    assert private_engine.running(folder) is None
    assert proc.alive(who), "the container was to outlive its engine"
    assert private_engine.stop(folder)
    assert not proc.alive(who)
    assert _remains(folder) == []
    assert not Path("/sys/class/net", bridge).exists()


def test_it_starts_anew_on_top_of_a_crashed_one(folder: Path) -> None:
    """What the last one left is removed first."""
    record = private_engine.start(folder, print)
    who, _ = _busy(record)
    proc.end([record.who], WITHIN_S)
    again = private_engine.start(folder, print)
    assert again.who != record.who
    assert not proc.alive(who)
    with connect(again.docker_host) as engine:
        assert engine.client.containers.list(all=True) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_user_however_that_ends(folder: Path, number: signal.Signals) -> None:
    """A guard waits for the user's process, so that not even SIGKILL leaves an engine behind."""
    code = (
        "import sys, pathlib, signal; from chaos.engine.private import private_engine\n"
        f"with private_engine(pathlib.Path({str(folder)!r}), lambda text: None) as host:\n"
        "    print(host, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        assert user.stdout.readline().startswith("unix://")
        record = private_engine.running(folder)
        assert record is not None
        engine_fd = os.pidfd_open(record.who.pid)
        user.send_signal(number)
        user.wait(WITHIN_S)
    try:
        poller = select.poll()
        poller.register(engine_fd, select.POLLIN)
        assert poller.poll(WITHIN_S * 1e3), "the engine outlived its user"
    finally:
        os.close(engine_fd)
    _until_stopped(folder)
    assert _remains(folder) == []


def _until_stopped(folder: Path) -> None:
    """The guard holds the lock while it cleans up; whoever gets it next finds all of it done."""
    private_engine.stop(folder)


def test_the_command_says_where_it_is(folder: Path) -> None:
    """start, env, status, stop: what a shell needs of it."""

    def command(what: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "chaos.engine.private", what, "--folder", str(folder)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout.strip()

    assert command("status")[0] == 3
    status, said = command("start")
    assert status == 0
    assert said == f"DOCKER_HOST=unix://{folder}/docker.sock"
    assert command("env") == (0, f"export DOCKER_HOST=unix://{folder}/docker.sock")
    assert command("status")[0] == 0
    assert command("stop")[0] == 0
    assert command("status")[0] == 3
