"""docs/howto/kind-or-k3d.md as a reader follows it, command by command, on a cluster of kind; and that nothing of a run is left there.

The tests of this file are the sections of that page: each goes on where the one before it ended.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from chaos.results.check_names import ON_TIME
from tests.support.doc_pages import Block, blocks_of
from tests.support.kubernetes import changed, get, standing
from tests.support.paths import ROOT
from tools.kind.cluster import Kind

PAGE: Final = ROOT / "docs" / "howto" / "kind-or-k3d.md"
COMMAND_S: Final = 600.0
SETTLED_S: Final = 90.0
NOT_RUN: Final = ("pip install ", "k3d ")
"""What begins so: the package is installed as a developer has it; k3d was not tried."""
TRIES: Final = 3
"""Of a measurement that a busy machine can spoil."""
NGINX: Final = "nginx:1"
"""nginx by Debian under a name that no machine asks a registry for."""


class Reader:
    """Whoever follows the page: a folder, a shell, and what was said so far."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.before: dict[str, str] = {}
        kept = {key: value for key, value in kind.environment.items() if not key.startswith("NINES_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
        self.environment = kept | {"PATH": path, "HOME": str(folder), "NINES_STATE": str(folder / "state"), "NINES_HISTORY": "off"}

    def runs(self, line: str) -> str:
        """One command, which ends with 0; what it says."""
        status, said = self.ends(line)
        assert status == 0, f"{line}: exit status {status}"
        return said

    def measures(self, line: str) -> tuple[dict[str, Any], int]:
        """A command that ends with a verdict: pass. Its report, and how often it was run: again where requests were sent late."""
        tries, late = 0, True
        while late and tries < TRIES:
            tries += 1
            status, said = self.ends(line)
            report = self.report()
            late = status == 3 and {check["name"] for check in report["checks"] if check["verdict"] == "fail"} == {ON_TIME}
        assert (status, report["verdict"]) == (0, "pass"), said
        assert report["agreement_overall"] != "inconsistent", report["agreement"]
        return report, tries

    def ends(self, line: str) -> tuple[int, str]:
        """One command to its end: its status, and what it says to whoever reads its output."""
        began_s = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=COMMAND_S, check=False,
        )  # fmt: skip
        print(f"$ {line}\n{done.stdout}{done.stderr}[{time.monotonic() - began_s:.0f} s]", flush=True)
        return done.returncode, done.stdout

    def report(self) -> dict[str, Any]:
        """Of the newest run."""
        folders = sorted((self.folder / "runs").iterdir(), key=lambda each: each.stat().st_mtime)
        found: dict[str, Any] = json.loads((folders[-1] / "report.json").read_text(encoding="utf-8"))
        return found


@pytest.fixture(scope="module")
def reader(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    return Reader(kind, tmp_path_factory.mktemp("reader"))


def section(number: int) -> list[Block]:
    """The blocks below a heading of the page."""
    text = PAGE.read_text(encoding="utf-8")
    heads = [text[: match.start()].count("\n") + 1 for match in re.finditer(r"^## ", text, re.MULTILINE)]
    return [block for block in blocks_of(PAGE) if heads[number - 1] < block.line and (len(heads) == number or block.line < heads[number])]


def lines(*blocks: Block) -> list[str]:
    """Their commands, but for those that are not run here."""
    said = [line for block in blocks if block.language in ("text", "sh") for line in block.text.splitlines()]
    return [line for line in said if not line.startswith(NOT_RUN)]


def effective(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Faults by name: each took effect, and is gone."""
    for fault in report["faults"]:
        assert fault["effective_at_s"] is not None, fault
        assert fault["status"] == "healed", fault
    return {fault["name"].partition(".")[0]: fault for fault in report["faults"]}


def test_every_command_of_the_page_is_run_here() -> None:
    """The first block installs; the numbered sections are those that follow."""
    run = [line for number in (1, 2, 3, 4) for line in lines(*section(number))]
    assert run == lines(*blocks_of(PAGE))
    assert [line.split()[0] for line in run].count("kind") == 3


def test_a_cluster_and_the_images(reader: Reader) -> None:
    """The first two sections. The machines are ready when images are loaded."""
    config = next(block for block in section(1) if block.file is not None)
    # Kernels of small virtual machines lack modules of iptables.
    (reader.folder / str(config.file)).write_text(config.text + "networking: {kubeProxyMode: nftables}\n", encoding="utf-8")
    for line in lines(*section(1), *section(2)):
        reader.runs(line)
    machines = get(reader.kind, "default", "nodes")["items"]
    assert len(machines) == 3
    for each in machines:
        (ready,) = [one["status"] for one in each["status"]["conditions"] if one["type"] == "Ready"]
        assert ready == "True", each["metadata"]["name"]
    reader.before = standing(reader.kind)


def test_a_first_verdict(reader: Reader) -> None:
    """A cluster of Nines' own: the run is valid, passes, and nothing is left."""
    first, *_ = section(3)
    *before, run = lines(first)
    for line in before:
        reader.runs(line)
    report, _ = reader.measures(run)
    assert set(effective(report)) == {"kill-one"}
    assert changed(reader.kind, reader.before, SETTLED_S) == []


def test_the_quickstart(reader: Reader) -> None:
    """Two kinds of faults on a cluster of Nines' own, as on every runtime."""
    report, _ = reader.measures(f"nines run {ROOT}/experiments/quickstart.yaml --runtime kubernetes")
    assert set(effective(report)) == {"kill-leader", "slow-leader"}
    assert changed(reader.kind, reader.before, SETTLED_S) == []


def test_a_system_of_the_readers_own(reader: Reader) -> None:
    """A Deployment behind one address: tried, then by an experiment of the page.

    Kubelet counts the deaths that were named, and no other.
    """
    _supply_nginx(reader)
    own = next(block for block in section(3) if "create deployment" in block.text)
    *make, try_it = lines(own)
    for line in make:
        reader.runs(line.replace("--image nginx ", f"--image {NGINX} "))
    before = standing(reader.kind)
    report, tries = reader.measures(try_it)
    assert set(effective(report)) == {"kill", "pause", "isolate"}
    assert sum(_restarts(reader).values()) == tries
    (experiment,) = [block for block in section(3) if block.file is not None]
    (reader.folder / str(experiment.file)).write_text(experiment.text, encoding="utf-8")
    *plan, run = lines(section(3)[-1])
    for line in plan:
        reader.runs(line)
    report, more = reader.measures(run)
    assert set(effective(report)) == {"death", "zone"}
    assert sum(_restarts(reader).values()) == tries + more
    assert changed(reader.kind, before, SETTLED_S) == []


def test_what_is_left(reader: Reader) -> None:
    """Nothing of Nines before the cluster goes, and no container afterwards."""
    *ours, delete = lines(*section(4))
    for line in ours:
        assert not reader.runs(line)
    reader.runs(delete)
    assert not reader.runs("docker ps --all --quiet")


def _supply_nginx(reader: Reader) -> None:
    """As its image in a registry has it: in the foreground, at port 80."""
    reader.runs("nines image --target nginx_web --tag nginx-of-debian")
    commit = "docker commit --change " + shlex.quote('CMD ["nginx", "-g", "daemon off;"]')
    reader.runs(f"made=$(docker create nginx-of-debian) && {commit} $made {NGINX} && docker rm $made && kind load docker-image {NGINX}")


def _restarts(reader: Reader) -> dict[str, int]:
    """Of each pod of the reader's own."""
    found = get(reader.kind, "shop", "pods", "-l", "app=store")["items"]
    return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in found}
