"""What the doctor finds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos import doctor
from chaos.doctor import MISSING, OK, OPTIONAL, Finding, examine, usable
from chaos.errors import EnvironmentUnusable


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
    from chaos.net import toxiproxy_server

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
