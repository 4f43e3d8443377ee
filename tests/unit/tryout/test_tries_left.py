"""A project that a killed ``nines try`` had brought up is listed like any other leftover."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from chaos.cli import main as cli
from chaos.registry import processes
from chaos.tryout.standing import Files, Record


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NINES_STATE", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    (tmp_path / "tries").mkdir()
    return tmp_path / "tries"


def _record(project: str, harness: processes.Identity) -> bytes:
    return msgspec.json.encode(Record(project, harness, Files(("compose.yaml",)), "/srv/shop", (), ()))


def test_it_is_listed_while_its_process_is_gone(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One whose process lives is no leftover."""
    own = processes.own_identity()
    (state / "shop.json").write_bytes(_record("shop", msgspec.structs.replace(own, start=own.start - 1)))
    (state / "busy.json").write_bytes(_record("busy", own))
    assert cli.main(["leftovers"]) == 5
    out, err = capsys.readouterr()
    assert out.splitlines() == ["shop: compose project that a killed nines try had brought up, from /srv/shop"]
    assert "nines heal" in err
    assert cli.main(["leftovers", "--json"]) == 5
    assert [row["run"] for row in json.loads(capsys.readouterr().out)] == ["shop"]


def test_without_an_engine_it_stays_known(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``heal`` says what is still there, with status 6."""
    own = processes.own_identity()
    (state / "shop.json").write_bytes(_record("shop", msgspec.structs.replace(own, start=own.start - 1)))
    assert cli.main(["heal"]) == 6
    assert "compose project shop" in capsys.readouterr().err
    assert (state / "shop.json").exists()
