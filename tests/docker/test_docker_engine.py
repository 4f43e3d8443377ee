"""A real engine: what it says of itself, networks of runs, and failures in its own words."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.engine import packet_rules as engine_packets
from chaos.engine.address import host
from chaos.engine.connection import Engine, answers, connect
from chaos.engine.errors import translated
from chaos.engine.networks import POOL, make_network, routes, subnets
from chaos.engine.packet_rules import require_packet_rules

LABELS = {"nines.test": "engine"}


def test_the_engine_is_found_by_its_variable(engine: Engine, docker_host: str) -> None:
    """``DOCKER_HOST`` names it; it says what it is, and which version of its API was agreed on."""
    assert host() == docker_host
    assert answers()
    raw = engine.client.info()
    assert (engine.facts.name, engine.facts.storage) == (raw["Name"], raw["Driver"])
    assert engine.facts.local
    assert engine.facts.api <= engine.client.version()["ApiVersion"]
    assert docker_host in str(engine.facts)


def test_asking_whether_one_answers_imports_no_sdk(docker_host: str) -> None:
    """``auto`` asks at every start of the command: the SDK alone would cost more than the answer."""
    code = (
        "import sys; from chaos.engine.connection import answers; assert answers(); "
        "assert 'docker' not in sys.modules, 'the SDK was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_runs_that_start_at_once_get_networks_of_their_own(engine: Engine) -> None:
    """Eight at a time with the same draw of lots: all on different subnets of the range, off this machine's routes."""
    before = [each for each in routes() if each.prefixlen >= 8]

    def make(number: int) -> tuple[object, IPv4Network]:
        with connect(engine.facts.host) as other:
            return make_network(other, f"nines-test-engine-{number}", LABELS, random.Random(7))

    made = []
    try:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(make, range(8)))
        found = [subnet for _, subnet in made]
        assert len(set(found)) == 8
        assert all(subnet.subnet_of(POOL[0]) and not any(subnet.overlaps(each) for each in before) for subnet in found)
        assert set(found) <= set(subnets(engine))
    finally:
        for network in engine.client.networks.list(filters={"label": "nines.test=engine"}):
            network.remove()
    assert not set(found) & set(subnets(engine))


def test_a_range_that_is_taken_is_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only subnet of the setting belongs to another network already."""
    network, subnet = make_network(engine, "nines-test-engine-taken", LABELS, random.Random(8))
    try:
        monkeypatch.setenv("NINES_SUBNETS", str(subnet))
        with pytest.raises(EnvironmentUnusable, match=f"no free /24 in {subnet}"):
            make_network(engine, "nines-test-engine-second", LABELS, random.Random(8))
    finally:
        network.remove()


def test_failures_come_with_the_engines_own_words(engine: Engine) -> None:
    """An error of the engine names what was being done."""
    with pytest.raises(EnvironmentUnusable, match=r"starting something: .*nosuch") as raised, translated("starting something"):
        engine.client.containers.get("nosuch")
    assert raised.value.exit_code == 5


def test_packet_rules_work_in_containers_here(engine: Engine, base_image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """All kinds that faults use are accepted; a rule the kernel does not know is refused with its words; an answer is remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    require_packet_rules(engine, base_image)
    monkeypatch.setattr(engine_packets, "_try", lambda *_: "asked again")
    require_packet_rules(engine, base_image)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(engine_packets, "RULES", "add rule inet nowhere out drop")
    with pytest.raises(EnvironmentUnusable, match=r"packets cannot be dropped .*No such file"):
        require_packet_rules(engine, base_image)
