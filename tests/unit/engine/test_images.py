"""What goes into images and how it is named: contexts, wheels, mirrors, the private engine's layout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import grimp
import pytest

from chaos.core.errors import CapabilityMissing, EnvironmentUnusable, HistoryUnreadable
from chaos.core.programs import last_words
from chaos.engine import private as private_engine
from chaos.engine.images import base as images_base
from chaos.engine.images import build as build_module
from chaos.engine.images import debian
from chaos.engine.images import ensure as images
from chaos.engine.images import harness as images_harness
from chaos.engine.images.build import Entry, Recipe, context, digest, fingerprint, folder_entries
from chaos.engine.images.debian import deb_lines
from chaos.engine.images.harness import Python, fits
from chaos.engine.private_parts import LONGEST_SOCKET_NAME, Layout, mark, read_record
from chaos.experiment.target.load import load_target, parse_target

THIS = Python(version=(3, 11), machine="x86_64")


def test_a_context_is_the_same_for_the_same_content() -> None:
    """Byte by byte: the engine's cache goes by it. Another mode or name is another content."""
    recipe = Recipe(tag="t", dockerfile="FROM x\n", entries=(Entry("a/b", b"1"), Entry("c", b"2", 0o755)), purpose="target")
    assert context(recipe).read() == context(recipe).read()
    with tarfile.open(fileobj=context(recipe)) as archive:
        assert [(member.name, member.mode, member.mtime) for member in archive] == [
            ("Dockerfile", 0o644, 0), ("a/b", 0o644, 0), ("c", 0o755, 0),
        ]  # fmt: skip
    assert fingerprint([Entry("a", b"1")]) != fingerprint([Entry("a", b"1", 0o755)])
    assert digest("ab", "c") != digest("a", "bc")


def test_caches_and_hidden_files_stay_out_of_a_context(tmp_path: Path) -> None:
    """What a run of the code leaves beside it must not change the image."""
    for name in ("main.py", "pkg/one.py", "pkg/__pycache__/one.pyc", ".git/config", "stray.pyc", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    (tmp_path / "main.py").chmod(0o755)
    assert [entry.name for entry in folder_entries(tmp_path)] == ["main.py", "notes.txt", "pkg/one.py"]
    assert [(entry.name, entry.mode) for entry in folder_entries(tmp_path, "x", (".py",))] == [
        ("x/main.py", 0o755),
        ("x/pkg/one.py", 0o644),
    ]


def test_the_harness_image_holds_what_its_programs_import_and_no_package_more() -> None:
    """By the graph of imports: an edit elsewhere, in a report for instance, leaves the image as it is."""
    graph = grimp.build_graph("chaos", exclude_type_checking_imports=True, cache_dir=None)
    programs = {"chaos.traffic.prober", "chaos.dns.server", *graph.find_children("chaos.traffic.probes")}
    needed = programs.union(*(graph.find_upstream_modules(program) for program in programs)) - {"chaos"}
    held = {entry.name for entry in images_harness.code_entries()}
    assert {name.split(".")[1] for name in needed} == set(images_harness.PACKAGES)
    assert {"chaos/__init__.py", "agent/agent.py", "agent/agent_parts/aside.py"} <= held
    assert {name.split("/")[0] for name in held} == {"chaos", "agent"}


ALONE = """
import importlib, sys
allowed = {"chaos", "dns", *sys.argv[2].split(","), *sys.stdlib_module_names}
class Image:
    def find_spec(self, name, path=None, target=None):
        if path is None and name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"the image has no {name}")
sys.meta_path.insert(0, Image())
importlib.import_module(sys.argv[1])
"""


@pytest.mark.parametrize("program", ["chaos.traffic.prober", "chaos.traffic.probes.http", "chaos.dns.server"])
def test_programs_in_the_image_start_with_the_packages_that_are_there(program: str) -> None:
    """A package that the product needs elsewhere must not be loaded by what a container runs."""
    subprocess.run([sys.executable, "-c", ALONE, program, ",".join(images_harness.NEEDS)], check=True)


def test_its_programs_need_no_package_that_the_image_lacks() -> None:
    """Beside the standard library only what is copied in: a package that all of Nines has is not there."""
    code = (
        "import importlib, pkgutil, sys\n"
        "class Image:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        top = name.partition('.')[0]\n"
        "        if top not in sys.stdlib_module_names and top not in {'chaos', 'msgspec', 'dnslib', 'dns'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Image())\n"
        "import chaos.traffic.prober, chaos.dns.server, chaos.traffic.probes\n"
        "for probe in pkgutil.iter_modules(chaos.traffic.probes.__path__, 'chaos.traffic.probes.'):\n"
        "    importlib.import_module(probe.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("tag", "fine"),
    [
        ("py3-none-any", True),
        ("cp311-cp311-manylinux_2_17_x86_64", True),
        ("cp311-cp311-manylinux2014_x86_64", True),
        ("cp312-cp312-manylinux_2_17_x86_64", False),
        ("cp311-cp311-manylinux_2_17_aarch64", False),
        ("cp311-cp311-linux_x86_64", False),
        ("cp311-cp311-musllinux_1_2_x86_64", False),
    ],
)
def test_an_installed_wheel_is_copied_only_where_it_runs(tag: str, fine: bool) -> None:
    """Pure ones anywhere; compiled ones for that Python, that processor and any Linux with glibc."""
    assert fits(f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n", THIS) is fine


def test_the_run_time_packages_are_complete() -> None:
    """Each needed one is among the files of the image, with what it consists of."""
    import sys

    entries = images_harness.site_entries(Python(version=sys.version_info[:2], machine="x86_64"), lambda _: None)
    names = {entry.name for entry in entries}
    assert {"site/msgspec/__init__.py", "site/dnslib/dns.py", "site/dns/resolver.py"} <= names
    assert any(name.startswith("site/msgspec/_core") for name in names)
    assert not any(name.endswith(".pyc") or ".." in name for name in names)


def test_a_bootstrap_that_is_cut_short_cleans_up(tmp_path: Path) -> None:
    """It is told to end, with all that it has started, and not killed: it has mounts of its own."""
    script = "trap 'touch cleaned; exit 1' TERM; echo began; sleep 60 & wait"
    with pytest.raises(subprocess.TimeoutExpired):
        images_base.bootstrapped(["sh", "-c", f"cd {tmp_path}; {script}"], tmp_path / "words", 1.0)
    assert (tmp_path / "cleaned").exists()
    assert (tmp_path / "words").read_text() == "began\n"


def test_what_a_killed_bootstrap_left_goes_with_the_next_one(tmp_path: Path) -> None:
    """By the number of its process; that of one that lives stays, and so does what is called alike."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as dead:
        dead.wait()
    names = [f"nines-base-{dead.pid}-abc", f"nines-base-{os.getpid()}-abc", "nines-base-notes"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "base.tar").write_bytes(b"x")
    images_base.sweep(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(names[1:])


class Images:
    """An engine's, as its API lists them."""

    def __init__(self, images: list[tuple[str, str, int]]) -> None:
        self._images = images
        self.removed: list[str] = []

    def images(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        """Those with a label, and of one repository if one is named."""
        label, repository = filters["label"], filters.get("reference", "")
        return [
            {"Id": tag, "RepoTags": [tag], "Created": created, "Labels": {"nines.image": purpose}}
            for tag, purpose, created in self._images
            if label in ("nines.image", f"nines.image={purpose}") and repository in ("", tag.rpartition(":")[0])
        ]

    def containers(self, **_: object) -> list[dict[str, Any]]:
        """One stands on the oldest."""
        return [{"ImageID": "nines-harness:0"}]

    def remove_image(self, tag: str) -> None:
        """As ordered."""
        self.removed.append(tag)


def test_images_of_other_versions_go_and_nobody_else_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The newest of each kind stays, one that a container uses, and one that the user gave a name."""
    monkeypatch.setattr(build_module, "cache_dir", lambda: tmp_path)
    api = Images([
        ("nines-harness:0", "harness", 1), ("nines-harness:1", "harness", 2), ("nines-harness:2", "harness", 3),
        ("nines-clients:1", "clients", 1), ("nines-clients:2", "clients", 2), ("shop.test/chaos-nines:0.1", "whole", 1),
        ("shop.test/chaos-nines:0.2", "whole", 2),
    ])  # fmt: skip
    engine = type("Engine", (), {"client": type("Client", (), {"api": api})})()
    assert build_module.prune_all(engine) == ["nines-clients:1", "nines-harness:1"]
    assert api.removed == ["nines-clients:1", "nines-harness:1"]


def test_a_bootstrap_that_fails_says_why(tmp_path: Path) -> None:
    """In its own words."""
    with pytest.raises(subprocess.CalledProcessError) as raised:
        images_base.bootstrapped(["sh", "-c", "echo 'E: no mirror' >&2; exit 25"], tmp_path / "words", 10.0)
    assert last_words(raised.value) == "E: no mirror"


def test_our_mirrors_are_used_for_the_base_image() -> None:
    """Those of Debian itself, for the suite of the base; somebody's additions stay out."""
    said = "\n".join(
        [
            "http://mirror/debian/ trixie main",
            "http://mirror/debian/ trixie-updates main",
            "http://mirror/security/ trixie-security main",
            "https://deb.nodesource.com/node_20.x/ nodistro main",
            "http://mirror/debian/ trixie main",
        ]
    )
    assert deb_lines(said, "trixie", "bookworm") == [
        "deb http://mirror/debian/ bookworm main",
        "deb http://mirror/debian/ bookworm-updates main",
        "deb http://mirror/security/ bookworm-security main",
    ]
    assert deb_lines("http://x/ trixie-updates main", "trixie", "bookworm") == []
    assert deb_lines("", "trixie", "bookworm") == []


def test_the_bootstrap_names_all_packages_and_the_suite() -> None:
    """python3 and not python3-minimal, which lacks json."""
    words = images_base.command(Path("/x/base.tar"))
    assert words[0] == "mmdebstrap"
    assert {"python3", "nftables", "iproute2", "procps"} <= set(
        next(word for word in words if word.startswith("--include=")).removeprefix("--include=").split(",")
    )
    assert words[words.index("bookworm") + 1] == "/x/base.tar"


def test_missing_packages_are_named_where_we_may_not_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 5, with the command to type."""
    monkeypatch.setattr(debian, "may_install", lambda: False)
    with pytest.raises(EnvironmentUnusable, match="mmdebstrap") as raised:
        debian.install(["mmdebstrap"], lambda _: None)
    assert raised.value.how == "sudo apt-get install --no-install-recommends mmdebstrap"


def test_the_last_words_of_a_failed_program_are_passed_on() -> None:
    """Its end, where the reason stands."""
    error = subprocess.CalledProcessError(1, ["x"], output="", stderr="one\ntwo\n\nthree\nfour\n")
    assert last_words(error) == "two; three; four"
    assert last_words(FileNotFoundError(2, "No such file or directory")) == "No such file or directory"


def test_every_shipped_target_has_an_image() -> None:
    """Each part names one, or has a Dockerfile that can stand on our base."""
    for name in ("replicated_kv", "metronome", "etcd"):
        target = load_target(name)
        for part in target.parts.values():
            assert part.docker is not None
            assert part.docker.command
            dockerfile = Path(target.folder) / str(part.docker.build) / "Dockerfile"
            assert images._USES_BASE.search(dockerfile.read_text(encoding="utf-8"))


def test_a_part_without_a_form_for_docker_says_so() -> None:
    """Before anything is asked of an engine: none is needed for the refusal."""
    text = (
        "schema: 1\ntarget: bare\nparts: {data: {ports: {client: 1}, ready: {tcp: 'a:1'}, local: {command: [x]}}}\n"
        "operations: {write: {tcp: 'a:1', does: write}}\n"
    )
    target = parse_target(text, "target.yaml", Path())
    with pytest.raises(CapabilityMissing, match="no form for Docker"):
        images.ensure_target(None, target, "data")  # type: ignore[arg-type]


# --- the private engine's files ----------------------------------------------------------------------------------------


def test_a_private_engine_keeps_its_socket_within_what_a_name_may_be(tmp_path: Path) -> None:
    """sockaddr_un holds 108 bytes; an interface's name 15 letters."""
    long = tmp_path / ("x" * 150)
    for folder in (tmp_path, long):
        layout = Layout.of(folder)
        assert len(str(layout.socket)) <= LONGEST_SOCKET_NAME
        assert len(layout.bridge) <= 15
    assert mark(tmp_path) != mark(long)


def test_a_folder_without_an_engine_is_not_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 3, as init scripts have it."""
    assert private_engine.running(tmp_path) is None
    assert private_engine.main(["status", "--folder", str(tmp_path)]) == 3
    assert "no private Docker engine" in capsys.readouterr().err


def test_the_record_of_another_boot_is_stale(tmp_path: Path) -> None:
    """Its pid may be anybody's by now."""
    (tmp_path / "dockerd.json").write_text(
        '{"who":{"pid":1,"start":1,"boot":"another"},"docker_host":"unix:///x","bridge":"nines-1"}', encoding="utf-8"
    )
    assert read_record(tmp_path) is not None
    assert private_engine.running(tmp_path) is None


def test_a_spoilt_record_is_named(tmp_path: Path) -> None:
    """And not taken for an engine that is gone."""
    (tmp_path / "dockerd.json").write_text("{", encoding="utf-8")
    with pytest.raises(HistoryUnreadable, match=r"dockerd\.json"):
        read_record(tmp_path)


def test_only_root_may_start_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Others are told so."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert not private_engine.may()
    assert private_engine.main(["start", "--folder", str(tmp_path)]) == 5
    assert "root" in capsys.readouterr().err
