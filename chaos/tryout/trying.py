"""``nines try``: read the project, have it run, write the first experiment, carry it out, say what to fix.

files -> project -> (attach | bring up) -> containers -> first experiment -> a run as any other -> verdict, MTTR, what to fix
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from chaos.api import Ordered, order_text
from chaos.core.clock import Clock
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.plugins import suggest
from chaos.engine.compose.command import compose_command
from chaos.engine.compose.start import SERVICE, outside, own_mounts
from chaos.engine.connection import Engine
from chaos.experiment.compose.project import Project, Service
from chaos.tryout.first import Facts, first_experiment, named
from chaos.tryout.fixes import Seen, fixes, seen_of
from chaos.tryout.probe import EVERY_NODE, Asked, asked
from chaos.tryout.standing import Files, containers_of, read, standing

Carry = Callable[[Ordered], int]
"""Runs it and shows what came of it; the exit status."""
ONE_LEFT = 3
"""The exit status where nothing could be tried: undecided."""


class Wanted(msgspec.Struct, frozen=True):
    """What the command line says."""

    files: Files
    services: tuple[str, ...] = ()
    probe: str | None = None
    send: str = ""
    expect: str = ""
    network: str = ""
    availability: float = 0.99
    times: int = 2
    seed: int | None = None
    command: str = "nines try"


class Found(msgspec.Struct, frozen=True):
    """The first experiment, and what was seen of the containers before it."""

    facts: Facts
    seen: Seen
    name: str
    text: str


def known(wanted: Wanted, environ: Mapping[str, str], folder: str = "") -> tuple[Project, Asked, tuple[str, ...], tuple[str, ...]]:
    """The project, the question, the services, and how Compose is called; ``BadInput`` for what is missing, by its name."""
    question = asked(wanted.probe, wanted.send, wanted.expect)
    command = compose_command()
    project = read(wanted.files, command, environ, folder)
    return project, question, chosen_services(project, wanted.services, question), command


def chosen_services(project: Project, given: Sequence[str], question: Asked) -> tuple[str, ...]:
    """Those that are named (patterns as well); else the one that clients ask by its name, or the only one there is."""
    if not given:
        if question.host in project.services:
            return (question.host,)
        if len(project.services) == 1:
            return tuple(project.services)
        raise BadInput("nothing says which service is to be harmed", right=f"--service {' or '.join(project.services)}")
    found: list[str] = []
    for word in given:
        fitting = [name for name in project.services if fnmatchcase(name, word)]
        if not fitting:
            project.service(word)  # raises, with what is near
            raise BadInput(f"no service is like '{word}'", right=suggest(word, list(project.services)))
        found += [name for name in fitting if name not in found]
    if question.host in found and len(found) > 1:
        right = f"--probe {question.scheme}://{{address}}:{question.port}{question.path}: clients then know the addresses of all"
        raise BadInput(
            f"the name '{question.host}' is that of one of {len(found)} services: clients would never reach the others", right=right
        )
    return tuple(found)


def from_file(wanted: Wanted, name: str, environ: Mapping[str, str]) -> Found:
    """The experiment as far as the files alone tell: how many replicas they ask for."""
    project, question, services, _ = known(wanted, environ)
    chosen = [project.service(service) for service in services]
    facts = Facts(
        project=project.name, services=services, nodes=sum(each.replicas for each in chosen), asked=question, network=wanted.network,
        behind=question.host in project.services and question.host not in services,
        restarts=all(each.restart for each in chosen), availability=wanted.availability, times=wanted.times,
    )  # fmt: skip
    seen = Seen(services, facts.nodes, tuple(each.restart for each in chosen), all("healthcheck" in each.keys for each in chosen))
    return Found(facts, seen, name, first_experiment(facts, name, wanted.command))


def tried(engine: Engine, wanted: Wanted, clock: Clock, note: Callable[[str], None], carry: Callable[[Found, Ordered], int],
          alone: Callable[[Found], None]) -> int:  # fmt: skip
    """The exit status. ``carry`` runs the experiment and shows its page; ``alone`` says what one replica means."""
    project, question, services, command = known(wanted, os.environ, _folder(engine, wanted.files))
    with standing(engine, project, wanted.files, services, command, clock, note):
        found = _found(engine, wanted, project, question, services)
        if found.facts.nodes < 2:
            alone(found)
            return ONE_LEFT
        ordered = order_text(found.text, Path(f"{found.name}.yaml"), seed=wanted.seed)
        return carry(found, ordered)


def _folder(engine: Engine, files: Files) -> str:
    """What the project's folder is called where the engine is, if we are in a container of it: the project may be named after it."""
    mounts = own_mounts(engine.client.api)
    first = files.paths[0] if files.given else Path()
    folder = (first if first.is_dir() else first.parent).resolve()
    return Path(outside(str(folder), mounts)).name if mounts else ""


def _found(engine: Engine, wanted: Wanted, project: Project, question: Asked, services: tuple[str, ...]) -> Found:
    """From the containers that run."""
    api = engine.client.api
    listed = containers_of(api, project.name)
    running = [each for each in listed if each["State"] == "running"]
    inspected = [api.inspect_container(each["Id"]) for each in running if each["Labels"][SERVICE] in services]
    if not inspected:
        raise EnvironmentUnusable(f"no container of {', '.join(services)} runs", how=f"docker compose -p {project.name} logs")
    count: dict[str, int] = {}
    for each in running:
        count[each["Labels"][SERVICE]] = count.get(each["Labels"][SERVICE], 0) + 1
    single = [name for name, number in count.items() if number == 1 and name not in services]
    fixed = [reason for service in services if service in project.services for reason in _unscalable(project.services[service])]
    seen = seen_of(services, inspected, single, fixed, members(project, services, question, wanted.files))
    facts = Facts(
        project=project.name, services=services, nodes=len(inspected), asked=question, network=wanted.network,
        behind=question.host in project.services and question.host not in services,
        restarts=all(seen.policies), availability=wanted.availability, times=wanted.times,
    )  # fmt: skip
    name = named(project.name, services)
    return Found(facts, seen, name, first_experiment(facts, name, wanted.command))


def members(project: Project, services: Sequence[str], question: Asked, files: Files) -> str:
    """The command that tries all of them: services of one image whose names differ by a number alone (kv1, kv2, kv3)."""
    if len(services) != 1 or services[0] not in project.services:
        return ""
    own = project.services[services[0]]
    stem = own.name.rstrip("0123456789")
    alike = [
        name
        for name, other in project.services.items()
        if name.rstrip("0123456789") == stem != name and other.keys.get("image") == own.keys.get("image")
    ]
    if len(alike) < 2 or stem == own.name:
        return ""
    words = " ".join(files.given) or "compose.yaml"
    return f"nines try {words} --service '{stem}*' --probe '{question.scheme}://{EVERY_NODE}:{question.port}{question.path}'"


def _unscalable(service: Service) -> list[str]:
    """What keeps Compose from starting a second container of it."""
    found = []
    if service.keys.get("container_name"):
        found.append(f"leave out container_name of {service.name}, which only one container can have")
    published = [str(port.get("published") or "") if isinstance(port, dict) else str(port) for port in service.keys.get("ports") or ()]
    if any(_is_fixed(port) for port in published):
        found.append(f"{service.name} publishes a fixed port, which only one container can have: publish it on a load balancer in front")
    return found


def _is_fixed(port: str) -> bool:
    return port.partition("/")[0].rpartition(":")[0].rpartition(":")[2].isdecimal() or port.isdecimal()


def advice(found: Found, report: Any) -> list[str]:  # noqa: ANN401 - a report, or None
    """What to fix."""
    if found.facts.attach:
        from chaos.tryout import pods

        return pods.advice(report, found.seen)
    return fixes(report, found.seen)
