"""The engines of one run's hosts, by name: connected to, fit for it, with the same images; and the address of each for the others.

The harness stands on the first, which is this machine's own. The others are reached by their engines' streams (``unix``, ``ssh``,
``tcp``), and the nodes on them over the network that ties the hosts together.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Final
from urllib.parse import urlsplit

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.address import found
from chaos.engine.connection import Engine, connect, require, require_age
from chaos.engine.errors import translated
from chaos.engine.images.build import image_id
from chaos.engine.ways.dial import Dialler, Door
from chaos.experiment.hosts import HostSpec

COPY_TIMEOUT_S: Final = 120.0
"""Of one silence of an engine, not of a whole copy."""
_ANY_PORT: Final = 9


def connected(specs: Mapping[str, HostSpec], stack: ExitStack) -> dict[str, Engine]:
    """By host, in their order; hung up with the stack. ``EnvironmentUnusable`` for one that will not do, with the host's name."""
    engines: dict[str, Engine] = {}
    _open_ways(specs, stack)
    for name, spec in specs.items():
        try:
            engine = stack.enter_context(connect(spec.engine, checked=False))
            _require(name, engine, first=not engines)
        except EnvironmentUnusable as error:
            raise EnvironmentUnusable(f"host '{name}': {error.what}", how=error.how) from error
        twin = next((other for other, each in engines.items() if _who(each) == _who(engine)), None)
        if twin is not None:
            raise EnvironmentUnusable(
                f"hosts '{twin}' and '{name}' have one engine ({spec.engine})", how="an engine of its own for each host"
            )
        engines[name] = engine
    return engines


def _open_ways(specs: Mapping[str, HostSpec], stack: ExitStack) -> None:
    """To engines that are reached by TLS, whose streams the SDK cannot wait for."""
    doors = {}
    for name, spec in specs.items():
        there = found(spec.engine)
        if there.shown is not None and name != next(iter(specs)):
            parts = urlsplit(there.url)
            doors[name] = Door(spec.engine, parts.hostname or "", parts.port or 2376, shown=there.shown)
    if doors:
        stack.enter_context(stack.enter_context(closing(Dialler(doors))).known())


def _require(name: str, engine: Engine, *, first: bool) -> None:
    require_age(engine.facts)
    if engine.facts.rootless:
        how = "an engine of root's: hosts are tied together in the host's own network"
        raise EnvironmentUnusable(f"its engine ({engine.facts.host}) is rootless", how=how)
    if first and engine.facts.elsewhere:
        raise EnvironmentUnusable(
            f"it is the first, and not this machine: {engine.facts.elsewhere}",
            how=f"run the command on '{name}', or name the host that it is run on first: clients and harness stand there",
        )
    if first:
        require(engine.facts)


def _who(engine: Engine) -> tuple[str, str]:
    """Machines that were copied from one another share the id."""
    return engine.facts.id, engine.facts.name


def addresses(specs: Mapping[str, HostSpec]) -> dict[str, str]:
    """Host -> IPv4 address that the others send to. Of the first, unless it is named: that by which this machine reaches the second."""
    told = {name: address_of(spec) for name, spec in specs.items()}
    first, *others = specs
    reached = {name: _resolved(name, told[name]) for name in others}
    if specs[first].address:
        return {first: _resolved(first, told[first]), **reached}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect((next(iter(reached.values())), _ANY_PORT))  # nothing is sent: the kernel chooses the way
        except OSError as error:
            raise EnvironmentUnusable(f"this machine has no way to host '{others[0]}': {error.strerror}", how="see 'ip route'") from error
        return {first: str(way.getsockname()[0]), **reached}


def address_of(spec: HostSpec) -> str:
    """As it is written, or as its engine's address or context has it; empty of an engine whose address is a file."""
    return spec.address or urlsplit(found(spec.engine, way=False).url).hostname or ""


def _resolved(name: str, host: str) -> str:
    how = f"cluster: {{hosts: {{{name}: {{engine: ..., address: 10.0.0.2}}}}}}"
    try:
        return str(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        raise EnvironmentUnusable(f"host '{name}' has no address: '{host}' does not resolve to IPv4 ({error.strerror})", how=how) from error


# --- images ------------------------------------------------------------------------------------------------------------


def copy_images(source: Engine, wanted: Iterable[tuple[Engine, Collection[str]]]) -> None:
    """Each engine has these images as the first one has them; what it has is not sent again. All engines at the same time."""
    jobs = [(engine, sorted(names)) for engine, names in wanted]
    with ThreadPoolExecutor(max_workers=max(1, len(jobs)), thread_name_prefix="images") as workers:
        for each in [workers.submit(_copy, source, engine, names) for engine, names in jobs]:
            each.result()


def _copy(source: Engine, to: Engine, names: Collection[str]) -> None:
    for name in names:
        if image_id(to, name) == image_id(source, name):
            continue
        with (
            closing(source.patient(COPY_TIMEOUT_S)) as reads,
            closing(to.patient(COPY_TIMEOUT_S)) as writes,
            translated(f"copying the image {name} to {to.facts.host}"),
        ):
            # Its name goes along; its id is the digest of what it is, on every engine.
            writes.api.load_image(reads.api.get_image(name), quiet=True)
        if image_id(to, name) != image_id(source, name):
            raise EnvironmentUnusable(
                f"the engine at {to.facts.host} has another image '{name}' than was sent", how="docker image rm it there"
            )
