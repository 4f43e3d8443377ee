"""The engine's own firewall rules, by each of the back ends that engines have: a partition is packet rules of ours beside them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from chaos.elsewhere.beside import discard
from chaos.engine.connection import connect
from tests.support import engine_elsewhere
from tests.support.engine_runs import carried_out
from tests.support.needs import need
from tools import current_engine

EXPERIMENT = """
experiment: walled
question: Does a partition take effect and go beside the engine's own rules?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}}
traffic: {operations: {write: 20/s}}
baseline: 2s
faults:
  - {partition: {}, target: leader, at: 1s, for: 1s}
  - {loss: {percent: 20%}, target: n2, at: 7s, for: 1s}
  - {power_off: {}, target: n3, at: 13s, for: 1s}
settle: 6s
"""
SEES_NOTHING = Path("/var/tmp/nines-engine-programs")  # noqa: S108 - the engine does not see /root and /tmp
LEGACY = "iptables-legacy"


def programs(kind: str) -> list[Path]:
    """Folders with the programs that make the engine use that back end."""
    if kind == LEGACY:
        folder = SEES_NOTHING / "legacy"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("iptables", "ip6tables"):
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(str(shutil.which(f"{name}-legacy")))
        return [folder]
    if kind.startswith("current"):
        need("the current Docker engine", current_engine.built(), "python -m tools.current_engine build")
        folder = SEES_NOTHING / "current"
        folder.mkdir(parents=True, exist_ok=True)
        for module in current_engine.MODULES:
            for main in module.programs:
                shutil.copy(module.program(main), folder)
        return [folder]
    return []


@pytest.mark.parametrize("kind", ["iptables-nft", LEGACY, "current iptables", "current nftables"])
def test_packet_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    need("an engine elsewhere", engine_elsewhere.may(), "root, dockerd, unshare, iproute2")
    need(LEGACY, kind != LEGACY or shutil.which(LEGACY) is not None, "sudo apt-get install iptables")
    first = programs(kind)
    if kind.startswith("current"):
        monkeypatch.setenv("NINES_ENGINE_ELSEWHERE", f"{engine_elsewhere.folder()}-current")
    options = [f"--firewall-backend={kind.split()[1]}"] if kind.startswith("current") else []
    with engine_elsewhere.running(options, first) as host, connect(host, checked=False) as engine:
        discard(engine)
        rules = ["nsenter", "--net", "--target", str(engine_elsewhere.pid())]
        tables = subprocess.run([*rules, "nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        assert ("docker-bridges" in tables) == (kind == "current nftables"), tables
        carried_out(tmp_path, EXPERIMENT, faults=3, host=host)
        assert engine.client.api.containers(all=True) == []
