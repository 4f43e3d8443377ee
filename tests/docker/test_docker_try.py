"""``nines try`` on a real engine: a project from its file to a verdict, and everything as before."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.api import Ordered, order_text, perform
from chaos.core.clock import MonotonicClock
from chaos.engine.compose.start import SERVICE, Starter
from chaos.engine.connection import Engine
from chaos.experiment.compose.project import read_project
from chaos.history.folder import RunFolder
from chaos.report.build import exit_status
from chaos.results.report import Report
from chaos.tryout.standing import Files, containers_of
from chaos.tryout.trying import Found, Wanted, tried

SERVE = """import socketserver
class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        self.request.settimeout(1)
        if self.rfile.readline():
            self.wfile.write(b"HTTP/1.0 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
class Server(socketserver.ThreadingTCPServer):
    request_queue_size, allow_reuse_address, daemon_threads = 128, True, True
Server(("", 8080), Answer).serve_forever()
"""
WEB = 'image: "${IMAGE:?}", command: python3 /app/serve.py, volumes: ["./:/app:ro"], working_dir: /app, stop_grace_period: 0s'
SHOP = f"""name: ninestry
services:
  web: {{{WEB}, deploy: {{replicas: "${{N:-2}}"}}, depends_on: {{db: {{condition: service_healthy}}}}, networks: [inner]}}
  db: {{image: "${{IMAGE:?}}", command: sleep 1000, init: true, read_only: true, user: nobody, volumes: ["data:/data"],
        networks: [inner], healthcheck: {{test: "true", interval: 1s}}}}
networks: {{inner: {{internal: true}}}}
volumes: {{data: {{}}}}
"""
MEMBERS = f"""name: ninesmembers
services:
  kv1: {{{WEB}}}
  kv2: {{{WEB}}}
"""
_CHANGES = ("Pid", "StartedAt", "FinishedAt", "SandboxID", "SandboxKey", "EndpointID", "MacAddress", "Health")
"""What a container's own restart changes; the hardware address, since Docker 28."""


@pytest.fixture
def folder(tmp_path: Path, base_image: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Of a project; nothing of Compose is installed."""
    monkeypatch.setenv("IMAGE", base_image)
    monkeypatch.setattr("chaos.tryout.trying.compose_command", lambda: ())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "serve.py").write_text(SERVE, encoding="utf-8")
    (tmp_path / "compose.yaml").write_text(request.param, encoding="utf-8")
    return tmp_path


def shortened(found: Found, ordered: Ordered, faults: str) -> Ordered:
    """The same experiment with less to wait for."""
    text = found.text[: found.text.index("faults:")] + f"faults: {faults}\nsettle: 10s\nlimits: {{nodes_down: 1}}\n"
    return order_text(text.replace("baseline: 5s", "baseline: 1s"), Path(ordered.experiment.file))


def carried(reports: list[Report], faults: str) -> Callable[[Found, Ordered], int]:
    """Runs it, and keeps what came of it."""

    def carry(found: Found, ordered: Ordered) -> int:
        reports.append(perform(shortened(found, ordered, faults), RunFolder(Path("run"))))
        return exit_status(reports[0])

    return carry


def never(found: Found) -> None:
    """For a project of several replicas."""
    raise AssertionError(found)


def state_of(engine: Engine, project: str) -> str:
    """All that the engine says of the containers and the networks, but for what a restart changes."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(item) for key, item in value.items() if key not in _CHANGES}
        return [bare(item) for item in value] if isinstance(value, list) else value

    api = engine.client.api
    listed = sorted(containers_of(api, project), key=lambda each: str(each["Names"]))
    found = [api.inspect_container(each["Id"]) for each in listed]
    found += [api.inspect_network(network) for network in sorted(found[0]["NetworkSettings"]["Networks"])]
    return json.dumps(bare(found), sort_keys=True, indent=1)


@pytest.mark.parametrize("folder", [SHOP], indirect=True)
def test_a_project_is_brought_up_tried_and_taken_down(state: Path, engine: Engine, harness_image: str, folder: Path) -> None:
    """On an internal network, beside a read-only container of another user: each fault takes effect; nothing of it is left."""
    reports: list[Report] = []
    faults = """
  - {name: kill, kill: {recovery: restart}, target: any, at: 1s, for: 1s}
  - {name: pause, pause: {}, target: any, at: 6s, for: 1s}
  - {name: isolate, partition: {include: [peers, clients]}, target: any, at: 10s, for: 1s}"""
    wanted = Wanted(Files(("compose.yaml",)), probe="http://web:8080/")
    said: list[str] = []
    assert tried(engine, wanted, MonotonicClock(), said.append, carried(reports, faults), never) in (0, 1, 3)  # busy machines are late
    (report,) = reports
    assert [(fault.name, fault.status) for fault in report.faults] == [("kill", "healed"), ("pause", "healed"), ("isolate", "healed")], (
        report.reasons
    )
    assert {node.container for node in report.nodes} == {"ninestry-web-1", "ninestry-web-2"}
    assert "web waits for db (healthy)" in said
    assert containers_of(engine.client.api, "ninestry") == []
    assert not engine.client.api.networks(names=["ninestry_inner"])
    assert not [each for each in engine.client.api.volumes()["Volumes"] or () if each["Name"].startswith("ninestry")]


@pytest.mark.parametrize("folder", [MEMBERS], indirect=True)
def test_members_that_run_are_attached_to_and_left_as_they_were(state: Path, engine: Engine, harness_image: str, folder: Path) -> None:
    """A service for each member: one part, by the containers' names, with a list of addresses; the project runs on afterwards."""
    starter = Starter(engine, read_project([folder], os.environ), MonotonicClock())
    starter.up()
    try:
        before = state_of(engine, "ninesmembers")
        reports: list[Report] = []
        wanted = Wanted(Files(("compose.yaml",)), services=("kv*",), probe="http://{address}:8080/")
        faults = "[{name: kill, kill: {recovery: restart}, target: n2, at: 1s, for: 1s}]"
        assert tried(engine, wanted, MonotonicClock(), lambda _: None, carried(reports, faults), never) in (0, 1, 3)
        (report,) = reports
        assert [(node.name, node.part, node.container) for node in report.nodes] == [
            ("n1", "kv", "ninesmembers-kv1-1"), ("n2", "kv", "ninesmembers-kv2-1"),
        ]  # fmt: skip
        assert report.faults[0].target == ["n2"]
        assert report.observed is not None
        assert min(report.observed.addresses.values()) > 0.2, "clients know both addresses"
        assert state_of(engine, "ninesmembers") == before
        alone: list[Found] = []
        one = msgspec.structs.replace(wanted, services=("kv1",), probe="http://kv1:8080/")
        assert tried(engine, one, MonotonicClock(), lambda _: None, lambda *_: 0, alone.append) == 3
        assert alone[0].seen.containers == 1
        assert {each["Labels"][SERVICE] for each in containers_of(engine.client.api, "ninesmembers")} == {"kv1", "kv2"}
    finally:
        starter.down()
