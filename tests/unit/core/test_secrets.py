"""What a run folder holds can be shown to others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.api import order, perform
from chaos.core.secrets import masked
from chaos.history.folder import RunFolder
from tests.support.quick import QUICK

SECRET = 'k9"ü-tr0ub4dor'


@pytest.mark.parametrize("name", ["API_TOKEN", "db_password", "AWS_SECRET_ACCESS_KEY", "STRIPE_APIKEY", "BASIC_AUTH"])
def test_values_of_secrets_become_their_names(name: str) -> None:
    """As text, and in both ways that JSON may write it."""
    environment = {name: SECRET, "HOME": "/home/ada"}
    for written in (f"GET /?key={SECRET}", json.dumps({"a": SECRET}), json.dumps({"a": SECRET}, ensure_ascii=False)):
        shown = masked(written.encode(), environment).decode()
        assert f"${{{name}}}" in shown
        assert "tr0ub4dor" not in shown
    assert masked(b"/home/ada/x", environment) == b"/home/ada/x"


def test_what_is_no_secret_stays() -> None:
    """Short values stand everywhere by chance; an author is no authentication."""
    environment = {"TOKEN_TTL": "5s", "USE_AUTH": "on", "GIT_AUTHOR_NAME": "write-heavy"}
    written = b"a write-heavy load for 5s, on n1"
    assert masked(written, environment) == written


@pytest.mark.parametrize(
    ("written", "shown"),
    [("http://ada:pw-1@db:80/x", "http://ada:***@db:80/x"), ("redis://:pw@h/0", "redis://:***@h/0"),
     ("http://{address}:{client}/kv", "http://{address}:{client}/kv"), ("at 10:30 mail ada@example.org", "at 10:30 mail ada@example.org"),
     ("http://h:80/a?mail=ada@example.org", "http://h:80/a?mail=ada@example.org")],
)  # fmt: skip
def test_passwords_within_addresses(written: str, shown: str) -> None:
    """The user's name stays: it tells who was meant."""
    assert masked(written.encode(), {}).decode() == shown


def test_no_file_of_a_run_holds_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan, history, report: all of the folder."""
    monkeypatch.setenv("A_TEST_TOKEN", "tr0ub4dor-and-3")
    file = tmp_path / "quick.yaml"
    file.write_text(QUICK.replace("question: ", "question: ${A_TEST_TOKEN} "), encoding="utf-8")
    ordered = order(file, runtime="fake")
    assert "tr0ub4dor" in ordered.experiment.question
    folder = RunFolder(tmp_path / "run")
    perform(ordered, folder)
    held = [path for path in folder.path.rglob("*") if path.is_file() and b"tr0ub4dor" in path.read_bytes()]
    assert held == []
    assert "${A_TEST_TOKEN}" in folder.plan.read_text(encoding="utf-8")
