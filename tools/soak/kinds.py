"""Which faults there are, and how each is written: by the table of faults, and the examples of it in the docs and in experiments/.

A kind that is added to the table comes in by itself. Each example is planned first, in the words that it has there, and those that a
runtime cannot do, or that need another cluster than three nodes, are left out with their reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from chaos.api import order_text
from chaos.core import plugins as tables
from chaos.core.errors import NinesError

ROOT: Final = Path(__file__).resolve().parents[2]
FAULT_S: Final = 2.0
BLOCK: Final = re.compile(r"^```yaml[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLUSTER: Final = ("zones", "resources", "networks", "dns", "settings")
"""What an example may need of its cluster."""
BARE: Final = {"nodes": "leader", "links": {"link": "leader <-> any"}}
"""To whom a kind is done that has no example: by what it takes."""


@dataclass(frozen=True)
class Example:
    """One way to write a fault, and the cluster that it needs; all as in YAML."""

    kind: str
    fields: dict[str, Any] = field(hash=False)
    target: Any = field(hash=False, default=None)
    cluster: dict[str, Any] = field(hash=False, default_factory=dict)
    around: dict[str, Any] = field(hash=False, default_factory=dict)
    """Other top-level keys that it cannot do without."""

    @property
    def by_proxy(self) -> bool:
        """Whether Toxiproxy may be what does it."""
        return "links" in tables.find("faults", self.kind).takes

    def text(self, seed: int, for_s: float = FAULT_S) -> str:
        """A short experiment with this one fault."""
        fault = {"name": "harm", self.kind: self.fields, "at": "200ms", "for": f"{for_s:g}s"}
        if self.target is not None:
            fault["target"] = self.target
        whole = {
            "experiment": "soak",
            "question": "Does a run that is cut short leave anything that nobody finds?",
            "cluster": {"target": "replicated_kv", "nodes": 3, **self.cluster},
            "traffic": {"operations": {"write": "50/s"}, "judge": "write"},
            "baseline": "1s",
            "faults": [fault],
            "settle": "5s",
            "seed": seed,
            **self.around,
        }
        # JSON is YAML.
        return json.dumps(whole, indent=1)

    def __str__(self) -> str:
        return f"{self.kind}: {json.dumps(self.fields)}"


def examples(runtime: str, wanted: list[str]) -> tuple[dict[str, list[Example]], dict[str, str]]:
    """Kind -> the ways that the runtime can do it; and kind -> why it cannot at all."""
    can: dict[str, list[Example]] = {}
    cannot: dict[str, str] = {}
    shown = list(_shown())
    for kind in wanted:
        tries = [example for example in shown if example.kind == kind] + _bare(kind)
        for example in tries:
            why = _refused(example, runtime)
            if why:
                cannot.setdefault(kind, why)
            elif not any(str(example) == str(other) and example.target == other.target for other in can.get(kind, [])):
                can.setdefault(kind, []).append(example)
    return can, {kind: why for kind, why in cannot.items() if kind not in can}


def _refused(example: Example, runtime: str) -> str:
    try:
        order_text(example.text(1), ROOT / "soak.yaml", runtime=runtime)
    except NinesError as error:
        return " ".join(line.strip() for line in str(error).splitlines()[-2:])
    return ""


def _bare(kind: str) -> list[Example]:
    takes = tables.find("faults", kind).takes
    return [Example(kind, {}, BARE[to]) for to in takes if to in BARE] or [Example(kind, {})]


def _shown() -> Iterator[Example]:
    """All faults in the docs and in experiments/."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "experiments").glob("*.yaml"))]
    texts += [block for page in sorted((ROOT / "docs").glob("*.md")) for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    for text in texts:
        try:
            whole = yaml.safe_load(text)
        except yaml.YAMLError:
            continue  # the tests of the docs say so
        if isinstance(whole, dict) and isinstance(whole.get("faults"), list):
            yield from _of(whole)


def _of(whole: dict[str, Any]) -> Iterator[Example]:
    cluster = whole.get("cluster") or {}
    if cluster.get("target", "replicated_kv") != "replicated_kv":
        return
    needed = {key: cluster[key] for key in CLUSTER if key in cluster}
    for entry in whole["faults"]:
        for kind in tables.names("faults"):
            if isinstance(entry, dict) and kind in entry:
                yield Example(kind, entry[kind] or {}, entry.get("target"), needed)
