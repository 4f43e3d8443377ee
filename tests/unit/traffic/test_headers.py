"""Headers of an operation: as given, one a line; secrets from the environment, in no file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.core.errors import BadInput
from chaos.experiment import probe_options
from chaos.experiment.document import parse_experiment
from chaos.experiment.probe_options import Written
from chaos.history.folder import RunFolder
from chaos.traffic.probe import Setup, Slot
from chaos.traffic.probes import http
from tests.support.samples import sample_plan

URL = "GET http://{address}:{client}/{key}"


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that is never run."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


def head(loop: asyncio.AbstractEventLoop, headers: str) -> list[str]:
    """The header lines that are sent."""
    options = {"what": URL, "headers": headers}
    probe = http.build(Setup(loop=loop, operation="op", does="read", options=options, words={"client": "7000"}))
    slot = Slot()
    slot.index, slot.key, slot.value, slot.address = 17, "k1", "v", "127.0.0.9"
    assert isinstance(probe, http.HttpProbe)
    return probe.request(slot).decode().split("\r\n")[1:-2]


def options(text: str) -> dict[str, str]:
    """The options of one operation of an experiment."""
    head = "experiment: x\nquestion: q?\ncluster: {target: replicated_kv, nodes: 1}\nbaseline: 1s\n"
    loaded = parse_experiment(f"{head}traffic: {{operations: {{op: {{http: '{URL}', rate: 1/s, headers: {text}}}}}}}\n", "x.yaml")
    return loaded.traffic.operations["op"].options


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("'Content-Type: text/plain; charset=utf-8'", ["Content-Type: text/plain; charset=utf-8"]),
        ("'Cookie: a=1; b=2'", ["Cookie: a=1; b=2"]),
        ("['Cookie: a=1; b=2', 'X-Who: {slot}']", ["Cookie: a=1; b=2", "X-Who: 17"]),
        ("['X-Odd: a; Set: b']", ["X-Odd: a; Set: b"]),
        ("{Cookie: 'a=1; b=2', X-Who: '{key}'}", ["Cookie: a=1; b=2", "X-Who: k1"]),
        ('"Accept: text/plain\\nX-Who: me\\n"', ["Accept: text/plain", "X-Who: me"]),
    ],
)
def test_a_header_is_one_line_whatever_its_value_holds(loop: asyncio.AbstractEventLoop, written: str, sent: list[str]) -> None:
    """A semicolon in it parts nothing; a list, a table and lines of a text are several."""
    assert head(loop, options(written)["headers"]) == ["Host: 127.0.0.9:7000", "User-Agent: nines", *sent]


def test_a_host_that_is_given_replaces_ours(loop: asyncio.AbstractEventLoop) -> None:
    """There is exactly one."""
    assert head(loop, "Host: shop.example") == ["User-Agent: nines", "Host: shop.example"]


def test_two_headers_in_one_text_are_refused_with_the_list(loop: asyncio.AbstractEventLoop) -> None:
    """Semicolons used to part headers: nobody's file changes its meaning in silence."""
    with pytest.raises(BadInput, match=r'headers: \["Accept: text/plain", "X-Who: me"\]'):
        head(loop, "Accept: text/plain; X-Who: me")


def test_a_line_end_in_an_item_is_refused() -> None:
    """Where it stands."""
    with pytest.raises(BadInput, match=r"x\.yaml:5.*a header holds a line end"):
        options('["X-A: b\\nX-C: d"]')


def test_a_secret_comes_from_the_environment(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Braces and percent signs in it mean nothing; what is written into the run folder has only its name."""
    monkeypatch.setenv("TOKEN", "s3{key}%cret")
    given = options("['Authorization: Bearer ${env:TOKEN}']")
    assert head(loop, given["headers"])[-1] == "Authorization: Bearer s3{key}%cret"
    assert "s3" not in str(given)
    assert probe_options.secrets([given], "") == {"TOKEN": "s3{key}%cret"}
    folder = RunFolder(tmp_path / "run")
    folder.write_plan(sample_plan(), "experiment: x\n")
    assert {path.name: path.stat().st_mode & 0o777 for path in (folder.plan, folder.experiment)} == {
        "plan.json": 0o600,
        "experiment.yaml": 0o600,
    }


def test_a_missing_or_broken_secret_is_refused_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, when the file is loaded."""
    monkeypatch.delenv("TOKEN", raising=False)

    def read() -> None:
        probe_options.check(
            "http", Written(operation="op", does="read", options={"what": URL, "headers": "A: ${env:TOKEN}"}, words={"client": "1"})
        )

    with pytest.raises(BadInput, match="no variable 'TOKEN'"):
        read()
    monkeypatch.setenv("TOKEN", "hush\r\nX-Evil: 1")
    with pytest.raises(BadInput, match="TOKEN") as refused:
        read()
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("option", "written", "sent"),
    [
        ("basic", "me:${env:NINES_TEST_SECRET}", "Authorization: Basic bWU6YTp7Yn0lYw=="),  # printf 'me:a:{b}%%c' | base64
        ("bearer", "${env:NINES_TEST_SECRET}", "Authorization: Bearer a:{b}%c"),
    ],
)
def test_credentials_come_from_the_environment(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, option: str, written: str, sent: str
) -> None:
    """Whatever signs a secret holds; the plan and the file hold its name, written either way."""
    monkeypatch.setenv("NINES_TEST_SECRET", "a:{b}%c")
    probe = http.build(Setup(loop=loop, operation="op", does="read", options={"what": URL, option: written}, words={"client": "7000"}))
    slot = Slot()
    slot.index, slot.key, slot.value, slot.address = 17, "k1", "v", "127.0.0.9"
    assert isinstance(probe, http.HttpProbe)
    assert sent in probe.request(slot).decode().split("\r\n")
    head = "experiment: x\nquestion: q?\ncluster: {target: replicated_kv, nodes: 1}\nbaseline: 1s\n"
    for spelt in (written, written.replace("env:", "")):
        loaded = parse_experiment(f"{head}traffic: {{operations: {{op: {{http: '{URL}', rate: 1/s, {option}: '{spelt}'}}}}}}\n", "x.yaml")
        assert loaded.traffic.operations["op"].options[option] == written


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"basic": "me:open"}, "holds no secret from the environment"),
        ({"basic": "${env:HOME}"}, "holds no secret from the environment"),
        ({"bearer": "abc"}, "holds no secret from the environment"),
        ({"bearer": "${env:NOT_THERE}"}, "the environment has no variable 'NOT_THERE'"),
        ({"bearer": "${env:HOME}", "basic": "me:${env:HOME}"}, "two things say who asks"),
        ({"bearer": "${env:HOME}", "headers": "authorization: x"}, "two things say who asks"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused(loop: asyncio.AbstractEventLoop, given: dict[str, str], says: str) -> None:
    """A secret in a file most of all."""
    with pytest.raises(BadInput, match=says):
        http.build(Setup(loop=loop, operation="op", does="read", options={"what": URL, **given}, words={"client": "7000"}))
