"""The house rules that a machine can check: who imports whom."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.paths import ROOT

KEYS = ("modules", "source_modules", "forbidden_modules")


def _imports(file: Path) -> set[str]:
    """Every module that the file imports, by its full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_layers_hold() -> None:
    """Core, doing, thinking, faces: import-linter finds every contract of pyproject.toml kept."""
    program = Path(sys.executable).with_name("lint-imports")
    plain = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, env=plain)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_rules_name_packages_only() -> None:
    """A new file needs no entry anywhere; a new package must be named, since the layers are exhaustive."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = [contract for contract in contracts if contract["type"] == "layers"]
    assert layers["exhaustive"]
    named = {name.removesuffix(".*") for contract in contracts for key in KEYS for name in contract.get(key, ())}
    files = sorted(name for name in named if (ROOT / f"{name.replace('.', '/')}.py").exists())
    assert named
    assert files == []


def test_targets_know_nothing_of_us() -> None:
    """A target shares no code with the harness: a shared bug would hide itself."""
    guilty = [str(path) for path in (ROOT / "targets").rglob("*.py") if any(name.split(".")[0] == "chaos" for name in _imports(path))]
    assert not guilty


def test_measured_values_know_no_prediction() -> None:
    """What measuring fills and what predicting fills stand in files of their own, and neither side sees the other's."""
    for package, own, other in (("measure", "observed", "predicted"), ("predict", "predicted", "observed")):
        files = [*(ROOT / "chaos" / package).rglob("*.py"), ROOT / "chaos" / "results" / f"{own}.py"]
        assert [str(path) for path in files if f"chaos.results.{other}" in _imports(path)] == []
