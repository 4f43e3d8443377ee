"""Containers that are not ours, for tests: made, asked and looked at past everything of Nines."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from chaos.core.clock import MonotonicClock
from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import Engine
from chaos.engine.images.ensure import GUEST
from chaos.engine.networks import make_network
from chaos.net.nft import PROXY_UID
from chaos.runtimes.base.agents.link import AgentLink

WITHIN_S = 90.0
PORT = 8000
LOOK = """
nft list tables; tc qdisc show; cat /proc/net/tcp /proc/net/tcp6
cd /opt/nines/agent && python3 -c 'from agent_parts import shaping; print("whole", shaping._offload("eth0"))'
"""


def web(_word: str) -> list[str]:
    """A plain server of files."""
    return ["python3", "-m", "http.server", str(PORT)]


class Theirs:
    """Three containers, each of which answers over HTTP, with one label and one name, on a network that nobody of us made."""

    def __init__(
        self, engine: Engine, image: str, policy: str, word: str, command: Callable[[str], Sequence[str]], services: bool = False,
        replicas_of: str = "", hardened: bool = False,
    ) -> None:  # fmt: skip
        self._hardened = hardened
        self.api = engine.client.api
        self._services = services
        self._replicas_of = replicas_of
        self.word = word
        self._command = list(command(word))
        self.labels = {"nines.test": word, "app": word}
        make_network(engine, word, {"nines.test": word}, random.SystemRandom())
        self.ids = [self._start(f"{self.word}-{number}", image, policy) for number in (1, 2, 3)]
        self.before = [self.state(number) for number in (1, 2, 3)]

    @property
    def gateway(self) -> str:
        """This machine, as they see it."""
        return str(self.inspected(1)["NetworkSettings"]["Networks"][self.word]["Gateway"])

    def _start(self, name: str, image: str, policy: str) -> str:
        more: dict[str, Any] = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]} if self._hardened else {}
        host = self.api.create_host_config(network_mode=self.word, restart_policy={"Name": policy, "MaximumRetryCount": 0}, **more)
        aliases = [self._replicas_of or "web"]
        place = self.api.create_networking_config({self.word: self.api.create_endpoint_config(aliases=aliases)})
        labels = self.labels | (_service(self.word, name) if self._services else {})
        if self._replicas_of:
            labels |= _service("shop", self._replicas_of) | {"com.docker.compose.container-number": name.rpartition("-")[2]}
        made = self.api.create_container(image, self._command, name=name, labels=labels, host_config=host, networking_config=place,
                                             user="nobody" if self._hardened else None)  # fmt: skip
        self.api.start(made["Id"])
        return str(made["Id"])

    def stranger(self, image: str, address: str) -> None:
        """A server of another label, at an address that is free by now."""
        host = self.api.create_host_config(network_mode=self.word)
        place = self.api.create_networking_config({self.word: self.api.create_endpoint_config(ipv4_address=address)})
        labels = {"nines.test": self.word}
        made = self.api.create_container(
            image, self._command, name=f"{self.word}-stranger", labels=labels, host_config=host, networking_config=place
        )
        self.api.start(made["Id"])

    def inspected(self, number: int) -> dict[str, Any]:
        """The container of node ``n<number>``."""
        found: dict[str, Any] = self.api.inspect_container(self.ids[number - 1])
        return found

    def state(self, number: int) -> tuple[bool, bool, str]:
        """What must be as before: runs, is not paused, has this address."""
        found = self.inspected(number)
        return found["State"]["Running"], found["State"]["Paused"], found["NetworkSettings"]["Networks"][self.word]["IPAddress"]

    def answers(self, number: int, within_s: float = 0.5) -> bool:
        """Asked from this machine, past everything of ours."""
        try:
            with urllib.request.urlopen(f"http://{self.state(number)[2] or '127.0.0.1'}:{PORT}/", timeout=within_s) as reply:
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def await_answer(self, number: int) -> None:
        """Until it answers."""
        until_s = time.monotonic() + WITHIN_S
        while not self.answers(number):
            assert time.monotonic() < until_s, f"n{number} does not answer"
            time.sleep(0.05)

    def deaths(self) -> Callable[[], set[str]]:
        """Who has died since, by name, as the engine tells it."""
        since = int(time.time())

        def dead() -> set[str]:
            told = self.api.events(
                since=since, until=int(time.time()) + 1, decode=True, filters={"event": "die", "label": f"app={self.word}"}
            )
            return {each["Actor"]["Attributes"]["name"] for each in told}

        return dead

    def reaches(self, number: int, other: int, port: int = PORT) -> bool:
        """A connection from one of them to another, over their own network."""
        return self.reaches_address(number, self.before[other - 1][2], port)

    def reaches_address(self, number: int, address: str, port: int = PORT) -> bool:
        """The same to any address."""
        where = (address, port)
        execution = self.api.exec_create(self.ids[number - 1], ["python3", "-c", f"import socket; socket.create_connection({where}, 1)"])[
            "Id"
        ]
        self.api.exec_start(execution)
        return bool(self.api.exec_inspect(execution)["ExitCode"] == 0)

    def assert_as_before(self, engine: Engine, image: str) -> None:
        """All run at their old places and answer, and in none of their networks is a table, a queue or a process of ours."""
        for number in (1, 2, 3):
            self.await_answer(number)
            assert self.state(number) == self.before[number - 1]
        for number in (1, 2, 3):
            said = engine.client.containers.run(
                image, ["sh", "-c", LOOK], network_mode=f"container:{self.ids[number - 1]}", cap_add=["NET_ADMIN"], remove=True,
                labels=self.labels,
            )  # fmt: skip
            assert b"nines" not in said
            assert b"qdisc htb" not in said
            assert b"whole (1, 1)" in said, "large packets are handed on whole, as they were"
            assert f" {PROXY_UID} ".encode() not in said
        ours = [each for each in leftovers_docker.things(self.api) if self.word in each.name or self.word in each.run]
        assert ours == []


def _service(project: str, name: str) -> dict[str, str]:
    """The labels that compose gives to the only container of a service."""
    word = "com.docker.compose"
    return {f"{word}.project": project, f"{word}.service": name, f"{word}.container-number": "1"}


@contextmanager
def theirs(
    engine: Engine, image: str, policy: str = "no", command: Callable[[str], Sequence[str]] = web, *, services: bool = False,
    replicas_of: str = "", hardened: bool = False,
) -> Iterator[Theirs]:  # fmt: skip
    """Up and answering; taken away afterwards, whatever a test did to them and however far they came.

    ``services``: each is a compose service of its own. ``replicas_of``: they are the three of this service, of the project ``shop``.
    ``hardened``: another user than root, nothing to write on, no capability.
    """
    word, api = f"attach-{os.getpid()}-{random.randrange(1 << 30):x}", engine.client.api
    try:
        made = Theirs(engine, image, policy, word, command, services, replicas_of, hardened)
        for number in (1, 2, 3):
            made.await_answer(number)
        yield made
    finally:
        for label in (f"{leftovers_docker.RUN}={word}", f"nines.test={word}"):  # ours first, if a test failed while we were there
            for each in api.containers(all=True, filters={"label": label}):
                api.remove_container(each["Id"], force=True, v=True)
        for each in api.networks(filters={"label": f"nines.test={word}"}):
            api.remove_network(each["Id"])


def words(there: Theirs, *fault: str) -> list[str]:
    """The command line for one fault on them."""
    ask = f"http://{{address}}:{PORT}/"
    return ["inject", *fault, "--attach", f"label=app={there.word}", "--ask", ask, "--folder", there.word]


@contextmanager
def injecting(there: Theirs, *fault: str) -> Iterator[subprocess.Popen[str]]:
    """``nines inject`` in a process of its own, its fault in force; it is dead afterwards."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "chaos", *words(there, *fault)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("in force"):
                break
        else:
            pytest.fail(f"it ended before it took effect:\n{said}")
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def guest_of(there: Theirs, number: int, image: str, orphan_after_s: str) -> Iterator[AgentLink]:
    """A guest of one of them, in the hands of the test; it believes itself alone when it has heard nothing for so long."""
    container = there.ids[number - 1]
    host = there.api.create_host_config(cap_add=["NET_ADMIN"], network_mode=f"container:{container}", pid_mode="host")
    environment = {"NINES_GUEST_OF": container, "NINES_ORPHAN_AFTER_S": orphan_after_s}
    made = there.api.create_container(
        image, list(GUEST), stdin_open=True, environment=environment, labels={"nines.test": there.word}, host_config=host
    )["Id"]
    link = AgentLink(there.api, made, node=f"n{number}", clock=MonotonicClock())
    try:
        there.api.start(made)
        link.hello(WITHIN_S)
        yield link
    finally:
        link.close()
        there.api.remove_container(made, force=True, v=True)


def leave_alone(there: Theirs, link: AgentLink) -> None:
    """Until it has taken back everything, since it did not hear of us."""
    link.close()
    until_s = time.monotonic() + WITHIN_S
    while b'"orphaned"' not in there.api.logs(link.container):
        assert time.monotonic() < until_s
        time.sleep(0.05)
