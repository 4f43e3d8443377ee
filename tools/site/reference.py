"""Pages of the reference that are made from the code, so that none can be out of date: name -> Markdown."""

from __future__ import annotations

import argparse
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from chaos.cli.main import EXITS, VERBS, parser
from chaos.core import plugins
from chaos.core.escaping import markdown, markdown_code
from chaos.experiment.document import SCHEMAS
from chaos.report.ecs import json_schema as events_schema
from chaos.results import states
from chaos.results.report import Report

ROOT: Final = Path(__file__).resolve().parents[2]
ENVIRONMENT: Final = {
    "NINES_STATE": "Where runs are registered on this machine. Default: `$XDG_STATE_HOME/nines`, else `~/.local/state/nines`.",
    "NINES_HISTORY": "The SQLite file of all runs. Default: `runs/history.db`.",
    "NINES_COLUMNS": "The width of output that goes to no terminal.",
    "NINES_ENGINE": "The folder of a private Docker engine (`python -m chaos.engine.private start`). Default: `~/.cache/nines/engine`.",
    "NINES_ENGINE_SOCKET": "The path of the engine's socket on the engine's own machine, where it is none of the usual ones.",
    "NINES_SUBNETS": "Ranges for networks of runs in containers, separated by commas or blanks. Default: `198.18.0.0/15`.",
    "NINES_BASE_IMAGE": "The image that nodes' images are built from, instead of one made from Debian packages.",
    "NINES_TOXIPROXY": "The Toxiproxy server to start, instead of the one on PATH or the one that is built.",
    "NINES_KUBERNETES_IMAGE": "The image of Nines that a cluster's machines have or can pull. Default: `chaos-nines`.",
    "NINES_KUBERNETES_NAMESPACE": "The namespace in which nodes of `runtime: kubernetes` stand. Default: one of the run's own.",
    "NINES_KUBERNETES_TARGET_IMAGE": "The image of these nodes. Default: what the target names, else `nines-target-NAME`.",
    "NINES_TARGETS": "More folders with targets, separated as in PATH.",
    "NINES_SYSTEM_VERSION": "The version of the system under test, for comparing runs (`--system-version`).",
    "NO_COLOR": "Set to anything: no colours.",
}
"""What users may set. Variables that Nines sets for its own processes are not among them."""


def pages() -> dict[str, str]:
    """All of them."""
    found = {
        "cli": _cli(),
        "experiment": _schema("experiment.yaml", SCHEMAS["experiment"](), "experiments.md"),
        "target": _schema("target.yaml", SCHEMAS["target"](), "targets.md"),
        "report": _schema("report.json", msgspec.json.schema(Report), "measuring.md"),
        "events": _schema("Events (ECS)", json.loads(events_schema()), "monitoring.md"),
        "exit-status": _exits(),
        "environment": _environment(),
        "python": _python(),
    }
    return found | {f"faults/{kind}": _fault(kind) for kind in sorted(plugins.FAULTS)}


def _cli() -> str:
    """Every verb with its own help text."""
    subparsers = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    parts = ["# Command line", "", f"`nines` has {len(VERBS)} verbs. Exit statuses: [one page](exit-status.md).", ""]
    for name, verb in VERBS.items():
        help_text = re.sub(r"\x1b\[[0-9;]*m", "", subparsers.choices[name].format_help())
        parts += [f"## nines {name}", "", f"{verb.about[0].upper()}{verb.about[1:]}.", "", "```text", help_text.rstrip(), "```", ""]
    return "\n".join(parts)


def _schema(title: str, schema: dict[str, Any], more: str) -> str:
    """A JSON Schema as a table an object: key, type, meaning."""
    definitions = schema.get("$defs", {})
    root = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    parts = [f"# {title}", "", f"Made from the JSON Schema. What it means together: [{more.removesuffix('.md')}](../{more}).", ""]
    parts += _object("Top level", root)
    for name, definition in sorted(definitions.items()):
        if definition.get("properties") and definition is not root:
            parts += _object(name, definition)
    return "\n".join(parts)


def _object(name: str, schema: dict[str, Any]) -> list[str]:
    required = schema.get("required", [])
    about = schema.get("description", "")
    rows = [f"| {markdown_code(key)}{' (required)' if key in required else ''} | {_type(each)} | {_cell(each.get('description', ''))} |"
            for key, each in schema.get("properties", {}).items() if isinstance(each, dict)]  # fmt: skip
    return [f"## {markdown(name)}", "", _cell(about), "", "| key | type | meaning |", "|---|---|---|", *rows, ""]


def _cell(text: str) -> str:
    return markdown(" ".join(text.replace("``", "").split()))


def _type(schema: dict[str, Any]) -> str:
    """In a few words."""
    if "$ref" in schema:
        return markdown(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return ", ".join(markdown_code(str(each), in_table=True) for each in schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[word] if isinstance(each, dict)))
    kind = schema.get("type", "any")
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_type(schema['items'])}"
    return markdown(" or ".join(kind) if isinstance(kind, list) else str(kind))


def _exits() -> str:
    rows = [line.strip().partition("  ") for line in EXITS.splitlines()[1:]]
    table = [f"| {code} | {meaning.strip()} |" for code, _, meaning in rows]
    found = [f"| {state.word} | {state.meaning} |" for state in states.STATES.values()]
    return "\n".join(
        ["# Exit statuses and states", "", "| exit status | meaning |", "|---|---|", *table, "",
         "`nines check` alone uses the codes of monitoring plug-ins: [monitoring](../monitoring.md).", "", "## States", "",
         "| state | meaning |", "|---|---|", *found, ""]
    )  # fmt: skip


def _environment() -> str:
    rows = [f"| `{name}` | {about} |" for name, about in ENVIRONMENT.items()]
    return "\n".join(["# Environment variables", "", "| variable | meaning |", "|---|---|", *rows, "",
                      "`DOCKER_HOST` and the settings of the docker command choose the engine as they do there.", ""])  # fmt: skip


def _python() -> str:
    """By autodoc, from the docstrings."""
    import chaos

    about = "What it is for: [Python](../python.md). Other modules are internal, but for `chaos.plugin` ([extending](../extending.md))."
    parts = ["# Python API", "", about, ""]
    for name in chaos.__all__:
        target = chaos._WHERE.get(name)
        module, _, attribute = (target or f"chaos.interface:{name}").partition(":")
        directive = "autofunction" if attribute[:1].islower() else "autoclass"
        # those of a struct stand in its own docstring and in report.json's page
        parts += ["```{eval-rst}", f".. {directive}:: {module}.{attribute}", "```", ""]
    return "\n".join(parts)


def _fault(kind: str) -> str:
    """What it does, its fields, what it needs, how it is undone by hand."""
    fault = plugins.find("faults", kind)
    schema = SCHEMAS["experiment"]()["$defs"].get(f"fault-{kind}", {})
    about = textwrap.dedent(fault.__doc__ or "").strip()
    model = "yes" if kind in plugins.MODELS else "no: measured only"
    parts = [f"# {kind}", "", *_paragraphs(about), "", "| | |", "|---|---|", f"| predicted | {model} |",
             f"| rolled back by hand | {fault.by_hand} |", "", *_example(kind)]  # fmt: skip
    fields = [each for each in _fields(schema) if each.get("properties")]
    for each in fields[:1]:
        titled = _object("Fields", each)
        parts += [titled[0], "", *titled[4:]]
    if not fields:
        parts += ["It has no fields.", ""]
    parts += ["What each runtime can do, and what was measured: [faults](../../faults.md), [achieved](../../achieved.md).", ""]
    return "\n".join(parts)


def _example(kind: str) -> list[str]:
    """As a shipped experiment has it, which the tests run."""
    for path in sorted((ROOT / "experiments").rglob("*.yaml")):
        if "wrong" in path.parts:
            continue
        faults = yaml.safe_load(path.read_text(encoding="utf-8")).get("faults") or []
        found = next((each for each in faults if isinstance(each, dict) and kind in each), None)
        if found is not None:
            shown = yaml.safe_dump({"faults": [found]}, sort_keys=False, allow_unicode=True).rstrip()
            return [f"From `{path.relative_to(ROOT)}`:", "", "```yaml", shown, "```", ""]
    return []


def _fields(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for word in ("anyOf", "oneOf"):
        for each in schema.get(word, []):
            if isinstance(each, dict):
                yield from _fields(each)


def _paragraphs(text: str) -> Iterator[str]:
    """A docstring as Markdown: spans of code have one backtick there."""
    for paragraph in text.split("\n\n"):
        yield " ".join(paragraph.split()).replace("``", "`")
        yield ""
