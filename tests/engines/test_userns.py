"""Engines that give each container users of its own (``userns-remap``): here and elsewhere."""

from __future__ import annotations

from pathlib import Path

from chaos.engine import private
from chaos.engine.connection import connect
from chaos.engine.images.ensure import ensure_base
from chaos.engine.images.tools import ensure_tools
from chaos.runtimes.docker.hosts.engines import copy_images
from tests.support import engine_elsewhere
from tests.support.engine_runs import carried_out
from tests.support.engine_wrapped import wrapped
from tests.support.needs import need

EXPERIMENT = """
experiment: remapped
question: Does a run get along with users of their own?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}, resources: {disk: 64MB}}
traffic: {operations: {write: 20/s}}
baseline: 2s
faults:
  - {kill: {recovery: restart}, target: leader, at: 1s, for: 1s}
  - {partition: {}, target: leader, at: 7s, for: 1s}
  - {clock: {offset: -1h}, target: n2, at: 13s, for: 1s}
  - {disk_full: {percent: 100%}, target: n1, at: 19s, for: 1s}
settle: 6s
"""
REMAP = "--userns-remap=default"


def a_run(host: str, folder: Path) -> None:
    carried_out(folder, EXPERIMENT, faults=4, host=host)
    with connect(host, checked=False) as engine:
        assert engine.facts.own_users
        assert engine.client.api.containers(all=True) == []


def test_elsewhere(tmp_path: Path) -> None:
    need("an engine elsewhere", engine_elsewhere.may(), "root, dockerd, unshare, iproute2")
    with engine_elsewhere.running([REMAP]) as host:
        a_run(host, tmp_path)


def test_here(tmp_path: Path) -> None:
    """Its own network, which builds use there, leads to no mirror of packages: what a fault needs is made by another engine first."""
    need("a private engine", private.may(), "root; sudo apt-get install docker.io")
    (tmp_path / "bin").mkdir()
    where = Path("/var/tmp/nines-engine-remapped")  # noqa: S108 - in a folder of no user
    with private.private_engine(private.folder_of(), print) as makes, connect(makes) as source:
        base = ensure_base(source, print)
        tools = ensure_tools(source, base, print)
        with wrapped(tmp_path / "bin", [REMAP]), private.private_engine(where, print) as host:
            with connect(host) as remapped:
                copy_images(source, [(remapped, [base, tools])])
            a_run(host, tmp_path)
