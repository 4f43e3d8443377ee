"""What runs as the first process of a kernel of its own (User Mode Linux): two namespaces, a wire between them, queues on it.

``netem_guest.py ORDERS`` reads a JSON list of {"name", "rules"}, brings the wire from each to the next with the very lines and agent parts
that containers get, and says what came of a train of datagrams: one line ``RESULT {...}`` each.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MODULES = Path("/usr/lib/uml/modules")
ADDRESSES = {"n1": "198.18.5.11", "n2": "198.18.5.12", "n3": "198.18.5.13"}
PEER = ADDRESSES["n2"]
TRAINS = 5
WIRE, ECHO_PORT, DATAGRAMS, PINGS = "v0", 7, 2000, 15
NEW_NET, INIT_MODULE_FROM_FILE, POWER_OFF = 0x40000000, 313, 0x4321FEDC
libc = ctypes.CDLL(None, use_errno=True)


class Aside:
    """What a part needs of its agent: here nobody waits."""

    def later(self, _number: object, work: Callable[[], dict[str, Any]]) -> None:
        self.said = work()


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def load(*names: str) -> None:
    for name in names:
        path = next(MODULES.rglob(f"{name}.ko"))
        if libc.syscall(INIT_MODULE_FROM_FILE, os.open(path, os.O_RDONLY), b"", 0):
            raise OSError(ctypes.get_errno(), f"loading {name}: {os.strerror(ctypes.get_errno())}")


def echo() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((PEER, ECHO_PORT))
        while True:
            data, where = server.recvfrom(64)
            server.sendto(data, where)


def far_end(orders: Any, answers: Any) -> None:
    """In the other namespace: obeys what comes by a pipe, which no queue delays."""
    from chaos.agent.agent_parts import line

    for name, *words in (("lo",), ("v1", f"{PEER}/24")):
        if words:
            run("ip", "address", "add", *words, "dev", name)
        run("ip", "link", "set", name, "up")
    threading.Thread(target=echo, daemon=True).start()
    print("ready", file=answers, flush=True)
    for order in orders:
        command, agent = json.loads(order), Aside()
        answer = {"open": line.do_open, "count": line.do_count}[command["do"]](agent, command)
        print(json.dumps((answer or agent.said)["result"]), file=answers, flush=True)


def bring_up() -> tuple[Any, Any]:
    """(what the far end obeys, what it answers)."""
    orders, order = os.pipe()
    answer, answers = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(order)
        libc.unshare(NEW_NET)
        os.write(answers, b"unshared\n")
        with os.fdopen(orders) as reads, os.fdopen(answers, "w") as writes:
            reads.readline()
            far_end(reads, writes)
        os._exit(0)
    reads, writes = os.fdopen(answer), os.fdopen(order, "w")
    reads.readline()
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", WIRE, "type", "veth", "peer", "name", "v1", "netns", str(child))
    run("ip", "address", "add", f"{ADDRESSES['n1']}/24", "dev", WIRE)
    run("ip", "link", "set", WIRE, "up")
    print(file=writes, flush=True)
    reads.readline()
    return writes, reads


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from chaos.agent.agent_parts import line
    from chaos.agent.agent_parts import shaping as part
    from chaos.core.values import Link, Shaping
    from chaos.net import tc as shaping

    load("sch_htb", "sch_netem", "sch_tbf", "cls_u32", "veth")
    writes, reads = bring_up()

    def far(**command: object) -> dict[str, Any]:
        print(json.dumps(command), file=writes, flush=True)
        found: dict[str, Any] = json.loads(reads.readline())
        return found

    def train() -> dict[str, Any]:
        """Again, if this kernel itself lost some meanwhile, as on a busy machine: so does whoever proves a fault (``packet_test``)."""
        for _ in range(TRAINS - 1):
            found = one_train()
            if not found["overrun"]:
                return found
        return one_train()

    def one_train() -> dict[str, Any]:
        there, agent = far(do="open", kind="udp"), Aside()
        line.do_send(agent, {"id": 1, "kind": "udp", "address": PEER, "port": there["port"], "amount": DATAGRAMS, "within_s": 5})
        return far(do="count", id=1, number=there["number"], amount=DATAGRAMS, quiet_s=0.5, within_s=20)

    def shortest_s() -> float | None:
        found = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(1.0)
            asking.connect((PEER, ECHO_PORT))
            for number in range(PINGS):
                sent_s = time.monotonic()
                asking.send(b"%d" % number)
                try:
                    while asking.recv(64) != b"%d" % number:
                        pass
                except TimeoutError:
                    continue
                found.append(time.monotonic() - sent_s)
        return min(found, default=None)

    now: frozenset[shaping.Leaf] = frozenset()
    for each in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        rules = [Shaping(Link("n1", rule.pop("to", "n2")), **rule) for rule in each["rules"]]
        wanted = shaping.leaves(rules, ADDRESSES).get("n1", frozenset())
        seen = part.do_put(None, {"lines": shaping.commands(WIRE, now, wanted), "devices": [WIRE]})["result"][WIRE]
        now = wanted
        said = {"name": each["name"], "difference": shaping.difference(wanted, json.loads(seen)), "sent": DATAGRAMS, **train()}
        print("RESULT", json.dumps({**said, "shortest_s": shortest_s()}), flush=True)
    part.do_put(None, {"lines": shaping.commands(WIRE, now, frozenset({shaping.Leaf(((16, PEER),), delay_s=1.0)})), "devices": [WIRE]})
    healed = {
        "name": "healed by itself",
        "problems": part.heal(None),
        "left": part.do_put(None, {"lines": [], "devices": [WIRE]})["result"][WIRE],
    }
    print("RESULT", json.dumps(healed), flush=True)


if __name__ == "__main__":
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    try:
        run("mount", "-t", "proc", "proc", "/proc")
        main()
    except BaseException:  # the end of the first process is the end of its kernel: say why before it
        traceback.print_exc(file=sys.stdout)
    sys.stdout.flush()
    libc.reboot(POWER_OFF)
