"""When a host fell silent, and when it answered again, by a probe that Nines knows nothing of; beside what Nines says of it.

The probe opens connections to each node of the host, two hundred times a second, from the network of the clients and of each other node.
The last one that was answered and the first one that was not say when a way was cut, to 5 ms on a quiet machine; the last way to be cut
says when all of the harm was done. Clocks of hosts are apart by a number of seconds that the rack knows.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from chaos.core.values import CLIENTS
from chaos.engine.connection import connect
from chaos.engine.leftovers import NODE, ROLE
from chaos.history.events import FaultEffective, FaultHealed, Row
from chaos.runtimes.docker.containers import AGENT
from tests.support.hosts import AHEAD_S, Rack

ANSWERS: Final = "answers"
SILENT_S: Final = 0.5
"""A gap between answers that is no matter of a busy machine."""
LOOK_S: Final = 0.1
ENDS_WITHIN_S: Final = 60.0
ASK: Final = """
import errno, json, pathlib, select, socket, sys, time
enough, places = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
rows, asked, poll, next_ns = {name: [] for name in places}, {}, select.poll(), 0
while not enough.exists():
    now_ns = time.monotonic_ns()
    for name, place in places.items() if now_ns >= next_ns else ():
        question = socket.socket()
        question.setblocking(False)
        rows[name].append(row := [time.monotonic_ns(), "silent"])
        if question.connect_ex(tuple(place)) in (0, errno.EINPROGRESS):
            asked[question.fileno()] = (question, row)
            poll.register(question, select.POLLOUT)
    next_ns = now_ns + 5_000_000 if now_ns >= next_ns else next_ns
    for number, _ in poll.poll(2):
        question, row = asked[number]
        error = question.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        row[1] = "refuses" if error == errno.ECONNREFUSED else "silent" if error else "answers"
        asked[number] = (question, [0, ""])
        poll.unregister(question)
    for number, (question, row) in list(asked.items()):
        if now_ns - row[0] > 100_000_000:
            if row[0]:
                poll.unregister(question)
            del asked[number]
            question.close()
print(json.dumps(rows))
"""

Seen = Mapping[str, Sequence[tuple[int, str]]]
"""From whom to whom -> when each question was sent, and what became of it."""


class Edge(msgspec.Struct, frozen=True):
    """The instant of a fault, said by Nines and seen by the probe, in ms; positive: Nines says it later."""

    fault: str
    edge: str
    late_ms: float
    """0: between the two questions of the probe."""
    apart_ms: float
    """Of those two."""


def edges(rows: Iterable[Row], seen: Seen, kind: str) -> list[Edge]:
    """Each begin of a fault; of a partition each end, too: a machine that boots has no such instant."""
    found = []
    gaps = [gap for asked in seen.values() for gap in _gaps(asked)]
    for row in rows:
        if isinstance(row, FaultEffective):
            # Of several ways the last one to fall silent counts.
            pairs = [(last_ns, first_ns) for last_ns, first_ns, _, back_ns in gaps if last_ns - 10**9 < row.at_ns < back_ns]
            edge = "begin"
        elif isinstance(row, FaultHealed) and kind == "partition":
            pairs = [(silent_ns, back_ns) for last_ns, _, silent_ns, back_ns in gaps if last_ns < row.at_ns < back_ns + 10**9]
            edge = "end"
        else:
            continue
        if pairs:
            found.append(_edge(row, edge, max(pairs)))
    return found


def _edge(row: FaultEffective | FaultHealed, edge: str, between: tuple[int, int]) -> Edge:
    before_ns, after_ns = between
    late_ns = min(0, row.at_ns - before_ns) + max(0, row.at_ns - after_ns)
    return Edge(row.id, edge, late_ns / 1e6, (after_ns - before_ns) / 1e6)


def _gaps(asked: Sequence[tuple[int, str]]) -> list[tuple[int, int, int, int]]:
    """The last answer, the first silence, the last silence, and the first answer after it."""
    answered = [place for place, (_, how) in enumerate(asked) if how == ANSWERS]
    return [
        (asked[one][0], asked[one + 1][0], asked[other - 1][0], asked[other][0])
        for one, other in itertools.pairwise(answered)
        if asked[other][0] - asked[one][0] > SILENT_S * 1e9 and other - one > 1
    ]


class Probe:
    """Asks the nodes of a host from when they are there until the block ends; a run that makes none has nothing to be asked."""

    def __init__(self, rack: Rack, host: str, port: int, folder: Path) -> None:
        self._rack, self._host, self._port = rack, host, port
        self._enough = folder / "enough"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe")
        self.seen: dict[str, list[tuple[int, str]]] = {}

    def __enter__(self) -> Probe:
        self._enough.unlink(missing_ok=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._enough.touch()
        self._thread.join()

    def _run(self) -> None:
        there: dict[str, dict[str, tuple[int, str]]] = {}
        while not self._over.is_set():
            there = {host: agents(self._rack, host) for host in self._rack.names}
            if CLIENTS in there[self._rack.names[0]] and all(there.values()):
                break
            self._over.wait(LOOK_S)
        else:
            return
        nodes = {node: (address, self._port) for node, (_, address) in there.pop(self._host).items() if node != CLIENTS}
        # Their networks go with the run, and they do not: nothing of them is left on the hosts when they have been waited for.
        started = {
            (host, source): self._asking(host, pid, nodes) for host, found in there.items() for source, (pid, _) in found.items()
        }  # fmt: skip
        self._over.wait()
        for (host, source), process in started.items():
            said, _ = process.communicate(timeout=ENDS_WITHIN_S)
            ahead_ns = AHEAD_S * self._rack.names.index(host) * 10**9
            for node, asked in json.loads(said or "{}").items():
                self.seen[f"{source} -> {node}"] = [(int(at_ns) - ahead_ns, str(how)) for at_ns, how in asked]

    def _asking(self, host: str, pid: int, nodes: Mapping[str, tuple[str, int]]) -> subprocess.Popen[str]:
        words = ("nsenter", "-t", str(pid), "-n", "python3", "-c", ASK, str(self._enough), json.dumps(nodes))
        return subprocess.Popen(self._rack.inside(host, *words, folder=Path("/")), stdout=subprocess.PIPE, text=True)


def agents(rack: Rack, host: str) -> dict[str, tuple[int, str]]:
    """Who of a run is on a host: the process of its agent there, and its address in the network of the run."""
    found = {}
    with connect(rack.socket(host), checked=False) as engine:
        api = engine.client.api
        for each in api.containers(filters={"label": f"{ROLE}={AGENT}"}):
            told = api.inspect_container(each["Id"])
            addresses = [str(one["IPAddress"]) for one in told["NetworkSettings"]["Networks"].values() if one["IPAddress"]]
            if addresses and told["State"]["Pid"]:
                found[str(each["Labels"][NODE])] = (int(told["State"]["Pid"]), addresses[0])
    return found
