"""Podman by its Docker-compatible socket, as root: a run, what it leaves, and what messages call the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.engine.connection import Engine, connect
from chaos.engine.errors import unusable
from chaos.engine.images.ensure import ensure_base
from chaos.engine.leftovers import things
from tests.support import engine_podman
from tests.support.engine_runs import carried_out
from tests.support.needs import need

EXPERIMENT = """
experiment: podded
question: Do writes fail when the leader dies?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}}
traffic: {operations: {write: 50/s}}
baseline: 2s
faults:
  - {kill: {recovery: restart}, target: leader, at: 1s, for: 2s}
  - {partition: {}, target: {followers: 1}, at: 8s, for: 2s}
settle: 10s
objectives: {availability: ">= 10%"}
"""
HEAD = """
experiment: podded
question: What can be done to a cluster on Podman?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}LIMITS}
traffic: {operations: {write: 20/s}}
baseline: 2s
settle: 6s
"""
WHILE_IT_RUNS = (
    "stop: {grace: 1s}, target: n1", "restart: {}, target: n2", "remove: {}, target: n3", "pause: {}, target: n1",
    "power_off: {}, target: n2",
    "files: {}, target: n3", "connections: {count: 20}, target: n1", "clock: {offset: -1h}, target: n2", "loss: {percent: 20%}, target: n3",
    'latency: {latency: 20ms}, target: {link: "clients -> n1"}', 'down: {}, target: {link: "clients -> n2"}', "dns: {mode: servfail}",
    "load: {rate: 20/s}",
)  # fmt: skip
LOADS = ("cpu: {workers: 1}, target: n1", "memory: {percent: 50%}, target: n2", "io: {workers: 1, bytes: 16MB}, target: n3")
DISKS = ("disk_full: {percent: 100%}, target: n1", "read_only: {remount: restart}, target: n2")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    need("podman", engine_podman.may(), engine_podman.PACKAGES)
    with engine_podman.running() as host, pytest.MonkeyPatch.context() as patch, connect(host) as found:
        patch.setenv("DOCKER_HOST", host)
        yield found


def test_podman_is_called_podman(engine: Engine) -> None:
    assert engine.facts.product == "Podman"
    assert not engine.facts.elsewhere
    assert "Podman" in str(engine.facts)
    assert "Docker" not in str(engine.facts)
    error = unusable("starting", "no space left on device")
    assert (error.what, error.how) == (
        "starting: the disk of the Podman engine is full (no space left on device)", "podman system df; podman system prune",
    )  # fmt: skip
    assert "journalctl -u podman" in unusable("starting", "who knows").how


def test_an_imported_image_has_its_name(engine: Engine) -> None:
    assert engine.client.images.get(ensure_base(engine)).tags


@pytest.mark.parametrize("here", [True, False], ids=["here", "elsewhere"])
def test_a_run_leaves_nothing(engine: Engine, tmp_path: Path, here: bool) -> None:
    """Neither containers whose namespaces others shared, nor volumes."""
    # With another host name this is another machine, by all that an engine says of itself.
    through = [] if here else ["unshare", "--uts", "sh", "-c", 'hostname laptop; exec "$@"', "sh"]
    carried_out(tmp_path, EXPERIMENT, faults=2, through=through)
    api = engine.client.api
    assert things(api) == []
    assert api.containers(all=True) == []
    assert api.volumes()["Volumes"] in (None, [])
    assert [each["Name"] for each in api.networks()] in (["podman"], ["bridge"])


def test_faults_of_all_kinds(engine: Engine, tmp_path: Path) -> None:
    """Those of nodes, of their links, of their limits and clocks in one run, those of their disks in another; nothing is left."""
    for name, limits, faults in (
        ("nodes", ", resources: {cpus: 0.8, memory: 256MB}", [*WHILE_IT_RUNS, *LOADS]),
        ("disks", ", resources: {disk: 64MB}", DISKS),
    ):
        entries = "".join(f"  - {{{fault}, at: {1 + 6 * number}s, for: 1s}}\n" for number, fault in enumerate(faults))
        carried_out(tmp_path, HEAD.replace("LIMITS", limits) + f"faults:\n{entries}", faults=len(faults), name=name)
    assert things(engine.client.api) == []
