"""The clients whose data is checked: ``python -m chaos.traffic.data ORDER.json``, a process of its own beside the prober.

    stdout   {"ready": true}, then one row of chaos/history/events.py when all is written: DataEnded
    stdin    ``stop`` ends early: no further operation, what was written is read once more; its end means the same
             {"node": "n2", "address": "10.0.0.9"}: that node is read there from now on

It has an ordinary share of the processor: the measured traffic, in the prober, comes first.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from pathlib import Path

import msgspec

from chaos.core import plugins
from chaos.core.errors import BadInput, NinesError
from chaos.core.rng import derive
from chaos.experiment.target.operation import OperationKind
from chaos.history.events import DataEnded
from chaos.history.journal import JournalWriter
from chaos.traffic.data_order import DataOrder, NodeMoved
from chaos.traffic.http_client import raise_file_limit
from chaos.traffic.probe import Build, Probe, Setup, StartsSomething
from chaos.traffic.prober import Ear, Voice
from chaos.traffic.resolver import Resolver
from chaos.traffic.sessions import Sessions
from chaos.traffic.transport import connect

TICK_S = 0.02
"""How often the resolver is reminded of the time."""


def load(path: Path) -> DataOrder:
    """Read and check an order."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=DataOrder)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInput(f"{path}: {error}") from error


def built(order: DataOrder, name: str, kind: OperationKind, loop: asyncio.AbstractEventLoop) -> Probe:
    """The sender of one operation."""
    words = dict(order.settings) | {port: str(number) for port, number in order.ports.items()}
    words |= {"target": order.target_folder, "python": sys.executable}
    build: Build = plugins.find("probes", kind.probe)
    return build(
        Setup(loop=loop, operation=name, does=kind.does, options=kind.options, words=words, folder=order.target_folder, keeps=True)
    )


async def work(order: DataOrder, voice: Voice) -> None:
    """Everything, from the first connection to the last row."""
    loop = asyncio.get_running_loop()
    resolver, wires = connect(
        loop, order.nameserver, order.nameserver_port, time.monotonic_ns,
        policy=order.resolve, domain=order.domain, again_s=min(1.0, order.timeout_s), seed=derive(order.seed, "dns"),
    )  # fmt: skip
    probes = {name: built(order, name, kind, loop) for name, kind in order.operations.items()}
    read_node = None if order.read_node is None else built(order, "read_node", order.read_node, loop)
    everyone = [*probes.values(), *([read_node] if read_node is not None else [])]
    if not order.addresses:
        resolver.prepare({order.name})
    for probe in everyone:
        if isinstance(probe, StartsSomething):
            await probe.started()
    writer = JournalWriter(Path(order.journal))
    sessions = Sessions(order, probes, read_node, resolver, loop, writer.append)
    ticks = loop.create_task(_tick(resolver))
    voice.say({"ready": True}, must=True)
    _Ear(sessions, loop)
    try:
        await sessions.run()
    finally:
        ticks.cancel()
        for probe in everyone:
            probe.close()
        wires.close()
        writer.close()
    voice.say(DataEnded(at_ns=time.monotonic_ns(), operations=sessions.operations, settled=sessions.settled), must=True)


class _Ear(Ear):
    """Hears of nodes that have moved, too."""

    def __init__(self, sessions: Sessions, loop: asyncio.AbstractEventLoop) -> None:
        self._sessions = sessions
        super().__init__(sessions, loop)

    def _hear(self, line: bytes) -> None:
        if line.startswith(b"{"):
            moved = msgspec.json.decode(line, type=NodeMoved)
            self._sessions.moved(moved.node, moved.address)
        else:
            super()._hear(line)


async def _tick(resolver: Resolver) -> None:
    while True:
        resolver.tick(time.monotonic_ns())
        await asyncio.sleep(TICK_S)


def _first(several: BaseExceptionGroup[NinesError]) -> NinesError:
    first = several.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def main(arguments: list[str]) -> int:
    """The command; returns its exit status."""
    if len(arguments) != 1:
        print("usage: python -m chaos.traffic.data ORDER.json", file=sys.stderr)
        return BadInput.exit_code
    raise_file_limit()
    try:
        asyncio.run(work(load(Path(arguments[0])), Voice()))
    except NinesError as error:
        print(f"data: {error}", file=sys.stderr)
        return error.exit_code
    except BaseExceptionGroup as several:  # what a session raises comes out of their group
        known, _ = several.split(NinesError)
        if known is None:
            traceback.print_exc()
            return NinesError.exit_code
        first = _first(known)
        print(f"data: {first}", file=sys.stderr)
        return first.exit_code
    except Exception:
        traceback.print_exc()
        return NinesError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
