"""What is measured: the rows of ``rows.yaml``, and how one of them is run.

A run's folder is ``<runs>/<run>``, or ``<runs>/<run>-<seed>`` where a row names seeds. Beside the run's own files it holds
``left-behind.json``: what ``nines leftovers`` said of this run when it had ended.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

ROOT: Final = Path(__file__).parents[2]
LEFT: Final = "left-behind.json"
Report = dict[str, Any]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One experiment on one runtime."""

    run: str
    file: str
    target: str
    runtime: str
    settings: str = ""
    notes: str = ""
    """Why the figures are what they are: a line is an item of the page's list."""
    seeds: tuple[int, ...] = ()
    """For leader kills; without any, the experiment's own seed."""

    @property
    def each_seed(self) -> tuple[int | None, ...]:
        return self.seeds or (None,)

    @property
    def experiment(self) -> str:
        return self.file.removesuffix(".yaml")

    def folder(self, runs: Path, seed: int | None) -> Path:
        return runs / (self.run if seed is None else f"{self.run}-{seed}")

    def done(self, runs: Path, seed: int | None) -> bool:
        return (self.folder(runs, seed) / "report.json").exists()

    def report(self, runs: Path, seed: int | None) -> Report | None:
        """What the run came to, if it is there."""
        return _json(self.folder(runs, seed) / "report.json")

    def left_behind(self, runs: Path, seed: int | None) -> int | None:
        """How many things the run left on the machine; None if nobody looked."""
        found = _json(self.folder(runs, seed) / LEFT)
        return None if found is None else len(found)


def read_rows() -> list[Row]:
    """In the order in which they are run and shown."""
    return msgspec.convert(yaml.safe_load(Path(__file__).with_name("rows.yaml").read_text(encoding="utf-8"))["rows"], list[Row])


def how_made() -> str:
    """In what circumstances the runs behind the kept page were made; in their own words, since no report knows them."""
    return str(yaml.safe_load(Path(__file__).with_name("rows.yaml").read_text(encoding="utf-8"))["made"]).strip()


def run(row: Row, seed: int | None, runs: Path) -> None:
    """Carry out one experiment, then look for what it left."""
    folder = row.folder(runs, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    command = ["run", f"experiments/{row.file}", "--runtime", row.runtime, "--folder", str(folder)]
    command += [] if seed is None else ["--seed", str(seed)]
    print("nines " + " ".join(command), flush=True)
    subprocess.run([sys.executable, "-m", "chaos", *command, "-q"], cwd=ROOT, check=False)
    look_for_leftovers(row, seed, runs)


def look_for_leftovers(row: Row, seed: int | None, runs: Path) -> None:
    """Note what ``nines leftovers`` says of this run."""
    report = row.report(runs, seed)
    if report is None:
        return
    said = subprocess.run([sys.executable, "-m", "chaos", "leftovers", "--json"], cwd=ROOT, check=False, capture_output=True, text=True)
    mine = [each for each in json.loads(said.stdout) if each["run"] == report["run"]]
    (row.folder(runs, seed) / LEFT).write_text(json.dumps(mine), encoding="utf-8")


def _json(file: Path) -> Any:  # noqa: ANN401 - what a file holds
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        return None
