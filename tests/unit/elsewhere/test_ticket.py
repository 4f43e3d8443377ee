"""What is sent to a harness beside an engine arrives as it was."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.api import Ordered, order_text
from chaos.elsewhere.beside import Beside
from chaos.elsewhere.place import VOLUME
from chaos.history.observations import HEADER_BYTES, RECORD, Outcome, read, sent
from chaos.plan.traits import made
from tests.unit.engine.test_connection import FACTS

EXPERIMENT = """
experiment: sent
question: Does each fault arrive with the numbers that it was given?
cluster: {target: replicated_kv, nodes: 3, runtime: docker}
traffic: {operations: {write: 20/s}}
faults:
  - {files: {left: 3}, target: leader, at: 1s, for: 1s}
  - {connections: {count: 20}, target: leader, at: 9s, for: 1s}
  - {clock: {mode: skew, rate: 150%}, target: leader, at: 17s, for: 1s}
"""


def test_faults_arrive_as_they_were_planned() -> None:
    """Whole numbers as whole numbers: a count of files is no distance."""
    ordered = order_text(EXPERIMENT, Path("sent.yaml"))
    there = msgspec.json.decode(msgspec.json.encode(ordered), type=Ordered)
    assert [made(spec) for spec in there.experiment.faults] == [made(spec) for spec in ordered.experiment.faults]


@pytest.mark.parametrize("rootless", [True, False])
def test_the_machine_s_processes_are_seen_beside_a_rootless_engine(monkeypatch: pytest.MonkeyPatch, rootless: bool) -> None:
    """Whoever does not own them may hand on a view of them, and not make one."""
    monkeypatch.setattr("chaos.elsewhere.beside.where", lambda _: type("Where", (), {"top": "/v", "state": "/v/state"})())
    monkeypatch.setattr("chaos.elsewhere.beside.sockets", lambda _: [])
    engine = type("Engine", (), {"facts": msgspec.structs.replace(FACTS, rootless=rootless)})()
    mounts = Beside(engine, "image")._config("/s", "run", "r")["HostConfig"]["Mounts"]
    assert [each["Source"] for each in mounts] == ["/s", VOLUME, "/proc"][: 2 + rootless]


def test_slots_that_were_sent_are_read_without_numpy(tmp_path: Path) -> None:
    """As with it. A record that is torn off is left out."""
    file = tmp_path / "observations.bin"
    assert list(sent(file)) == []
    rows = [
        (10, 11, 12, 0, 0, Outcome.OK, 0, 1, 0, 200),
        (20, 0, 25, 0, 0, Outcome.UNSENT, 0, 0, 0, 0),
        (30, 31, 39, 0, 0, Outcome.FAIL, 1, 1, 0, 503),
    ]
    file.write_bytes(HEADER_BYTES + b"".join(RECORD.pack(*row) for row in rows) + b"torn")
    assert list(sent(file)) == [(12, Outcome.OK), (39, Outcome.FAIL)]
    whole = read(file)
    assert [(int(row["done"]), Outcome(row["outcome"])) for row in whole[whole["sent"] > 0]] == list(sent(file))
