"""etcd from its package, started by the words of its target.yaml: it elects, answers, and fails over."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.kv_nodes import claim_block, wait
from chaos.experiment.target.check import defaults
from chaos.experiment.target.load import load_target
from chaos.experiment.target.spec import Ask
from chaos.experiment.target.templates import Context, Peer, fill
from chaos.query.question import parse, why_not

pytestmark = pytest.mark.e2e

TARGETS = ROOT / "targets"
NAMES = ("n1", "n2", "n3")


class Etcd:
    """Three nodes."""

    def __init__(self, folder: Path) -> None:
        self.target = load_target(str(TARGETS / "etcd"))
        self.part = self.target.parts["data"]
        self.folder = folder
        self.block, self.claim = claim_block()
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def context(self, name: str) -> Context:
        """What the templates of a node are filled with."""
        address = {node: f"127.{self.block}.1.{node[1:]}" for node in NAMES}
        return Context(
            node=name, address=address[name], ports=self.part.ports, settings=defaults(self.target.settings), data=str(self.folder / name),
            python=sys.executable, target=self.target.folder, peers=tuple(Peer(*each) for each in address.items()),
        )  # fmt: skip

    def start(self, name: str) -> None:
        """Run the local command."""
        assert self.part.local is not None
        command = [fill(word, self.context(name)) for word in self.part.local.command]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def kill(self, name: str) -> None:
        """By SIGKILL."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def request(self, url: str, body: str | None) -> object:
        """GET, or POST of a body; None if it is not answered well."""
        data = None if body is None else body.encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data), timeout=2) as answer:
                return json.loads(answer.read())
        except (OSError, urllib.error.URLError, ValueError):
            return None

    def holds(self, ask: Ask, name: str) -> bool:
        """Whether the node's answer is yes."""
        assert ask.http is not None
        context = self.context(name)
        answer = self.request(fill(ask.http, context), None if ask.body is None else fill(ask.body, context))
        return answer is not None and (ask.json is None or why_not(parse(ask.json), answer) is None)

    def leaders(self) -> set[str]:
        """Who says that it leads."""
        return {name for name in self.running if self.holds(self.target.roles["leader"], name)}

    def call(self, name: str, what: str, **fields: str) -> object:
        """A request to the JSON gateway, values in base64."""
        body = json.dumps({key: base64.b64encode(value.encode()).decode() for key, value in fields.items()})
        return self.request(f"http://{self.context(name).address}:{self.part.ports['client']}/v3/kv/{what}", body)


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    """Three nodes that are ready."""
    if shutil.which("etcd") is None:
        if os.environ.get("NINES_CI") == "1":
            pytest.fail("etcd is missing: apt-get install etcd-server")
        pytest.skip("etcd is missing: apt-get install etcd-server")
    cluster = Etcd(tmp_path)
    try:
        for name in NAMES:
            cluster.start(name)
        wait("all are ready", lambda: all(cluster.holds(cluster.part.ready.ask, name) for name in NAMES), within_s=20, every_s=0.05)
        yield cluster
    finally:
        for name in list(cluster.running):
            cluster.kill(name)
        cluster.claim.close()


def test_etcd_unchanged_elects_answers_and_fails_over(etcd: Etcd) -> None:
    """One leader, all vote, every port answers its ping; after the leader's death another leads and what was written is there."""
    assert all(etcd.holds(etcd.target.roles["voting"], name) for name in NAMES)
    assert all(etcd.holds(ask, name) for ask in etcd.part.ping.values() for name in NAMES)
    (old,) = etcd.leaders()
    assert etcd.call("n1", "put", key="k", value="v") is not None
    etcd.kill(old)
    wait("another leads", lambda: bool(etcd.leaders()), within_s=10, every_s=0.05)
    rest = next(name for name in NAMES if name != old)
    found = etcd.call(rest, "range", key="k")
    assert isinstance(found, dict)
    assert base64.b64decode(found["kvs"][0]["value"]) == b"v"
    etcd.start(old)
    wait("it is ready again", lambda: etcd.holds(etcd.part.ready.ask, old), within_s=10, every_s=0.05)
    assert etcd.holds(etcd.target.roles["voting"], old)
