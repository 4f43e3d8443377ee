"""Packages of other people on their way into containers: what goes along, and what is refused by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.api import order_text
from chaos.core import plugins
from chaos.core.errors import EnvironmentUnusable
from chaos.engine.images import foreign
from tests.support.paths import ROOT

EXPERIMENT = """
experiment: foreign
question: Do plug-ins go along?
cluster: {target: replicated_kv, nodes: 3, runtime: docker}
traffic: {operations: {write: 20/s, door: {knock: "{address}:{client}", rate: 20/s}}, judge: write}
faults:
  - {hiccup: {every: 100ms}, target: leader, at: 1s, for: 1s}
"""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example, as a folder on the path; forgotten afterwards."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "example_plugin"))
    _forget()
    yield
    _forget()


def _forget() -> None:
    for cached in (plugins._added, plugins.failure):
        cached.cache_clear()


@pytest.mark.usefixtures("installed")
def test_a_plan_names_the_packages_that_it_uses() -> None:
    """Where it acts: a probe in the prober, a fault beside the engine."""
    plan = order_text(EXPERIMENT, Path("foreign.yaml")).plan
    assert foreign.used(plan) == foreign.used(plan, ("probes",)) == ("nines-example",)
    assert foreign.able() == ("nines-example",)
    shipped = order_text(EXPERIMENT.replace("hiccup: {every: 100ms}", "pause: {}"), Path("foreign.yaml")).plan
    assert foreign.used(shipped, ("faults",)) == ()


@pytest.mark.usefixtures("installed")
def test_a_folder_of_its_author_goes_along_with_its_entry_points() -> None:
    """Neither byte code nor what is not Python."""
    names = {entry.name for entry in foreign._loose("nines-example")}
    assert {"site/nines_example/hiccup.py", "site/nines_example/knock.py", "site/nines_example-1.0.dist-info/entry_points.txt"} <= names
    assert not any(name.endswith(".pyc") for name in names)


def package(folder: Path, name: str, requires: str = "") -> None:
    """One with a fault, as a folder."""
    top = folder / name
    top.mkdir()
    (top / "__init__.py").write_text("")
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{requires}")
    (info / "entry_points.txt").write_text(f"[nines.faults]\n{name} = {name}:Fault\n")


def test_what_it_requires_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what the image has, and without extras and other systems' needs; what is missing is named with its line."""
    monkeypatch.syspath_prepend(str(tmp_path))
    wanted = ("snag>=1", "msgspec", "nope; extra == 'x'", "winny; sys_platform == 'win32'")
    package(tmp_path, "hitch", "".join(f"Requires-Dist: {each}\n" for each in wanted))
    package(tmp_path, "snag", "Requires-Dist: hitch\n")
    assert foreign.closure("hitch") == ["hitch", "snag"]
    package(tmp_path, "bad", "Requires-Dist: not-there-at-all\n")
    with pytest.raises(EnvironmentUnusable, match="bad requires not-there-at-all"):
        foreign.closure("bad")


def test_compiled_parts_that_are_no_wheel_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package(tmp_path, "stone")
    (tmp_path / "stone" / "fast.so").write_bytes(b"\x7fELF")
    assert "stone cannot be put into containers: it has compiled parts (stone/fast.so)" in foreign.why_not("stone")


def test_a_plug_in_loads_where_nothing_is_predicted() -> None:
    """Beside an engine there is no numpy: names of models are words there, and using one says so."""
    code = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("numpy", "scipy"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Without())
from nines_example.hiccup import Hiccup
from chaos.plugin import Case
try:
    Case()
except Exception as error:
    print(type(error).__name__, Hiccup(every_s=0.5).every_s)
"""
    path = f"{ROOT / 'tests' / 'example_plugin'}:{ROOT}"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.stdout == "EnvironmentUnusable 0.5\n", done.stderr
