"""The cluster of several parts that docs/clusters.md shows, brought up: order of starting, init, roles, a driver that finds the leader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from chaos.api import order
from chaos.core import plugins as tables
from chaos.core.values import LEADER
from chaos.history.events import NodeChanged
from chaos.plugin import Deployment
from chaos.testing.stage import staged
from tests.support.doc_pages import blocks_of
from tests.support.needs import need
from tests.support.paths import ROOT


def write(folder: Path) -> Path:
    """The files of the page."""
    for block in blocks_of(ROOT / "docs" / "clusters.md"):
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    return folder / "leader-dies.yaml"


@pytest.mark.e2e
@pytest.mark.timeout(60)
def test_parts_know_each_other(tmp_path: Path) -> None:
    """The second part starts when the first is ready; its init step says who leads; a client that knows the keepers finds the leader."""
    ordered = order(write(tmp_path), runtime="local")
    deployment = Deployment(run="parts", folder=tmp_path / "run", plan=ordered.plan, target=ordered.target)
    with staged(tables.find("runtimes", "local")(), deployment) as stage:
        cluster = stage.scene.cluster
        began = [row.node for row in stage.rows if isinstance(row, NodeChanged)]
        assert began == ["store-1", "store-2", "keeper-1"]
        assert [node for node, roles in cluster.roles().items() if LEADER in roles] == ["store-1"]
        addresses = {node: each.info.address for node, each in cluster.nodes.items()}
        lines = (tmp_path / "run" / "nodes" / "keeper-1" / "stores.txt").read_text()
        assert lines == f"1 {addresses['store-1']}:7300\n2 {addresses['store-2']}:7300\n"
        assert f"{addresses['store-1']}:7300 leads" in (tmp_path / "run" / "logs" / "init.log").read_text()
        asked = {"id": 1, "op": "put", "address": "nowhere", "key": "k", "value": "v", "timeout_s": 2.0}
        client = [sys.executable, str(tmp_path / "notes" / "client.py"), f"{addresses['keeper-1']}:7301", "put"]
        said = subprocess.run(client, input=json.dumps(asked), capture_output=True, text=True, timeout=20, check=True).stdout
        assert json.loads(said) == {"id": 1, "outcome": "ok"}


@pytest.mark.e2e
@pytest.mark.timeout(60)
def test_processes_of_another_user(tmp_path: Path) -> None:
    """The node's process and its folder belong to the user that the target names."""
    import pwd

    need("root", os.geteuid() == 0 or None, how="only root may start processes of other users")
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)  # pytest's own folders are closed to others
        _check_user(Path(made), pwd.getpwnam("nobody").pw_uid)


def _check_user(tmp_path: Path, wanted: int) -> None:
    file = write(tmp_path)
    target = tmp_path / "notes" / "target.yaml"
    text = target.read_text().replace("after: [store]", "after: [store]\n    user: nobody")
    target.write_text(text.replace("{python}", "/usr/bin/python3"))
    ordered = order(file, runtime="local")
    deployment = Deployment(run="users", folder=tmp_path / "run", plan=ordered.plan, target=ordered.target)
    with staged(tables.find("runtimes", "local")(), deployment):
        found = {entry.stat().st_uid for entry in Path("/proc").iterdir() if entry.name.isdecimal() and _is_keeper(entry, tmp_path)}
        assert found == {wanted}
        assert (tmp_path / "run" / "nodes" / "keeper-1").stat().st_uid == wanted


def _is_keeper(process: Path, folder: Path) -> bool:
    try:
        command = (process / "cmdline").read_text()
    except OSError:
        return False  # ended meanwhile
    return "keeper.py" in command and str(folder) in command
