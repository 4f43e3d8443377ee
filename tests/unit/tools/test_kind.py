"""What of a cluster of kind can be told without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import yaml

from tools.kind import cluster, image
from tools.kind.runc import CAPABILITIES, limited, there


def test_what_this_machine_lacks_is_taken_out_of_what_is_asked_for() -> None:
    process = {"capabilities": {"bounding": ["CAP_KILL", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]}}
    limited(process, {"CAP_KILL"})
    assert process == {"capabilities": {"bounding": ["CAP_KILL"], "effective": []}}
    limited({}, set())


def test_capabilities_have_the_numbers_of_the_kernel() -> None:
    """CAP_SYS_RESOURCE is 24, CAP_CHECKPOINT_RESTORE 40 (linux/capability.h)."""
    assert CAPABILITIES.index("SYS_RESOURCE") == 24
    assert CAPABILITIES.index("CHECKPOINT_RESTORE") == 40
    assert there() <= {f"CAP_{name}" for name in CAPABILITIES}


def test_runc_gets_its_own_arguments(tmp_path: Path) -> None:
    """And the bundle's file is changed before it reads it."""
    (tmp_path / "config.json").write_bytes(msgspec.json.encode({"process": {"capabilities": {"bounding": ["CAP_OF_NOBODY"]}}}))
    command = [sys.executable, "-I", "-S", str(cluster.RUNC), "/bin/echo", "create", "--bundle", str(tmp_path), "name"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.split() == ["create", "--bundle", str(tmp_path), "name"]
    assert msgspec.json.decode((tmp_path / "config.json").read_bytes()) == {"process": {"capabilities": {"bounding": []}}}


def test_the_network_of_pods_is_made_of_files_that_the_image_has() -> None:
    """The script that the DaemonSet starts, from the image that is loaded."""
    things = list(yaml.safe_load_all((image.FILES / "network.yaml").read_text(encoding="utf-8")))
    (container,) = things[-1]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image.KUBERNETES
    assert container["command"] == ["sh", "/kind/network.sh"]
    assert (image.FILES / "network.sh").exists()
