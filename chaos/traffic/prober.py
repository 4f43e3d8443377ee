"""The prober: ``python -m chaos.traffic.prober SPEC.json``, a process of its own that sends traffic by an open loop.

    stdout   {"ready": true}, then rows of chaos/history/events.py: TrafficSecond each second and operation, TrafficEnded at the end
    stdin    ``stop`` ends early: no slot that is due later is sent; end of file means that the harness is gone: likewise
    signals  SIGINT and SIGTERM mean ``stop``

Every slot ends as one record of ``observations.bin``. Exit status 0, or that of the error in one line on stderr.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Protocol

import msgspec

from chaos.core import plugins as tables
from chaos.core.errors import BadInput, NinesError
from chaos.core.priority import raise_priority, real_time
from chaos.core.rng import derive
from chaos.history.events import DataEnded, TrafficEnded, TrafficSecond
from chaos.traffic.engine import Engine
from chaos.traffic.http_client import raise_file_limit
from chaos.traffic.loop import fine_timers, new_loop
from chaos.traffic.probe import Build, Probe, Setup, StartsSomething
from chaos.traffic.spec import ProberSpec
from chaos.traffic.transport import connect

_ENCODE = msgspec.json.Encoder().encode
_STDIN = 0
_STDOUT = 1


def load(path: Path) -> ProberSpec:
    """Read and check a spec."""
    try:
        spec = msgspec.json.decode(path.read_bytes(), type=ProberSpec)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInput(f"{path}: {error}") from error
    if not spec.operations:
        raise BadInput(f"{path}: no operations")
    return spec


def build_probes(spec: ProberSpec, loop: asyncio.AbstractEventLoop) -> list[Probe]:
    """One sender for each operation, in the order of the spec."""
    words = dict(spec.settings) | {name: str(port) for name, port in spec.ports.items()}
    words |= {"target": spec.target_folder, "python": sys.executable}
    found: list[Probe] = []
    for order in spec.operations:
        build: Build = tables.find("probes", order.probe)
        setup = Setup(
            loop=loop, operation=order.name, does=order.does, options=order.options, words=words, folder=spec.target_folder,
            client=spec.client, ways=spec.ways,
        )  # fmt: skip
        found.append(build(setup))
    return found


class Voice:
    """Standard output, which must never hold the traffic up: rows are dropped while nobody reads; the last one is not."""

    def __init__(self) -> None:
        self.gone = False

    def say(self, row: TrafficSecond | TrafficEnded | DataEnded | dict[str, bool], must: bool = False) -> None:
        """One line."""
        if self.gone:
            return
        if not must and not select.select([], [_STDOUT], [], 0)[1]:
            return
        try:
            os.write(_STDOUT, _ENCODE(row) + b"\n")
        except BrokenPipeError:
            self.gone = True


class Stops(Protocol):
    """What can be told to end early."""

    def stop(self) -> None:
        """Send nothing more."""
        ...


class Ear:
    """Standard input: ``stop``, or its end."""

    def __init__(self, engine: Stops, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._heard = b""
        try:
            os.set_blocking(_STDIN, False)
            loop.add_reader(_STDIN, self._readable)
        except PermissionError:
            self._readable()  # a plain file cannot be waited for: it is what it holds now

    def _readable(self) -> None:
        try:
            data = os.read(_STDIN, 4096)
        except BlockingIOError:
            return
        self._heard += data
        lines = self._heard.split(b"\n")
        self._heard = lines.pop()
        if not data:
            self._loop.remove_reader(_STDIN)
        for line in lines:
            self._hear(line.strip())
        if not data:
            self._engine.stop()

    def _hear(self, line: bytes) -> None:
        """One line of it."""
        if line == b"stop":
            self._engine.stop()


def run(spec: ProberSpec) -> None:
    """Send all of it."""
    loop = new_loop()
    asyncio.set_event_loop(loop)
    raise_file_limit()
    fine_timers()
    priority = raise_priority()
    client = spec.client
    resolver, wires = connect(
        loop, spec.nameserver, spec.nameserver_port, time.monotonic_ns,
        policy=client.resolve, domain=spec.domain, again_s=min(client.timeout_s, client.deadline_s),
        seed=derive(spec.seed, "prober", "dns"),
    )  # fmt: skip
    probes = build_probes(spec, loop)
    resolver.prepare({probe.host or spec.name for probe in probes if probe.host or not spec.addresses})
    for probe in probes:
        if isinstance(probe, StartsSomething):
            loop.run_until_complete(probe.started())
    priority += real_time()
    voice = Voice()
    engine = Engine(spec, probes, resolver, loop, emit=voice.say)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, engine.stop)
    voice.say({"ready": True}, must=True)
    gc.collect()
    gc.freeze()  # what is here now stays: the collector looks only at slots and connections, so that its pauses stay short

    def bug(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # An exception in a callback would leave us alive and sending nothing, which reads like an outage: end at once instead.
        if not engine.finished.done():
            engine.finished.set_exception(context.get("exception") or RuntimeError(context["message"]))

    loop.set_exception_handler(bug)
    engine.start()
    Ear(engine, loop)
    try:
        loop.run_until_complete(engine.finished)
    finally:
        for probe in probes:
            probe.close()
        wires.close()
        engine.recorder.close()
    end_ns = max(grid.end_ns for grid in engine.grids)
    slots = {grid.order.name: grid.limit for grid in engine.grids}
    load_1m, cpus = os.getloadavg()[0], os.cpu_count() or 1
    at_ns = time.monotonic_ns()
    voice.say(TrafficEnded(at_ns=at_ns, end_ns=end_ns, slots=slots, load_1m=load_1m, cpus=cpus, priority=priority), must=True)
    loop.close()


def main(arguments: list[str]) -> int:
    """The command; returns its exit status."""
    if len(arguments) != 1:
        print("usage: python -m chaos.traffic.prober SPEC.json", file=sys.stderr)
        return BadInput.exit_code
    try:
        run(load(Path(arguments[0])))
    except NinesError as error:
        print(f"prober: {error}", file=sys.stderr)
        return error.exit_code
    except Exception:
        traceback.print_exc()
        return NinesError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
