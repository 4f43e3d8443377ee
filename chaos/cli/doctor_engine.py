"""What the doctor says of the Docker engine: which one, which way to it, what works there and what does not, and what would change it.

What cannot be read from the engine's own words is tried in a container that is gone afterwards, if the base image is there already.
"""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chaos.cli.doctor import OK, OPTIONAL, Finding
from chaos.core.errors import NinesError

if TYPE_CHECKING:
    from chaos.engine.connection import Engine, Facts

QUEUES: Final = {
    "netem": "duplicate, corrupt, reorder, and 'level: packets' of latency",
    "tbf": "'level: packets' of bandwidth",
}
"""Queue of the kernel -> the faults that need it."""


def engine_findings() -> list[Finding]:
    """In the order in which a run would meet them; the first thing that rules a run out is the last."""
    from chaos.engine.connection import connect, require, require_age

    try:
        with connect(checked=False) as engine:
            facts = engine.facts
            found = [Finding("Docker engine" if facts.product == "Docker" else f"{facts.product} engine", OK, str(facts))]
            try:
                if facts.elsewhere:
                    require_age(facts)
                    found += _elsewhere(engine)
                else:
                    require(facts)
                    found += [Finding("way to the engine", OK, "here: the harness runs in the command"), _subnets(engine)]
            except NinesError as error:
                return [*found, _failed("way to the engine", error)]
            return [*found, *_labels(facts), _base_image(engine), _limits(engine), *_tried(engine)]
    except NinesError as error:
        return [_failed("Docker engine", error)]


def _failed(name: str, error: NinesError) -> Finding:
    what, _, how = str(error).partition("\n  ")
    return Finding(name, OPTIONAL, what, how)


def _elsewhere(engine: Engine) -> list[Finding]:
    """A harness of ours would stand beside it."""
    from chaos.elsewhere.beside import used
    from chaos.elsewhere.place import sockets

    places = "one of the engine's networks, the host's processes" if engine.facts.hides_networks else "the host's network and processes"
    found = [
        Finding("way to the engine", OK, f"elsewhere ({engine.facts.elsewhere}): the harness travels to it in a container"),
        Finding(
            "beside the engine", OK, f"needs {places}, and the engine's socket: {' or '.join(sockets(engine))}",
            "if it is elsewhere: NINES_ENGINE_SOCKET=its path on the engine's machine",
        ),
    ]  # fmt: skip
    if used(engine):
        found.append(Finding("runs beside the engine", OPTIONAL, "something of runs is kept there", "nines status; nines fetch"))
    return found


def _labels(facts: Facts) -> list[Finding]:
    """SELinux forbids a container what has another label; folders of ours keep theirs."""
    if not facts.selinux:
        return []
    what = "containers that get folders of this machine run without a label ('label=disable'); no folder is labelled anew"
    return [
        Finding("SELinux on the engine", OPTIONAL, f"{what}; not tried on a kernel with SELinux", "if a run is denied: ausearch -m avc")
    ]


def _limits(engine: Engine) -> Finding:
    from chaos.engine import limits

    lacking = engine.facts.unlimited
    if not lacking:
        return Finding("limits on the engine", OK, "cpus, memory and disk of 'cluster.resources'")
    return Finding("limits on the engine", OPTIONAL, f"cannot limit {' and '.join(lacking)}: {limits.why(engine.facts)}", limits.HOW)


def _tried(engine: Engine) -> list[Finding]:
    """What only a container can tell."""
    from chaos.engine.packet_rules import require_packet_rules
    from chaos.engine.queues import require_queues

    image = _base_name()
    if not _there(engine, image):
        return [Finding("packet rules on the engine", OPTIONAL, "not tried yet: the base image is not there", "run an experiment once")]
    rules = functools.partial(require_packet_rules, engine, image)
    found = [_trial("packet rules on the engine", "power_off, partition and loss can be done", rules)]
    if found[0].state == OK:
        for kind, what in QUEUES.items():
            found.append(_trial(f"queue {kind}", f"{what} can be done", functools.partial(require_queues, engine, image, [kind])))
    return found


def _trial(name: str, fine: str, attempt: Callable[[], None]) -> Finding:
    try:
        attempt()
    except NinesError as error:
        return _failed(name, error)
    return Finding(name, OK, fine)


def _subnets(engine: Engine) -> Finding:
    from chaos.engine.networks import free_subnet, pools, routes, subnets

    try:
        ranges = pools()
        free_subnet(ranges, [*routes(), *subnets(engine)], random.Random(0))  # noqa: S311 - only whether there is one
    except NinesError as error:
        return _failed("Docker subnets", error)
    return Finding("Docker subnets", OK, f"free subnets in {', '.join(map(str, ranges))}")


def _base_name() -> str:
    from chaos.engine.images.base import SETTING, default_tag

    return os.environ.get(SETTING) or default_tag()


def _there(engine: Engine, image: str) -> bool:
    from chaos.engine.images.build import image_id

    return image_id(engine, image) is not None


def _base_image(engine: Engine) -> Finding:
    name = _base_name()
    if _there(engine, name):
        return Finding("Docker base image", OK, name)
    return Finding(
        "Docker base image", OPTIONAL, f"{name} is not present yet", "the first run pulls it, or builds it with mmdebstrap (about 20 s)"
    )
