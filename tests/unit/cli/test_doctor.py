"""What the doctor finds."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from chaos.cli import doctor
from chaos.cli import main as cli
from chaos.cli.doctor import MISSING, OK, OPTIONAL, Finding, examine, usable
from chaos.cli.fault_support import Ability, abilities, runtimes
from chaos.core import plugins as tables
from chaos.core.errors import EnvironmentUnusable


def found(name: str) -> Finding:
    """The finding of that name."""
    return next(finding for finding in examine() if finding.name == name)


def test_this_machine() -> None:
    """Each thing is there once, and what is not there says how to get it."""
    findings = examine()
    assert len({finding.name for finding in findings}) == len(findings)
    assert all(finding.how for finding in findings if finding.state == MISSING)
    names = {finding.name for finding in findings}
    assert {"Python", "Linux", "loopback addresses", "Toxiproxy server", "earlier runs", "target replicated_kv"} <= names


def test_no_toxiproxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the server no run starts; the ways to get it are named."""
    from chaos.net.toxiproxy import program as toxiproxy_server

    def nothing(*, build: bool) -> None:
        raise EnvironmentUnusable("no Toxiproxy server was found", how="go install ...")

    monkeypatch.setattr(toxiproxy_server, "find", nothing)
    finding = found("Toxiproxy server")
    assert finding.state == MISSING
    assert finding.how
    assert not usable([finding])


def test_state_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Said before a run finds out."""
    monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(os, "access", lambda path, _mode: not str(path).startswith(str(tmp_path)))
    assert found("state folder").state == MISSING


def test_program_of_a_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A target whose program is not installed is named; other targets still run, so the machine is usable."""
    folder = tmp_path / "nosuch"
    folder.mkdir()
    (folder / "target.yaml").write_text(
        "schema: 1\ntarget: nosuch\nabout: nothing\n"
        "parts:\n  data:\n    ports: {client: 7100}\n    local: {command: [no-such-program-here]}\n"
        '    ready: {tcp: "{address}:{client}"}\n'
        'operations: {write: {http: "http://{address}:{client}/", does: write}}\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("NINES_TARGETS", str(tmp_path))
    finding = found("target nosuch")
    assert finding.state == OPTIONAL
    assert "no-such-program-here" in finding.detail


def test_usable_ignores_what_is_optional() -> None:
    """Only what a run cannot do without makes a machine unusable."""
    assert usable([Finding("a", OK, ""), Finding("b", OPTIONAL, "")])
    assert not usable([Finding("a", OK, ""), Finding("b", doctor.MISSING, "")])


# --- faults by runtime -------------------------------------------------------------------------------------------------


def test_the_table_in_the_docs_is_that_of_the_faults() -> None:
    """docs/runtimes.md is as ``python -m tools.fault_table`` would write it."""
    from tools.fault_table import PAGE, whole

    page = PAGE.read_text(encoding="utf-8")
    assert page == whole(page)


@pytest.fixture(scope="module")
def asked() -> Sequence[Ability]:
    """Of all faults, once."""
    return abilities()


@pytest.mark.parametrize("kind", sorted(tables.FAULTS))
def test_every_fault_is_asked(asked: Sequence[Ability], kind: str) -> None:
    """One of each kind can be made without knowing its fields, and answers for both runtimes and for what runs already."""
    here = [each for each in asked if each.kind == kind]
    assert [each.runtime for each in here] == runtimes()
    assert any(each.possible for each in here)


def test_what_cannot_be_done_says_why(asked: Sequence[Ability]) -> None:
    """A whole kind, one of its forms, and a form on one sort of target."""
    said = {(each.kind, each.runtime): each for each in asked}
    assert not said["power_off", "local"].possible
    assert str(said["power_off", "local"]).startswith("no: ")
    assert said["power_off", "docker"].possible
    assert str(said["stop", "kubernetes, attached"]).startswith("no: kubelet alone")
    assert str(said["pause", "kubernetes, attached"]) == "yes"
    assert str(said["pause", "docker, attached"]) == "yes"
    assert str(said["remove", "docker, attached"]).startswith("no: it would take away")
    assert [form.only for form in said["partition", "docker, attached"].missing] == ["`network`", "`by: host`"]
    assert [form.only for form in said["kill", "local"].missing] == ["`recovery: policy`"]
    assert [form.only for form in said["kill", "docker"].missing] == ["`recovery: policy` on a target with `pid1: true`"]


def test_the_doctor_counts_them(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each runtime; ``--faults`` has all of it, for programs too."""
    assert "power_off" in found("faults on local").detail
    assert cli.main(["doctor", "--faults", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["fault"] for row in rows} == set(tables.names("faults"))
    assert next(row["missing"][0]["why"] for row in rows if (row["fault"], row["runtime"]) == ("power_off", "local"))
