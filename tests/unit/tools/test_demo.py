"""``make demo`` on a machine that is too busy: one sentence, and no failure of make."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.history.folder import RunFolder
from tests.support.quick import QUICK
from tools import demo


def test_only_an_open_verdict_of_a_busy_machine_is_excused() -> None:
    """What to do is told; a miss, a leftover or an open verdict of a quiet machine keeps its status."""
    sentence = demo.told(3, 0.013, (7.5, 2))
    assert sentence.startswith("This machine was too busy to tell (load 7.5 on 2 cores; 1.3 % of the requests left too late)")
    assert sentence.endswith("run 'make demo' again.")
    assert sentence.count(".") == 3  # one sentence, and two decimal points
    assert demo.told(3, 0.0, (7.5, 2))
    assert demo.told(3, 0.013, (0.0, 1))
    assert [demo.told(status, late, (2.0, 2)) for status, late in ((3, 0.0), (1, 0.5), (6, 0.5), (0, 0.5))] == [""] * 4


def test_virtual_requests_are_never_late(quick_run: Path) -> None:
    """Half the time between two is the measure."""
    assert demo.late_share(RunFolder(quick_run)) == 0.0


@pytest.mark.parametrize(("status", "late", "ends"), [(3, 0.02, 0), (3, 0.0, 3), (1, 0.02, 1)])
def test_the_status_of_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int, late: float, ends: int
) -> None:
    """The run is given its folder, and judged by what lies in it."""
    file = tmp_path / "quick.yaml"
    file.write_text(QUICK, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(words: list[str]) -> int:
        folder = Path(words[words.index("--folder") + 1])
        folder.mkdir(parents=True)
        (folder / "plan.json").touch()
        assert folder.name.startswith("quick-")
        return status

    monkeypatch.setattr(demo.cli, "main", run)
    monkeypatch.setattr(demo, "late_share", lambda _folder: late)
    monkeypatch.setattr(demo, "load", lambda _folder: (0.5, 2))
    assert demo.main([str(file)]) == ends
    assert ("too busy" in capsys.readouterr().out) is (ends == 0)
