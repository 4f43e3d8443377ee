"""Reading of ``cluster.attach``: which containers that already run are the nodes.

::

    attach: {label: app=web}                                      every container with this label
    attach: {compose: shop, services: [web]}                      of a compose project, by its name
    attach: {compose: compose.yaml, services: [web, db]}          or by its file

Nothing is asked of an engine here: how many there are is said by ``nodes`` (or ``parts``) and held against what runs at the start.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from chaos.core.errors import BadInput
from chaos.experiment.decode import integer, struct, texts
from chaos.experiment.reading.compose import PROJECT, compose_project
from chaos.experiment.source import Listing, Table, Value, table, text, what_is
from chaos.experiment.spec import MOST_PORT, AttachSpec
from chaos.experiment.target.spec import Ask

KEYS: Final = ("label", "compose", "services", "name", "network", "ready", "ports")
ATTACHED: Final = "attached"
"""Stands for the target where the experiment names none."""
LABEL: Final = re.compile(r"[A-Za-z0-9._/-]+(=\S*)?")
FILES: Final = (".yaml", ".yml")


def attach(value: Value, file: str) -> AttachSpec:
    """What stands there; ``file`` is the experiment's, beside which a compose file is looked for."""
    entry = table(value)
    entry.only(KEYS)
    label, compose, services = entry.get("label"), entry.get("compose"), entry.get("services")
    if (label is None) == (compose is None):
        raise BadInput("'attach' names its containers by 'label' or by 'compose'", place=entry.place, right="attach: {label: app=web}")
    if compose is None and services is not None:
        raise BadInput("'services' goes with 'compose'", place=services.place, right="attach: {compose: shop, services: [web]}")
    if compose is not None and services is None:
        raise BadInput("nothing says which services", place=compose.place, right="services: [web]")
    words = text(label, "a label") if label is not None else ""
    if words and not LABEL.fullmatch(words):
        raise BadInput(f"'{words}' is not a label", place=entry.entries["label"].place, right="app=web")
    names = texts(services, "[web]") if services is not None else ()
    if services is not None and (not names or len(set(names)) < len(names)):
        raise BadInput("each service is named once", place=services.place, right="[web, db]")
    return AttachSpec(
        label=words,
        project=_project(compose, file) if compose is not None else "",
        services=names,
        name=_text(entry, "name"),
        network=_text(entry, "network"),
        ready=struct(ready, Ask) if (ready := entry.get("ready")) else None,
        ports=_ports(ports) if (ports := entry.get("ports")) else (),
    )


def _ports(value: Value) -> tuple[int, ...]:
    right = "ports: [7001]"
    if not isinstance(value, Listing):
        raise BadInput(f"{what_is(value)} stands where a list belongs", place=value.place, right=right)
    for item in value.items:
        if not 1 <= integer(item) <= MOST_PORT:
            raise BadInput(f"{integer(item)} is not a port", place=item.place, right=right)
    return tuple(dict.fromkeys(map(integer, value.items)))


def _text(entry: Table, key: str) -> str:
    value = entry.get(key)
    return text(value) if value is not None else ""


def _project(value: Value, file: str) -> str:
    """The project's name; for a file the one that compose gives it: its own word, the environment's, or that of its folder."""
    written = text(value, "a compose project or file")
    if not written.endswith(FILES):
        if not PROJECT.fullmatch(written):
            raise BadInput(f"'{written}' is not the name of a compose project", place=value.place, right="shop, or compose.yaml")
        return written
    path = Path(file).parent / written
    try:
        return compose_project(path, os.environ)
    except BadInput as refusal:
        right = refusal.right or f"the compose file of what runs; {path} was looked at"
        raise BadInput(refusal.message, place=value.place, right=right) from None
