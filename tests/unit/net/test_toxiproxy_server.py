"""Finding the Toxiproxy server program: the order of places, what is refused, what is built; programs here are scripts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.net.toxiproxy import program as toxiproxy_server
from chaos.net.toxiproxy.program import Found, argv, cache_path, find

Place = Callable[[str, str], Path]
MARK = "mod\tgithub.com/Shopify/toxiproxy/v2\tv2.12.0\th1:"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty machine: nothing on PATH, nothing cached, nothing named. Puts scripts on PATH, or where the name says."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(toxiproxy_server.ENVIRONMENT, raising=False)

    def put(name: str, script: str) -> Path:
        path = programs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put


def says(version: str) -> str:
    return f'echo "toxiproxy-server version {version}"'


def test_nothing_anywhere_lists_what_was_tried_and_the_ways(place: Place) -> None:
    """The one message on a machine without it: exit 5, four ways."""
    with pytest.raises(EnvironmentUnusable) as raised:
        find(build=True)
    assert raised.value.exit_code == 5
    for way in ("go install", "Docker", "releases", "NINES_TOXIPROXY"):
        assert way in raised.value.how
    assert "Go is not on PATH" in raised.value.what
    assert "Docker is not on PATH" in raised.value.what


def test_on_path_comes_before_the_cache(place: Place) -> None:
    """What the user installed is preferred to what we keep."""
    installed = place("toxiproxy-server", says("2.9.0"))
    place(str(cache_path()), says("2.12.0"))
    assert find(build=False) == Found(str(installed), "on PATH", "2.9.0")
    installed.unlink()
    assert find(build=False) == Found(str(cache_path()), "cached", "2.12.0")


@pytest.mark.parametrize("script", [says("2.5.0"), "exit 3", "echo broken >&2; exit 1"])
def test_an_unusable_one_on_path_is_passed_over_and_told(place: Place, script: str) -> None:
    """Too old or not running: the next place is looked at; with none, the message names it."""
    installed = place("toxiproxy-server", script)
    with pytest.raises(EnvironmentUnusable, match=str(installed)):
        find(build=False)
    place(str(cache_path()), says("2.12.0"))
    assert find(build=False).how == "cached"


def test_the_named_one_is_used_or_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a program means that one, and no other."""
    place("toxiproxy-server", says("2.12.0"))
    named = place("elsewhere/server", says("2.7.0"))
    monkeypatch.setenv(toxiproxy_server.ENVIRONMENT, str(named))
    assert find(build=True) == Found(str(named), "$NINES_TOXIPROXY", "2.7.0")
    named.unlink()
    with pytest.raises(EnvironmentUnusable, match="NINES_TOXIPROXY names no usable"):
        find(build=True)


def test_built_from_source_its_version_is_read_from_the_program(place: Place) -> None:
    """``git`` says nothing; the build information in the file does."""
    place("toxiproxy-server", f"{says('git')}\nexit 0\n{MARK}")
    assert find(build=False).version == "2.12.0"
    place("toxiproxy-server", says("git"))
    assert find(build=False).version == "unknown"


def test_go_builds_it_into_the_cache(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, without cgo; the next call finds it; the note tells people why they wait."""
    notes: list[str] = []
    go = place("go", 'test "$CGO_ENABLED" = 0 || exit 9; echo "$@" >"$0.said"; printf "#!/bin/sh\necho version git" >"$GOBIN/server"')
    found = find(build=True, note=notes.append)
    assert found == Found(str(cache_path()), "go install", "unknown")
    assert go.with_name("go.said").read_text() == "install github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0\n"
    assert os.access(found.path, os.X_OK)
    assert [path.name for path in cache_path().parent.iterdir()] == [cache_path().name]
    assert "go install" in notes[0]
    go.unlink()
    assert find(build=False).how == "cached"


DOCKER = """
echo "$@" >>"$0.said"
case "$1" in
  create) echo "pulling..." >&2; echo 0123abcd ;;
  cp) printf '#!/bin/sh\\necho version 2.12.0' >"$3" ;;
esac
"""


def test_the_image_is_the_last_way(place: Place) -> None:
    """Where Go fails, the program is copied out of a container that never runs and is removed again."""
    place("go", "echo 'invalid go version 1.23.0' >&2; exit 1")
    docker = place("docker", DOCKER)
    assert find(build=True) == Found(str(cache_path()), "image", "2.12.0")
    said = docker.with_name("docker.said").read_text().splitlines()
    assert [line.split()[0] for line in said] == ["create", "cp", "rm"]
    assert said[0].endswith("ghcr.io/shopify/toxiproxy:2.12.0")
    assert said[1].startswith("cp 0123abcd:/toxiproxy ")
    assert said[2] == "rm --force 0123abcd"


def test_what_failed_is_told_in_the_tools_words(place: Place) -> None:
    """The last line of each tool's own error stands in the message."""
    place("go", "echo 'invalid go version 1.23.0' >&2; exit 1")
    place("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(EnvironmentUnusable) as raised:
        find(build=True)
    assert "go install: invalid go version 1.23.0" in raised.value.what
    assert "image: Cannot connect to the Docker daemon" in raised.value.what


def test_a_built_program_that_does_not_run_never_enters_the_cache(place: Place) -> None:
    """Nothing half-made is left there."""
    place("go", 'printf "#!/bin/sh\nexit 7" >"$GOBIN/server"')
    with pytest.raises(EnvironmentUnusable, match="does not run"):
        find(build=True)
    assert list(cache_path().parent.iterdir()) == []


def test_without_build_nothing_is_built(place: Place) -> None:
    """A run never downloads anything by surprise."""
    go = place("go", 'echo >"$0.said"')
    with pytest.raises(EnvironmentUnusable):
        find(build=False)
    assert not go.with_name("go.said").exists()


def test_the_command_names_its_address() -> None:
    """Flags before arguments, as versions since 2.1.6 want it."""
    assert argv(Found("/x", "cached", "2.12.0"), "127.9.0.84", 8474) == ["/x", "-host", "127.9.0.84", "-port", "8474"]
