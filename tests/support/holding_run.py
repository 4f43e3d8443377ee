"""A harness to be killed: ``holding_run.py FOLDER`` brings an echo cluster up on docker, breaks it, says so, and waits for its end."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from echo_deployment import PEERS, echo_deployment, echo_plan

from chaos.core.clock import MonotonicClock
from chaos.core.values import Cut, Link
from chaos.history.events import Row
from chaos.history.folder import HistoryWriter, RunFolder
from chaos.history.undo import UndoLog
from chaos.runtimes.docker.runtime import DockerRuntime


def main(folder: Path) -> None:
    deployment = echo_deployment(folder, echo_plan("docker", PEERS))
    run_folder = RunFolder(folder)
    run_folder.write_plan(deployment.plan, "experiment: echo\n")
    history = HistoryWriter(run_folder.history)

    def sink(row: Row) -> None:
        history.append(row)
        print(type(row).__name__, flush=True)

    undo = UndoLog(run_folder.undo)
    print("begun", flush=True)
    with (
        DockerRuntime().up(deployment, sink, MonotonicClock()) as cluster,
        undo.intent("restore", "n1 -> n2"),
        cluster.net.layer([Cut(Link("n1", "n2"))]),
        undo.intent("resume", "n3"),
    ):
        cluster.nodes["n3"].pause()
        cluster.nodes["n2"].kill(signal.SIGKILL)
        print("holding", flush=True)
        sys.stdin.read()
        cluster.nodes["n3"].resume()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
