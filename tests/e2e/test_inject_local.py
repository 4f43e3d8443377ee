"""A cluster of plain processes, held by one harness and broken by hand from another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.history.events import FaultGone
from chaos.history.folder import RunFolder
from chaos.run import leftovers
from tests.support.quick import QUICK

WITHIN_S = 60.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it happens, with a registry of its own."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.yaml").write_text(QUICK, encoding="utf-8")
    return tmp_path


def nines(*words: str) -> subprocess.Popen[str]:
    """The command, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "chaos", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@contextmanager
def held() -> Iterator[subprocess.Popen[str]]:
    """``nines up``, until its first line of output says that it is up. A busy machine may take a while to answer a health check."""
    process = nines("up", "quick.yaml", "--runtime", "local", "--folder", "held", "--set", "cluster.dns.check.timeout=5s")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("held-"), process.communicate()[1]
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WITHIN_S)


def test_by_hand_from_another_process(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Orders reach it, wrong ones are refused, a caller that dies takes its fault along; in the end nothing is left."""
    with held() as up:
        assert cli.main(["status", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert found["run"].startswith("held-")
        assert (found["runtime"], found["takes_orders"]) == ("local", True)
        assert cli.main(["inject", "kill", "--to", "n2", "--for", "500ms", "--json"]) == 0
        done = json.loads(capsys.readouterr().out)
        assert (done["status"], done["target"], done["during"]["n2.process"]) == ("healed", ["n2"], "down")
        assert cli.main(["inject", "kill", "--to", "n9", "--for", "500ms"]) == 2
        assert "no node 'n9'" in capsys.readouterr().err
        assert cli.main(["inject", "power_off", "--to", "n1", "--for", "500ms"]) == 5
        with nines("inject", "pause", "--to", "n1", "--for", "600s", "--run", "held") as caller:
            assert caller.stderr is not None
            next(line for line in caller.stderr if line.startswith("in force"))
            caller.kill()
        assert up.stderr is not None
        next(line for line in up.stderr if line.startswith("pause on n1: rolled back"))
        assert cli.main(["down", "held"]) == 0
        assert up.wait(WITHIN_S) == 0
    gone = [row.id for row in RunFolder(folder / "held").rows() if isinstance(row, FaultGone)]
    assert gone == ["kill-1.1", "pause-1.1"]
    assert leftovers.leftovers() == []
    assert cli.main(["inject", "kill", "--to", "n1", "--for", "1s"]) == 2
    assert "no cluster is up" in capsys.readouterr().err


def test_a_held_cluster_of_a_killed_harness_is_healed(folder: Path) -> None:
    """A fault by hand in force, and the harness that holds the cluster dies: listed, then gone."""
    with held() as up, nines("inject", "pause", "--to", "n1", "--for", "600s") as caller:
        assert caller.stderr is not None
        next(line for line in caller.stderr if line.startswith("in force"))
        up.kill()
        up.wait()
        assert caller.wait(WITHIN_S) == 5, "whoever asked is told that nobody heals it"
        caller.communicate()
    assert {"undo", "record"} <= {item.kind for item in leftovers.leftovers()}
    assert leftovers.heal().could_not == []
    assert leftovers.leftovers() == []
    assert folder.exists()
