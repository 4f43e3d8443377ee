"""Several Docker hosts, the parts that need no engine: addresses, words for the kernel, power, silence."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from chaos.api import order_text
from chaos.core.clock import ManualClock, MonotonicClock
from chaos.core.errors import EnvironmentUnusable, FaultNotEffective, NotHealed
from chaos.core.values import Link, RoundTrip
from chaos.experiment.hosts import HostSpec
from chaos.faults.base.silence import Silence
from chaos.history.folder import RunFolder
from chaos.history.owed import POWER_ON, Owed, note, owed
from chaos.plugin import CrashedRun
from chaos.runtimes.base.machines.errands import Errands
from chaos.runtimes.docker import leftovers
from chaos.runtimes.docker.hosts import engines, power, tie
from chaos.runtimes.docker.hosts.hosts import terms_of
from chaos.runtimes.docker.layout import MAX_NODES, gateway_of, tie_address
from chaos.runtimes.docker.leftovers import power_on

SUBNET = IPv4Network("198.18.7.0/24")
EXPERIMENT = """
experiment: hosts
question: What of a host that is off?
cluster:
  target: replicated_kv
  nodes: 3
  runtime: docker
  hosts: {{a: "tcp://127.0.0.1:1", b: {{engine: "tcp://127.0.0.1:2", power_off: "true", power_on: {on}}}}}
traffic: {{operations: {{write: 20/s}}}}
"""
TOUCH = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"


def test_no_two_things_of_a_network_have_one_address() -> None:
    """Gateways of seven hosts, name server, clients, as many nodes as there may be, the tie, and nobody's address."""
    nodes = [str(SUBNET[10 + number]) for number in range(1, MAX_NODES + 1)]
    gateways = [gateway_of(SUBNET, place) for place in range(7)]
    found = [*gateways, str(SUBNET[2]), str(SUBNET[3]), *nodes, tie_address(SUBNET), str(SUBNET[-2])]
    assert gateways[0] == "198.18.7.1"
    assert len(set(found)) == len(found)


def test_each_network_of_each_run_has_a_number_of_its_own() -> None:
    """24 bits, never 0."""
    numbers = {tie.number(run, place) for run in ("one", "two") for place in (0, 1)}
    assert len(numbers) == 4
    assert all(0 < number < 1 << 24 for number in numbers)


def test_frames_go_to_all_other_hosts() -> None:
    """By the words that iproute2 takes."""
    assert " ".join(tie.lay_words(77, "10.0.0.1", 4242)).startswith(
        "ip link add vx0 netns 4242 type vxlan id 77 dstport 4790 local 10.0.0.1"
    )
    script = tie.join_words("10.0.0.1", ["10.0.0.2", "10.0.0.3"])[-1]
    assert "ip link set br0 address 02:4e:0a:00:00:01;" in script
    assert script.count("bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.0.0.") == 2


def test_a_pair_is_deaf_if_one_of_it_hears_nothing() -> None:
    """Each pair once, whoever noticed."""
    assert tie.deaf({"a": ["c"], "b": ["c"], "c": ["b"]}) == [("a", "c"), ("b", "c")]
    assert tie.deaf({"a": [], "b": [], "c": []}) == []


class Hearing:
    """A tie whose host hears all but some."""

    def __init__(self, *deaf_to: str) -> None:
        self.asked: dict[str, str] = {}
        self._deaf_to = deaf_to

    def unheard(self, gateways: Mapping[str, str]) -> list[str]:
        """Those of them."""
        self.asked = dict(gateways)
        return [host for host in gateways if host in self._deaf_to]


def test_each_pair_of_hosts_is_asked_and_named_with_what_to_open() -> None:
    """Also one of which neither is the first."""
    gateways = {"a": "198.18.7.1", "b": "198.18.7.4", "c": "198.18.7.5"}
    addresses = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}
    ties = {"a": Hearing(), "b": Hearing("c"), "c": Hearing("b")}
    with pytest.raises(EnvironmentUnusable, match=r"do not hear each other .*: 'b' and 'c'\n") as refused:
        tie.refuse_unheard(ties, gateways, addresses)  # type: ignore[arg-type]
    assert "open UDP 4790 between 10.0.0.2 and 10.0.0.3" in str(refused.value)
    assert ties["b"].asked == {"a": "198.18.7.1", "c": "198.18.7.5"}
    tie.refuse_unheard(dict.fromkeys(gateways, Hearing()), gateways, addresses)  # type: ignore[arg-type]


def test_addresses_are_those_of_the_engines_unless_named() -> None:
    """Of the first: that by which this machine reaches the second."""
    specs = {"a": HostSpec("unix:///x"), "b": HostSpec("tcp://127.0.0.2:2375"), "c": HostSpec("unix:///y", address="127.0.0.3")}
    assert engines.addresses(specs) == {"a": "127.0.0.1", "b": "127.0.0.2", "c": "127.0.0.3"}


def test_a_host_without_an_address_is_named() -> None:
    """With what would help."""
    specs = {"a": HostSpec("unix:///x"), "b": HostSpec("ssh://no-such-host.invalid")}
    with pytest.raises(EnvironmentUnusable, match="host 'b' has no address") as refused:
        engines.addresses(specs)
    assert "address: 10.0.0.2" in str(refused.value)


# --- power -------------------------------------------------------------------------------------------------------------


class Seen:
    """What a power is told to tell."""

    def __init__(self, spec: HostSpec, folder: Path) -> None:
        self.log: list[object] = []
        told = self.log.append
        specs = {"b": spec}
        self.power = power.Power(specs, lambda host: told(("expect", host)), lambda host, at_ns: told((host, at_ns)),
                                 lambda host: told(("again", host)), Errands(terms_of("r", folder, specs)).at_home)  # fmt: skip


def command(path: Path) -> tuple[str, ...]:
    """One that leaves a trace."""
    return (sys.executable, "-c", TOUCH, str(path))


def test_a_host_is_expected_to_fall_silent_before_it_does(tmp_path: Path) -> None:
    """Its agents' end must be no surprise."""
    seen = Seen(HostSpec("unix:///x", power_off=command(tmp_path / "off")), tmp_path)
    seen.power.switch_off("b")
    assert (tmp_path / "off").exists()
    assert seen.log == [("expect", "b")]


def test_a_command_that_fails_says_so(tmp_path: Path) -> None:
    """With the file that has its words."""
    seen = Seen(HostSpec("unix:///x", power_off=("/bin/sh", "-c", "echo no such domain; exit 3")), tmp_path)
    with pytest.raises(FaultNotEffective, match=r"switches host 'b' off failed .*exit status 3.*hosts.log"):
        seen.power.switch_off("b")
    assert "no such domain" in (tmp_path / "hosts.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(("silent", "runs"), [(False, False), (True, True)])
def test_one_that_never_went_is_not_switched_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool, runs: bool) -> None:
    """Its command failed, and its engine answers; after it was silent, an engine that answers is no reason to believe that it is whole."""
    monkeypatch.setattr(power, "answers", lambda _: True)
    seen = Seen(HostSpec("unix:///x", power_off=("true",), power_on=command(tmp_path / "on")), tmp_path)
    seen.power.switch_off("b")
    if silent:
        seen.power.went_dark("b", 7)
    seen.power.switch_on("b")
    assert (tmp_path / "on").exists() == runs
    assert seen.log[-1] == ("again", "b")


def test_one_that_is_on_stays_as_it_is(tmp_path: Path) -> None:
    """Nothing is run, nothing is made again."""
    seen = Seen(HostSpec("unix:///x", power_on=command(tmp_path / "on")), tmp_path)
    seen.power.switch_on("b")
    assert not seen.log
    assert not (tmp_path / "on").exists()


def test_one_whose_engine_stays_away_is_not_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the run it is tried again, and told."""
    monkeypatch.setattr(power, "BOOT_S", 0.1)
    seen = Seen(HostSpec(f"unix://{tmp_path}/no.sock", power_off=("true",), power_on=("true",)), tmp_path)
    seen.power.switch_off("b")
    with pytest.raises(NotHealed, match="the engine of host 'b'"):
        seen.power.switch_on("b")
    assert "did not answer within 0.1 s" in seen.power.all_on()[0]


def test_heal_cannot_switch_on_what_no_plan_tells_of(tmp_path: Path) -> None:
    """It says which host is off."""
    run = CrashedRun("r", tmp_path, undone=(("power_on", "b"),))
    assert "host b is off" in power_on(run)[0]
    assert power_on(CrashedRun("r", tmp_path, undone=(("start", "n1"),))) == []


@pytest.fixture
def crashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CrashedRun:
    """Of a run whose plan says how its host b is switched on; nothing answers there."""
    monkeypatch.setattr(power, "BOOT_S", 0.1)
    monkeypatch.setattr(leftovers, "answers", lambda _: False)
    monkeypatch.setattr(power, "answers", lambda _: (tmp_path / "on").exists())
    on = f'{sys.executable} -c "{TOUCH}" {tmp_path / "on"}'
    text = EXPERIMENT.format(on=json.dumps(on))
    RunFolder(tmp_path / "run").write_plan(order_text(text, Path("x.yaml")).plan, text)
    return CrashedRun("r", tmp_path / "run", undone=(("power_on", "b"),))


def test_heal_switches_on_what_its_keeper_still_owes(crashed: CrashedRun, tmp_path: Path) -> None:
    """By the words that the keeper noted."""
    assert crashed.folder is not None
    note(crashed.folder, Owed(POWER_ON, "b", command(tmp_path / "on")))
    (listed,) = leftovers.leftovers([CrashedRun("r", crashed.folder)], tmp_path, thorough=False)
    assert (listed.kind, listed.subject) == ("power_on", "b")
    assert leftovers.leftovers([crashed], tmp_path, thorough=False) == []  # its undo says it
    assert power_on(crashed) == []
    assert (tmp_path / "on").exists()
    assert owed(crashed.folder) == []


def test_heal_waits_for_what_its_keeper_has_switched_on(crashed: CrashedRun, tmp_path: Path) -> None:
    """Another command would meet what it does not expect."""
    assert crashed.folder is not None
    note(crashed.folder, Owed(POWER_ON, "b", command(tmp_path / "on")))
    note(crashed.folder, Owed(POWER_ON, "b", paid=True))
    (problem,) = power_on(crashed)
    assert "did not answer within 0.1 s" in problem
    assert not (tmp_path / "on").exists()


def test_heal_runs_no_command_for_a_host_that_is_on(crashed: CrashedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is owed to it."""
    assert crashed.folder is not None
    monkeypatch.setattr(leftovers, "answers", lambda _: True)
    note(crashed.folder, Owed(POWER_ON, "b", command(tmp_path / "on")))
    assert power_on(crashed) == []
    assert owed(crashed.folder) == []
    assert not (tmp_path / "on").exists()


def test_heal_by_the_plan_where_no_keeper_came_to_it(crashed: CrashedRun, tmp_path: Path) -> None:
    assert power_on(crashed) == []
    assert (tmp_path / "on").exists()


def test_a_harness_that_travelled_runs_no_command_of_the_plan(
    crashed: CrashedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """It is a program of another machine."""
    monkeypatch.setenv("NINES_BESIDE", "1")
    (problem,) = power_on(crashed)
    assert "run 'nines heal' there" in problem
    assert not (tmp_path / "on").exists()


# --- silence -----------------------------------------------------------------------------------------------------------


class Answering:
    """A net whose links answer until they are told not to."""

    def __init__(self, error: str | None) -> None:
        self.error: str | None = None
        self._then = error
        self.asked = 0

    def measure(self, _link: Link, _timeout_s: float) -> RoundTrip:
        """The third question finds nobody."""
        self.asked += 1
        if self.asked >= 3:
            self.error = self._then
        return RoundTrip(None, self.error) if self.error else RoundTrip(0.001)

    def layer(self, _rules: object) -> object:
        """Nobody asks for one."""
        raise AssertionError


def test_silence_begins_with_the_first_question_that_nobody_answers() -> None:
    """After the last one that was answered."""
    clock, net = MonotonicClock(), Answering("timed out")
    began_ns = clock.now_ns()
    with Silence(net, [Link("clients", "n2")], clock, 0.01) as silence:  # type: ignore[arg-type]
        since_ns = silence.since_ns(5.0)
    assert began_ns < since_ns <= clock.now_ns()
    assert net.asked >= 3


def test_a_refusal_is_no_silence() -> None:
    """Somebody is there to say no."""
    with pytest.raises(FaultNotEffective, match=r"not silent within 0\.2 s: clients -> n2"), Silence(
        Answering("refused"), [Link("clients", "n2")], MonotonicClock(), 0.01  # type: ignore[arg-type]
    ) as silence:  # fmt: skip
        silence.since_ns(0.2)


def test_of_nobody_silence_is_at_once() -> None:
    """All of them were down already."""
    with Silence(Answering(None), [], ManualClock(), 0.01) as silence:  # type: ignore[arg-type]
        assert silence.since_ns(1.0) == ManualClock().now_ns()
