"""A run folder that somebody else made: it is read, and nothing outside of it is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from chaos.api import order_text, perform
from chaos.cli import main as cli
from chaos.core.errors import EnvironmentUnusable, HistoryUnreadable
from chaos.core.files import write_atomically
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.history.undo import UndoLog
from chaos.runtimes.local.node import NodeRecipe, prepare
from chaos.testing.stubs import StubNode
from tests.support.quick import QUICK

VICTIM = "do not lose this\n"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of ours, outside of the folder."""
    path = tmp_path / "victim"
    path.write_text(VICTIM, encoding="utf-8")
    return path


WRITTEN = ("report.json", "report.html", "report.schema.json", ".report.json.draft", ".report.html.draft", ".report.schema.json.draft")


def test_judging_writes_through_no_link(quick_run: Path, tmp_path: Path, victim: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file is made anew and takes the link's place; a draft's name cannot be guessed."""
    folder = tmp_path / "theirs"
    shutil.copytree(quick_run, folder)
    for name in WRITTEN:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(victim)
    assert cli.main(["judge", str(folder)]) == 0
    assert victim.read_text(encoding="utf-8") == VICTIM
    assert not (folder / "report.json").is_symlink()
    assert (folder / "report.json").stat().st_size > 1000


def test_a_run_in_a_prepared_folder_writes_through_no_link(tmp_path: Path, victim: Path) -> None:
    """Neither its own files nor what it keeps room with: refused, or made anew."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    for name in ("experiment.yaml", ".reserve"):
        (folder / name).symlink_to(victim)
    perform(order_text(QUICK, Path("quick.yaml")), RunFolder(folder))
    assert victim.read_text(encoding="utf-8") == VICTIM
    for make in (HistoryWriter, UndoLog):
        link = tmp_path / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(victim)
        with pytest.raises(OSError, match="symbolic link"):
            make(link)
    assert victim.read_text(encoding="utf-8") == VICTIM


@pytest.mark.parametrize("name", ["plan.json", "history.jsonl", "observations.bin"])
def test_a_pipe_in_the_place_of_a_file_is_refused(quick_run: Path, tmp_path: Path, name: str) -> None:
    """To read it would take for ever."""
    folder = tmp_path / "theirs"
    shutil.copytree(quick_run, folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(HistoryUnreadable, match=f"{name} is no plain file"):
        order = RunFolder(folder)
        order.read_plan()
        order.rows()
        order.read_observations()


def test_a_file_that_could_not_be_written_leaves_no_draft(tmp_path: Path) -> None:
    """Where the other one lies in the way."""
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "there", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_node_s_files_are_not_written_through_a_link(tmp_path: Path, victim: Path) -> None:
    """One that leads out of its folder is refused; a link in the place of the file is replaced."""
    folder = tmp_path / "n1"
    folder.mkdir()
    (folder / "config").symlink_to(victim)
    recipe = NodeRecipe(StubNode("n1").info, ("true",), {}, folder, tmp_path / "log", {"config": "new\n"})
    prepare(recipe)
    assert victim.read_text(encoding="utf-8") == VICTIM
    assert (folder / "config").read_text(encoding="utf-8") == "new\n"
    (folder / "out").symlink_to(tmp_path)
    with pytest.raises(EnvironmentUnusable, match="would lie outside of the node's folder"):
        prepare(NodeRecipe(StubNode("n1").info, ("true",), {}, folder, tmp_path / "log", {"out/victim": "new\n"}))
    assert victim.read_text(encoding="utf-8") == VICTIM
