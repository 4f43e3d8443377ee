"""Three (or more) replicated_kv nodes as plain processes, for the benchmarks and the tests that need nothing of the harness."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

TARGET = Path(__file__).resolve().parents[1] / "targets" / "replicated_kv"
CLIENT, PEER = 7000, 7001
Status = dict[str, str | int | bool | None]


def wait(what: str, condition: Callable[[], bool], within_s: float = 60.0, every_s: float = 0.002) -> None:
    """Until it holds; ``TimeoutError`` names what did not happen."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {within_s} s: {what}")
        time.sleep(every_s)


def claim_block() -> tuple[int, socket.socket]:
    """An address block 127.x that is nobody else's as long as the socket is open; below those that the harness picks from."""
    for block in range(20, 60):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0nines-bench-block-{block}")
        except OSError:
            claim.close()
            continue
        return block, claim
    raise OSError("no free address block")


class Nodes:
    """``size`` nodes at 127.block.1.i; ``options`` are further command line options of serve.py."""

    def __init__(self, folder: Path, size: int = 3, options: tuple[str, ...] = ()) -> None:
        self.block, self._claim = claim_block()
        self.folder = folder
        self.options = options
        self.names = [f"n{number}" for number in range(1, size + 1)]
        self.running: dict[str, subprocess.Popen[str]] = {}

    def address(self, name: str) -> str:
        """127.block.1.i."""
        return f"127.{self.block}.1.{name[1:]}"

    def start(self, name: str) -> tuple[int, int]:
        """Start a node; returns when its process was started and when it listened (CLOCK_MONOTONIC ns)."""
        peers = ",".join(f"{other}=http://{self.address(other)}:{PEER}" for other in self.names)
        command = [sys.executable, "-E", "-s", "-S", str(TARGET / "serve.py"), "--node", name, "--address", self.address(name)]
        command += ["--client", str(CLIENT), "--peer", str(PEER), "--data", str(self.folder / name), "--peers", peers, *self.options]
        begun = time.monotonic_ns()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.running[name] = process
        line = cast(IO[str], process.stdout).readline()
        if not line:
            raise OSError(f"{name} did not start")
        return begun, int(json.loads(line)["monotonic_ns"])

    def signal(self, name: str, number: int) -> int:
        """Send a signal; for SIGKILL and SIGTERM wait for the end. Returns when it was sent."""
        at = time.monotonic_ns()
        os.kill(self.running[name].pid, number)
        if number in {signal.SIGKILL, signal.SIGTERM}:
            process = self.running.pop(name)
            process.wait()
            cast(IO[str], process.stdout).close()
        return at

    def ask(self, name: str, method: str, path: str, body: str | None = None, timeout_s: float = 2.0) -> tuple[int, Status]:
        """One request on a connection of its own: status and JSON; status 0 if there was no answer."""
        connection = http.client.HTTPConnection(self.address(name), CLIENT, timeout=timeout_s)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, {}
        finally:
            connection.close()

    def insist(self, name: str, method: str, path: str, body: str | None = None) -> tuple[int, Status]:
        """As ``ask``, and again while the answer is 503, for a minute at most: for the moment nobody leads, and nothing was done."""
        end = time.monotonic() + 60.0
        while (came := self.ask(name, method, path, body, timeout_s=10.0))[0] == 503 and time.monotonic() < end:
            time.sleep(0.01)
        return came

    def status(self, name: str) -> Status:
        """``GET /status``; empty if it does not answer."""
        return self.ask(name, "GET", "/status")[1]

    def leader(self) -> str | None:
        """The node that says it leads, in the highest term."""
        leading = [status for name in list(self.running) if (status := self.status(name)).get("state") == "leader"]
        return cast(str, max(leading, key=lambda status: cast(int, status["term"]))["node"]) if leading else None

    def settled(self) -> bool:
        """All that run vote, under one leader."""
        answers = [self.status(name) for name in self.running]
        return all(answer.get("voting") for answer in answers) and len({answer["leader"] for answer in answers}) == 1

    def end(self) -> None:
        """Kill what still runs."""
        for name in list(self.running):
            self.signal(name, signal.SIGKILL)
        self._claim.close()


@contextmanager
def nodes(folder: Path, size: int = 3, options: tuple[str, ...] = ()) -> Iterator[Nodes]:
    """Started and settled; all gone at the end."""
    cluster = Nodes(folder, size, options)
    try:
        for name in cluster.names:
            cluster.start(name)
        wait("all nodes vote", cluster.settled, every_s=0.02)
        yield cluster
    finally:
        cluster.end()
