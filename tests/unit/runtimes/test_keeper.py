"""Who does something to machines on the user's side: it takes it back when the command dies, and what it owes is on disk before."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from chaos.core.errors import NotHealed
from chaos.history.owed import FILE, Owed, note, owed, pay
from chaos.registry import runs as registry
from chaos.runtimes.base.machines.errands import GONE, Errands, paid
from chaos.runtimes.base.machines.keeper import Keeper
from chaos.runtimes.base.machines.orders import Obeyed, Order, Switch, Terms
from tests.support.paths import ROOT

pytestmark = pytest.mark.timeout(60)


def terms(folder: Path, off: str = "true") -> Terms:
    """Machine b, whose power is a file."""
    power = folder / "power-of-b"
    return Terms("run-1", str(folder), "none", power={
        "b": Switch(("sh", "-c", f"{off} && rm {power}"), ("sh", "-c", f"echo on > {power}")),
    })  # fmt: skip


def until(true: Callable[[], bool], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.fixture
def power(tmp_path: Path) -> Path:
    """There while machine b is on."""
    file = tmp_path / "power-of-b"
    file.write_text("on\n")
    return file


def ask(errands: Errands, number: int, do: str, host: str = "b") -> str:
    told: queue.Queue[Obeyed] = queue.Queue()
    errands.do(Order(number, do, host), told.put)
    obeyed = told.get(timeout=20)
    assert obeyed.number == number
    return obeyed.said


def test_a_machine_goes_off_and_on(tmp_path: Path, power: Path) -> None:
    errands = Errands(terms(tmp_path))
    assert ask(errands, 1, "power_off") == ""
    assert not power.exists()
    assert [(each.do, each.host) for each in owed(tmp_path)] == [("power_on", "b")]
    assert ask(errands, 2, "power_on") == ""
    assert power.exists()
    assert owed(tmp_path) == []
    power.write_text("as it was")
    assert errands.close() == ""
    assert power.read_text() == "as it was"  # nothing was owed any more


def test_what_is_still_off_at_the_end_is_switched_on(tmp_path: Path, power: Path) -> None:
    errands = Errands(terms(tmp_path))
    assert ask(errands, 1, "power_off") == ""
    assert errands.close() == ""
    assert power.exists()
    assert owed(tmp_path) == []


def test_a_command_that_is_killed_leaves_no_machine_off(tmp_path: Path, power: Path) -> None:
    """SIGKILL to the command while the machine is off: what looks after it is no child that dies with it."""
    code = textwrap.dedent(f"""
        import sys, time, msgspec
        from chaos.runtimes.base.machines.errands import Errands
        from chaos.runtimes.base.machines.orders import Order, Terms
        errands = Errands(msgspec.json.decode({msgspec.json.encode(terms(tmp_path))!r}, type=Terms))
        errands.do(Order(1, "power_off", "b"), lambda obeyed: print("off", obeyed.said, flush=True))
        time.sleep(60)
    """)
    command = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    assert command.stdout is not None
    try:
        assert command.stdout.readline() == "off \n"
        assert not power.exists()
        os.killpg(command.pid, signal.SIGINT)  # as a Ctrl-C, which reaches all of a terminal
    finally:
        command.kill()
        command.wait()
        command.stdout.close()
    until(power.exists)
    until(lambda: owed(tmp_path) == [])


def test_a_failed_command_says_so_and_is_owed(tmp_path: Path, power: Path) -> None:
    """It may have done its work."""
    errands = Errands(terms(tmp_path, off="false"))
    said = ask(errands, 1, "power_off")
    assert "the command that switches host 'b' off failed" in said
    assert "exit status 1" in said
    assert owed(tmp_path)
    assert ask(errands, 2, "stays_on") == ""  # whoever can see it may say that it did nothing
    assert owed(tmp_path) == []
    power.unlink()
    assert errands.close() == ""
    assert not power.exists()


def test_a_host_that_nothing_switches_is_not_owed(tmp_path: Path) -> None:
    keeper = Keeper(terms(tmp_path))
    assert keeper.do(Order(1, "power_off", "c")) == "nothing says how host 'c' is switched off"
    assert owed(tmp_path) == []


def test_a_keeper_that_is_killed_leaves_its_debts_on_disk(tmp_path: Path, power: Path) -> None:
    errands = Errands(terms(tmp_path))
    assert ask(errands, 1, "power_off") == ""
    assert errands._keeper is not None
    errands._keeper.kill()
    errands._keeper.wait()
    assert ask(errands, 2, "power_on") == GONE
    assert errands.close() == GONE
    assert not power.exists()
    assert pay(tmp_path, pytest.fail) == []  # as a heal does
    assert power.exists()
    assert owed(tmp_path) == []


def test_a_line_that_a_crash_cut_short_is_passed_over(tmp_path: Path) -> None:
    note(tmp_path, Owed("uncordon", "a"))
    note(tmp_path, Owed("power_on", "b", ("x",)))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"do": "power_on", "ho')
    assert [each.host for each in owed(tmp_path)] == ["b", "a"]  # what came last is taken back first
    opened: list[str] = []
    (problem,) = pay(tmp_path, opened.append)
    assert "the command that switches host 'b' on failed" in problem
    assert opened == ["a"]
    assert [each.host for each in owed(tmp_path)] == ["b"]


def test_a_run_that_travels_nowhere_asks_the_same_keeper(tmp_path: Path, power: Path) -> None:
    errands = Errands(terms(tmp_path))
    assert errands.at_home("power_off", "b") == ""
    assert not power.exists()
    assert errands.at_home("power_off", "c") == "nothing says how host 'c' is switched off"
    assert errands.at_home("power_on", "b") == ""
    assert power.exists()
    assert errands.close() == ""


@pytest.mark.parametrize(("on", "stale"), [("true", False), ("false", True)])
def test_a_run_is_known_until_all_is_paid(tmp_path: Path, power: Path, monkeypatch: pytest.MonkeyPatch, on: str, stale: bool) -> None:
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    errands = Errands(Terms("run-1", str(tmp_path), power={"b": Switch(("rm", str(power)), (on,))}))
    with (
        pytest.raises(NotHealed, match="'nines heal' takes it back") if stale else contextlib.nullcontext(),
        registry.claim("run-1", tmp_path, "docker") as claim,
    ):
        claim.begins()
        with paid(errands, claim):
            assert errands.at_home("power_off", "b") == ""
        claim.proven_gone()
    assert [each.run for each in registry.records() if each.stale] == ["run-1"] * stale
