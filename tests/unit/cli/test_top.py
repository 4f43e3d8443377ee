"""``nines top``: a run that goes on, from its folder."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest

from chaos.api import order_text
from chaos.cli.main import main
from chaos.cli.top import PLAIN_S, REFRESH_S, Tail, follow
from chaos.core.clock import NS_PER_S
from chaos.history.events import FaultSkipped, Row, RunEnded, TrafficSecond, TrafficStarted
from chaos.history.folder import RunFolder
from tests.support.quick import QUICK


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Of a run that has only begun."""
    found = RunFolder(tmp_path / "run")
    found.write_plan(order_text(QUICK, Path("quick.yaml")).plan, QUICK)
    return found


def append(folder: RunFolder, *rows: Row, torn: bytes = b"") -> None:
    """As the run would write them."""
    with folder.history.open("ab") as file:
        file.write(b"".join(msgspec.json.encode(row) + b"\n" for row in rows) + torn)


def second(at_s: int) -> TrafficSecond:
    """A good one."""
    return TrafficSecond(at_ns=at_s * NS_PER_S, operation="write", due=50, good=50, bad=0, missing=0, bad_run_s=0.0)


def test_follows_a_folder_until_the_run_ends(folder: RunFolder) -> None:
    """Rows are taken when they are whole; a line at least every ten seconds; it ends with the run."""
    append(folder, TrafficStarted(at_ns=0, start_ns=0, duration_s=19.0), second(1), torn=b'{"row": "traf')
    stream, slept = io.StringIO(), [0]

    def sleep(_s: float) -> None:
        slept[0] += 1
        assert slept[0] < 100
        if slept[0] == 5:
            folder.history.write_bytes(folder.history.read_bytes().removesuffix(b'{"row": "traf'))
            append(folder, second(2), FaultSkipped(at_ns=0, id="a.1", fault="a", kind="kill", reason="not settled"))
        if slept[0] == PLAIN_S / REFRESH_S + 1:
            append(folder, RunEnded(at_ns=20 * NS_PER_S, left=[]))

    follow([Tail("quick-1", folder)], stream, sleep)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("quick-1: starting  1 of 19 s, 18 s left  0 of 2 faults done  write ok")
    assert lines[1] == "quick-1: a.1 skipped: not settled"
    assert lines[2].startswith("quick-1: starting  2 of 19 s")
    assert len(lines) == 4


def test_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so; a name that is none is refused with what there is."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path))
    assert main(["top"]) == 0
    assert "No runs in progress." in capsys.readouterr().err
    assert main(["top", "quick-7"]) == 2
    assert "no run 'quick-7' is in progress" in capsys.readouterr().err
