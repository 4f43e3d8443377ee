"""What a run is called, whatever its folder is called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos.history import identity
from chaos.history.folder import RunFolder


@pytest.mark.parametrize(
    ("folder", "word"),
    [
        ("j1/out", "out"),
        ("two words", "two-words"),
        ("größe/ß", "run"),
        ("...", "run"),
        ("x" * 300, "x" * identity.LONGEST),
    ],
)
def test_a_name_of_its_own_for_every_run(tmp_path: Path, folder: str, word: str) -> None:
    """Made of the folder's last word, as far as that can be part of a container's name, and of chance."""
    names = {identity.of_folder(tmp_path / folder) for _ in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch(rf"{re.escape(word)}-[0-9a-f]{{6}}", name) for name in names)


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--folder .``."""
    monkeypatch.chdir(tmp_path)
    assert identity.of_folder(Path()).startswith(f"{tmp_path.name}-")
    assert identity.of_folder(Path("/")).startswith("run-")


def test_a_folder_that_we_named_names_its_run() -> None:
    """It is unique already, and asked twice it is the same."""
    name = identity.stamped("kill-leader")
    assert identity.of_folder(Path("runs") / name) == name
    folder = RunFolder(Path("out"))
    assert folder.run == folder.run
