"""The node agent, in a container as in a run, driven over its link."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from chaos.core.clock import MonotonicClock, to_ns
from chaos.core.errors import EnvironmentUnusable
from chaos.engine.connection import Engine
from chaos.engine.images.ensure import AGENT
from chaos.experiment.target.spec import Ask
from chaos.runtimes.base.agents.link import AgentGone, AgentLink, AgentRefused, Event

WITHIN_S = 15.0
TRIES = 10
LABELS = {"nines.test": "agent"}
SERVER = ("python3", "-m", "http.server", "8000")


class Pair:
    """An agent and, once started, a system that joined it."""

    def __init__(self, engine: Engine, image: str, environment: dict[str, str]) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.gone: queue.Queue[str] = queue.Queue()
        self.api = engine.client.api
        self.image = image
        containers = engine.client.containers
        self.agent = containers.create(
            image, list(AGENT), stdin_open=True, cap_add=["NET_ADMIN"], labels=LABELS, environment=environment, network_mode="none"
        )
        self.link = AgentLink(
            self.api, self.agent.id, node="n1", clock=MonotonicClock(),
            on_event=lambda _, event: self.events.put(event), on_gone=lambda _, why: self.gone.put(why),
        )  # fmt: skip
        self.agent.start()
        self.link.hello(WITHIN_S)
        self.await_event("hello")

    def system(self, engine: Engine, command: tuple[str, ...] = SERVER) -> str:
        """Its id; its process runs."""
        namespace = f"container:{self.agent.id}"
        system = engine.client.containers.create(self.image, list(command), network_mode=namespace, pid_mode=namespace, labels=LABELS)
        system.start()
        self.await_event("up")
        return str(system.id)

    def await_event(self, name: str) -> Event:
        """The next event, which must be that one."""
        event = self.events.get(timeout=WITHIN_S)
        assert event.event == name, event
        return event

    def await_answer(self, question: Ask) -> None:
        """Until the system answers."""
        clock = MonotonicClock()
        limit_ns = clock.now_ns() + to_ns(WITHIN_S)
        while not self.link.ask(question, 0.2).ok:
            assert clock.now_ns() < limit_ns, "the system does not answer"
            clock.wait_until_ns(clock.now_ns() + to_ns(0.01))


@pytest.fixture
def make(engine: Engine, harness_image: str) -> Iterator[Callable[..., Pair]]:
    """Makes pairs, and removes them with all that joined them."""
    made: list[Pair] = []

    def pair(**environment: str) -> Pair:
        made.append(Pair(engine, harness_image, environment))
        return made[-1]

    yield pair
    for each in made:
        each.link.close()
    for container in engine.client.containers.list(all=True, filters={"label": "nines.test=agent"}):
        container.remove(force=True)


@contextmanager
def refused(says: str) -> Iterator[None]:
    """The agent says no, with its reason."""
    with pytest.raises(AgentRefused, match=says):
        yield


HERE = Ask(http="http://127.0.0.1:8000/")


def test_clock_is_shared(make: Callable[..., Pair]) -> None:
    """Both read one clock and say so; exchanges do not contradict that."""
    link = make().link
    assert link.clock_bound_s == 0.0

    def bound_ns() -> float:
        assert link.exchange_clocks(20) == 0.0
        offset = link._exchanges.offset(MonotonicClock().now_ns())
        assert offset.low_ns <= 0 <= offset.high_ns
        return offset.bound_ns

    assert any(bound_ns() < 10e6 for _ in range(TRIES)), "exchanges are never quick"


def test_start_and_death_are_stamped_where_they_happen(make: Callable[..., Pair], engine: Engine) -> None:
    """A system's main process is told when it begins and when it dies, by a command or by itself."""
    pair = make()
    clock = MonotonicClock()
    asked_ns = clock.now_ns()
    container = pair.system(engine)
    status = pair.link.call("status")
    assert status.state == "up"
    assert status.main in status.pids
    sent_ns = clock.now_ns()
    answer = pair.link.call("kill", signal=int(signal.SIGKILL))
    assert asked_ns < sent_ns <= answer.at_ns <= clock.now_ns()
    assert pair.await_event("down").at_ns == answer.at_ns
    assert pair.link.call("status").state == "down"
    engine.client.api.wait(container)
    engine.client.api.start(container)
    pair.await_event("up")
    engine.client.api.kill(container)
    pair.await_event("down")


def test_every_process_of_the_system_is_reached_and_none_of_ours(make: Callable[..., Pair], engine: Engine) -> None:
    """Children and orphans of the system are frozen and killed with it; the open ``nft`` and the agent's child live on."""
    pair = make()
    link = pair.link
    link.call("nft", commands=[])
    spawned = link.call("spawn", name="helper", argv=["sleep", "1000"], uid=60001, log="/tmp/helper.log")
    pair.system(engine, ("sh", "-c", "(sleep 1000 &); sleep 1000 & exec python3 -m http.server 8000"))
    pair.await_answer(HERE)
    pids = link.call("status").pids
    assert len(pids) == 3
    assert spawned.pid not in pids
    link.call("pause")
    assert link.call("status").state == "paused"
    assert link.ask(HERE, 0.2).error == "timed out"
    link.call("resume")
    assert link.ask(HERE, WITHIN_S).ok
    link.call("kill", signal=int(signal.SIGKILL))
    pair.await_event("down")
    clock = MonotonicClock()
    limit_ns = clock.now_ns() + to_ns(WITHIN_S)
    while link.call("status").pids:  # on a busy machine they die one after the other
        assert clock.now_ns() < limit_ns
    assert "table inet nines" in link.call("nft", commands=[]).table
    assert pair.events.empty(), "the child lives"


def test_rules_are_one_transaction_and_read_back(make: Callable[..., Pair]) -> None:
    """A batch with one bad command changes nothing."""
    link = make().link
    chain = "add chain inet nines out { type filter hook output priority -150; }"
    link.call("nft", commands=[chain, "add rule inet nines out ip daddr 192.0.2.1 drop"])
    with pytest.raises(AgentRefused, match=r"Error: .*No such file") as raised:
        link.call("nft", commands=["add rule inet nines out ip daddr 192.0.2.2 drop", "add rule inet nines nowhere drop"])
    assert not {"^", "\n"} & set(str(raised.value)), "the message alone, without the carets below the command"
    table = link.call("nft", commands=[]).table
    assert "192.0.2.1" in table
    assert "192.0.2.2" not in table


def test_a_question_is_asked_from_inside(make: Callable[..., Pair], engine: Engine) -> None:
    """An answer with its body, a refusal, a silence, a mere connect."""
    pair = make()
    pair.system(engine)
    pair.await_answer(HERE)
    answer = pair.link.ask(HERE, WITHIN_S)
    assert answer.ok
    assert b"Directory listing" in answer.body
    assert answer.rtt_s is not None
    assert 0 < answer.rtt_s < WITHIN_S
    assert pair.link.ask(Ask(http="http://127.0.0.1:8000/nowhere"), WITHIN_S).error == "status 404"
    assert pair.link.ask(Ask(tcp="127.0.0.1:8000"), WITHIN_S).ok
    assert pair.link.ask(Ask(tcp="127.0.0.1:8001"), WITHIN_S).error == "refused"
    chain = "add chain inet nines out { type filter hook output priority -150; }"
    pair.link.call("nft", commands=[chain, "add rule inet nines out tcp dport 8000 drop"])
    assert pair.link.ask(HERE, 0.2).error == "timed out"


def test_what_cannot_be_done_is_refused_with_its_reason(make: Callable[..., Pair]) -> None:
    """An unknown command, a signal without a system, a program that is not there."""
    link = make().link
    with refused("no command 'dance'"):
        link.call("dance")
    with refused("no process"):
        link.call("kill", signal=9)
    with refused("FileNotFoundError"):
        link.call("spawn", name="x", argv=["/no/such/program"], log="/tmp/x.log")
    assert link.call("ping").at_ns > 0, "it goes on"


def test_death_of_a_child_is_told(make: Callable[..., Pair]) -> None:
    """What the agent started for us and dies."""
    pair = make()
    pair.link.call("spawn", name="proxy", argv=["sh", "-c", "exit 7"], log="/tmp/x.log")
    event = pair.await_event("child_died")
    assert (event.child, os.waitstatus_to_exitcode(event.status)) == ("proxy", 7)


def test_a_dead_agent_is_gone(make: Callable[..., Pair]) -> None:
    """Calls fail at once, the one that waits and every later one, and it is told."""
    pair = make()
    pair.agent.kill()
    assert pair.gone.get(timeout=WITHIN_S)
    with pytest.raises(AgentGone):
        pair.link.call("ping")
    assert pair.link.gone


def test_an_agent_that_cannot_start_says_why(make: Callable[..., Pair], engine: Engine, harness_image: str) -> None:
    """Its own words are in the error."""
    broken = engine.client.containers.create(
        harness_image, ["python3", "-c", "raise SystemExit('no room here')"], stdin_open=True, labels=LABELS, network_mode="none"
    )
    link = AgentLink(engine.client.api, str(broken.id), node="n1", clock=MonotonicClock())
    broken.start()
    with pytest.raises(EnvironmentUnusable, match="no room here"):
        link.hello(WITHIN_S)
    link.close()
    broken.remove(force=True)


def test_it_heals_its_namespace_when_the_harness_is_gone(make: Callable[..., Pair], engine: Engine) -> None:
    """No rules, nothing frozen, after the set time without a word; and not before."""
    pair = make(NINES_ORPHAN_AFTER_S="3")
    pair.system(engine)
    pair.await_answer(HERE)
    pair.link.call("nft", commands=["add chain inet nines out { type filter hook output priority -150; policy drop; }"])
    pair.link.call("pause")
    pair.link.close()
    namespace = f"container:{pair.agent.id}"
    script = (
        "import urllib.request, time\n"
        "began = time.monotonic()\n"
        "while True:\n"
        "    try:\n"
        "        urllib.request.urlopen('http://127.0.0.1:8000/', timeout=0.2).read()\n"
        "        break\n"
        "    except OSError:\n"
        "        assert time.monotonic() - began < 30\n"
    )
    said = engine.client.containers.run(pair.image, ["python3", "-c", script], network_mode=namespace, labels=LABELS, remove=True)
    assert said == b""
    listed = pair.agent.exec_run(["nft", "list", "table", "inet", "nines"])
    assert b"chain" not in listed.output


def test_a_harness_that_lives_is_never_taken_for_gone(make: Callable[..., Pair], engine: Engine) -> None:
    """The link's own pings are signs of life: rules stay though nobody commands anything."""
    pair = make(NINES_ORPHAN_AFTER_S="2")
    pair.link.call("nft", commands=["add chain inet nines out { type filter hook output priority -150; }"])
    with pytest.raises(queue.Empty):
        pair.events.get(timeout=5.0)  # what must not come cannot be awaited otherwise
    assert "chain out" in pair.link.call("nft", commands=[]).table
