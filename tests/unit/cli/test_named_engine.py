"""What verbs say of an engine that somebody has named, and that cannot be spoken to."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.core.errors import Interrupted


@pytest.mark.parametrize("verb", [["leftovers"], ["leftovers", "--json"], ["heal"], ["fetch"], ["fetch", "some-run"]])
@pytest.mark.parametrize("name", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_nothing_is_said_of_what_is_not_known(
    verb: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither that nothing is left there, nor that nothing waits."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv(name, f"unix://{tmp_path}/gone.sock" if name == "DOCKER_HOST" else "gone")
    assert cli.main(verb) == 5
    said = capsys.readouterr().err
    assert "gone" in said
    assert "No leftovers" not in said
    assert "nothing of ours" not in said


@pytest.mark.parametrize("verb", ["status", "doctor"])
def test_what_is_seen_here_is_told_all_the_same(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is not known."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
    cli.main([verb])
    said = " ".join(" ".join(capsys.readouterr()).split())
    assert "not known" in said
    assert "ok no leftovers" not in said


def test_an_interruption_has_the_status_of_its_signal() -> None:
    """Also where no report was begun yet."""
    assert [Interrupted(number).exit_code for number in (2, 15)] == [130, 143]
