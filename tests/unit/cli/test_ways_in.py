"""``--version``, ``help``, completion, and what was probably meant by a word that is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.core.version import VERSION


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit 0."""
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"nines {VERSION}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu", "x.yaml"], "there is no verb 'rnu': did you mean 'run'?"),
        (["zzzz"], "there is no verb 'zzzz'; 'nines help' lists them"),
        (["run", "x.yaml", "--sede", "3"], "--sede (did you mean --seed?)"),
        (["run", "x.yaml", "--sede=3"], "--sede=3 (did you mean --seed?)"),
        (["gate", "x", "--agianst", "main"], "--agianst (did you mean --against?)"),
        (["plan", "x.yaml", "--zzzz"], "unrecognized arguments: --zzzz"),
    ],
)
def test_words_that_are_none(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    """The nearest verb or option, exit 2; nothing is made up where none is near."""
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Of everything, of a verb, and of what is none."""
    assert cli.main(["help"]) == 0
    assert "exit status:" in capsys.readouterr().out
    assert cli.main(["help", "gate"]) == 0
    assert "--against REF" in capsys.readouterr().out
    assert cli.main(["help", "gaet"]) == 2
    assert "did you mean 'gate'?" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_verb(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    """A script for each shell."""
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert not [verb for verb in cli.VERBS if verb not in script]
    assert "system-version" in script


def test_bash_completes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Verbs and options, asked of bash itself."""
    cli.main(["completion", "bash"])
    (tmp_path / "nines.bash").write_text(capsys.readouterr().out, encoding="utf-8")
    ask = (
        "source nines.bash; COMP_WORDS=(nines gat); COMP_CWORD=1; _shtab_nines nines gat nines; echo ${COMPREPLY[@]}; "
        "COMP_WORDS=(nines gate --ag); COMP_CWORD=2; _shtab_nines nines --ag gate; echo ${COMPREPLY[@]}"
    )
    answer = subprocess.run(["bash", "--norc", "-c", ask], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.split() == ["gate", "--against"]
