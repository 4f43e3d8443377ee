"""The house rules that a machine can check: who imports whom."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


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


def test_every_module_is_in_a_layer() -> None:
    """A new module must be named in pyproject.toml, else no rule holds for it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "chaos").iterdir() if (path.suffix == ".py" or path.is_dir()) and path.stem.isidentifier()}
    missing = sorted(name for name in modules - {"__init__", "__pycache__", "_shipped"} if name not in _layered(text))
    assert not missing, f"in no layer of [tool.importlinter]: {missing}"


def _layered(text: str) -> set[str]:
    import tomllib

    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {name.strip(" ()") for layer in layers for name in layer.replace("|", ":").split(":")}


def test_targets_know_nothing_of_us() -> None:
    """A target shares no code with the harness: a shared bug would hide itself."""
    guilty = [str(path) for path in (ROOT / "targets").rglob("*.py") if any(name.split(".")[0] == "chaos" for name in _imports(path))]
    assert not guilty
