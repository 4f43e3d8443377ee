"""``settle: {until: ...}``: a condition of one's own before the next fault."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaos.core.clock import MonotonicClock, to_s
from chaos.core.errors import BadInput
from chaos.core.values import NodeInfo, Status
from chaos.experiment.document import parse_experiment
from chaos.experiment.settling import SettleUntil
from chaos.history.events import FaultEffective, FaultSkipped, TrafficStarted
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.run.own_condition import OwnCondition
from tests.support.samples import EXPERIMENT, sample_target
from tests.support.virtual_run import of, run

FAULTS = "  - {name: one, kill: {}, target: followers, at: [5s, 40s], for: 2s}"


def plan(until: str, *more: str, runtime: str = "fake") -> Plan:
    """The sample, with two kills."""
    overrides = (f"settle.until={until}", *more)
    experiment = parse_experiment(EXPERIMENT.replace("FAULTS", FAULTS), "x.yaml", overrides)
    return make_plan(experiment, sample_target(), seed=None, runtime=runtime)


def test_a_fault_waits_for_a_program_that_says_yes(tmp_path: Path) -> None:
    """It says no four times before each fault; asked every second, the faults come some seconds late, and in time."""
    script = tmp_path / "ready.sh"
    script.write_text(f"echo x >> {tmp_path}/asked\n[ $(( $(wc -l < {tmp_path}/asked) % 5 )) = 0 ]\n")
    rows = run(plan(f"{{command: sh {shlex.quote(str(script))}, every: 1s}}"), tmp_path / "run")
    start_ns = of(rows, TrafficStarted)[0].start_ns
    at_s = [to_s(row.at_ns - start_ns) for row in of(rows, FaultEffective)]
    assert len(at_s) == 2
    assert 13.5 < at_s[0] < 15.0  # a baseline of 5 s, 5 s, and four seconds
    assert not of(rows, FaultSkipped)


def test_a_condition_that_does_not_come_skips_the_fault_and_says_so(tmp_path: Path) -> None:
    """With the program's answer; nothing else was wrong."""
    rows = run(plan("{command: sh -c 'exit 3'}", "settle.for=3s"), tmp_path / "run")
    assert not of(rows, FaultEffective)
    skipped = of(rows, FaultSkipped)
    assert [row.id for row in skipped] == ["one.1", "one.2"]
    said = "'settle: {until: ...}' (sh -c 'exit 3') did not hold: 'sh -c 'exit 3'' answered 3 (logs/settle.log) 3 s after"
    assert said in skipped[0].reason


def test_a_service_may_be_waited_for(tmp_path: Path) -> None:
    """The judged one by the word 'ok'."""
    rows = run(plan("{service: ok}"), tmp_path / "run")
    assert len(of(rows, FaultEffective)) == 2


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("{}", "says nothing to wait for"),
        ("{service: write, command: 'true'}", "'command' and 'service' are two conditions"),
        ("{service: write, json: a}", "'json' goes with 'http'"),
        ("{service: wirte}", "there is no operation 'wirte' (did you mean 'write'?)"),
        ("{command: ./no-such-program}", "there is no program './no-such-program'"),
        ("{http: 'http://{address}:{client}/'}", "virtual nodes answer no question"),
    ],
)
def test_what_cannot_be_asked_is_refused(until: str, says: str) -> None:
    """Before anything starts."""
    with pytest.raises(BadInput) as refused:
        plan(until)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("{http: 'http://{adress}:{client}/'}", "unknown word '{adress}' (did you mean 'address'?)"),
        ("{http: 'ftp://{address}/'}", "cannot be asked"),
        ("{http: 'http://{address}/', json: 'a ='}", "has nothing to compare with"),
    ],
)
def test_a_url_is_read_before_the_run(until: str, says: str) -> None:
    """With the words of the part that clients ask."""
    with pytest.raises(BadInput) as refused:
        plan(until, runtime="local")
    assert says in str(refused.value)


class Handler(BaseHTTPRequestHandler):
    """Says what its server says."""

    def do_GET(self) -> None:
        body = self.server.body  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Nothing."""


@pytest.fixture
def servers() -> Iterator[list[HTTPServer]]:
    """Two nodes at two addresses, at one port."""
    first = HTTPServer(("127.0.0.1", 0), Handler)
    made = [first, HTTPServer(("127.0.0.2", first.server_port), Handler)]
    threads = [threading.Thread(target=each.serve_forever, args=(0.01,), daemon=True) for each in made]
    for each, thread in zip(made, threads, strict=True):
        each.body = b'{"state": "streaming"}'  # type: ignore[attr-defined]
        thread.start()
    yield made
    for each, thread in zip(made, threads, strict=True):
        each.shutdown()
        thread.join()
        each.server_close()


def test_every_node_that_lives_must_answer_as_it_should(servers: list[HTTPServer], tmp_path: Path) -> None:
    """In the background; an answer from before the last fault was gone does not count."""
    port = servers[0].server_port
    infos = [NodeInfo(f"n{number}", "data", None, f"127.0.0.{number}", {"client": port}, {}) for number in (1, 2, 3)]
    dead = infos[2].name
    nodes = {
        info.name: SimpleNamespace(info=info, status=lambda name=info.name: Status.DOWN if name == dead else Status.UP) for info in infos
    }
    until = SettleUntil(http="http://{address}:{client}/", json="state=streaming", every_s=0.01)
    clock = MonotonicClock()
    own = OwnCondition(until, plan("{service: ok}"), SimpleNamespace(nodes=nodes), clock, None, "r", tmp_path)  # type: ignore[arg-type]

    def comes(wanted: bool) -> bool:
        end_s = time.monotonic() + 10
        while own.holds() != wanted and time.monotonic() < end_s:
            time.sleep(0.005)
        return own.holds() == wanted

    try:
        assert comes(True)
        servers[1].body = b'{"state": "catching up"}'  # type: ignore[attr-defined]
        own.begin(clock.now_ns())
        assert not own.holds()
        end_s = time.monotonic() + 10
        while "catching" not in own.lacks and time.monotonic() < end_s:
            assert not own.holds()
            time.sleep(0.005)
        assert own.lacks.endswith("did not hold: n2: state is catching up, not streaming")
        servers[1].body = b'{"state": "streaming"}'  # type: ignore[attr-defined]
        assert comes(True)
    finally:
        own.close()
