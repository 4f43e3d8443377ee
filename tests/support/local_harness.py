"""A harness to be killed: ``local_harness.py FOLDER`` brings the echo cluster up, harms it in every way, says so, and waits.

It prints ``ready`` when a link is cut, a node frozen, one dead, and traffic runs; each with its undo intent written before it.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.errors import Interrupted
from chaos.core.values import Cut, Link, TrafficOrder
from chaos.history.events import SCHEMA, RunStarted
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.history.undo import UndoLog
from chaos.runtimes.local.runtime import LocalRuntime
from tests.support.echo_deployment import PEERS, echo_deployment, echo_plan


def stop(number: int, _frame: object) -> None:
    raise Interrupted(number)


def main() -> int:
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    folder = RunFolder(Path(sys.argv[1]))
    deployment = echo_deployment(folder.path, echo_plan("local", PEERS))
    folder.write_plan(deployment.plan, "")
    writer = HistoryWriter(folder.history)
    clock = MonotonicClock()
    writer.append(RunStarted(at_ns=clock.now_ns(), schema=SCHEMA, run=deployment.run, started_at="", runtime="local", versions={}))
    undo = UndoLog(folder.undo)
    try:
        with LocalRuntime().up(deployment, writer.append, clock) as cluster:
            link = Link("n1", "n2")
            start_ns = clock.now_ns() + to_ns(0.3)
            with (
                cluster.traffic(TrafficOrder(start_ns, 600.0)),
                undo.intent("restore", str(link)),
                cluster.net.layer([Cut(link)]),
                undo.intent("resume", "n2"),
                undo.intent("start", "n3"),
            ):
                cluster.nodes["n2"].pause()
                cluster.nodes["n3"].kill(signal.SIGKILL)
                clock.wait_until_ns(start_ns + to_ns(0.2))
                print("ready", flush=True)
                threading.Event().wait()
    except Interrupted as interrupted:
        return 128 + interrupted.signal_number
    return 0


if __name__ == "__main__":
    sys.exit(main())
