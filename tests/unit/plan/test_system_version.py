"""Which version of the system under test a run meets."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.core.errors import BadInput
from chaos.experiment.target.spec import Target
from chaos.plan.system_version import VARIABLE, system_version, with_images
from tests.support.samples import sample_target


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A target of two files."""
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "serve.py").write_text("print(1)\n", encoding="utf-8")
    (tmp_path / "target.yaml").write_text("schema: 1\n", encoding="utf-8")
    return msgspec.structs.replace(sample_target(), folder=str(tmp_path))


def test_files_make_the_version(target: Target) -> None:
    """A changed file is another version; caches and hidden files are none."""
    folder = Path(target.folder)
    before = system_version(target, None, here=False)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "serve.cpython-311.pyc").write_bytes(b"x")
    (folder / ".notes").write_text("mine", encoding="utf-8")
    assert system_version(target, None, here=False) == before
    (folder / "serve.py").write_text("print(2)\n", encoding="utf-8")
    assert system_version(target, None, here=False) != before


def test_the_program_on_the_path_is_part_of_it(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is installed apart from the target's files changes its version, where nodes are processes of this machine."""
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "kvd"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    part = target.parts["data"]
    assert part.local is not None
    local = msgspec.structs.replace(part.local, command=("kvd",))
    there = tmp_path / "target"
    there.mkdir()
    target = msgspec.structs.replace(target, folder=str(there), parts={"data": msgspec.structs.replace(part, local=local)})
    elsewhere, before = system_version(target, None, here=False), system_version(target, None, here=True)
    program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    assert system_version(target, None, here=True) != before
    assert system_version(target, None, here=False) == elsewhere


def test_the_user_s_word_wins(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, then the environment, then the files; images change only what nobody named."""
    monkeypatch.setenv(VARIABLE, "abc123")
    assert system_version(target, None, here=False) == "abc123"
    assert system_version(target, "v2.1", here=False) == "v2.1"
    assert with_images("v2.1", True, {"data": "sha256:1"}) == "v2.1"
    assert with_images("0", False, {"data": "sha256:1"}) != with_images("0", False, {"data": "sha256:2"})


@pytest.mark.parametrize("word", ["a b", "-x", "x" * 101, "https://u:p@h/?a=b c"])
def test_what_is_no_version_is_refused(target: Target, word: str) -> None:
    """With what would be one."""
    with pytest.raises(BadInput, match="version"):
        system_version(target, word, here=False)
