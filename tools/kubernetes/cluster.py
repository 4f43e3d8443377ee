"""A cluster from nothing to usable, and back to nothing.

``up`` is done when all nodes are Ready and names are answered. ``down`` finds what there is by itself (processes by a word in their
environment, interfaces and control groups by their names): it works after any kind of end of ``up``, and twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.files import write_atomically
from chaos.engine.images.build import Note, one_at_a_time
from tools.kubernetes import control, hosts, images, node, programs
from tools.kubernetes.certificates import Authority
from tools.kubernetes.places import CONTROL, MOST_NODES, Layout, Record, free_block

API_S: Final = 180.0
READY_S: Final = 300.0
_CALL_S: Final = 60.0
_LOOK_S: Final = 0.3


class Cluster(msgspec.Struct, frozen=True):
    """A cluster that was brought up."""

    layout: Layout
    record: Record

    @property
    def environment(self) -> dict[str, str]:
        """For programs that use the cluster: KUBECONFIG, and kubectl on PATH."""
        path = os.pathsep.join([self.record.programs, os.environ["PATH"]])
        return os.environ | {"KUBECONFIG": str(self.layout.kubeconfig), "PATH": path}

    def kubectl(self, *arguments: str, text: str | None = None, timeout_s: float = _CALL_S) -> str:
        """What kubectl printed. ``subprocess.CalledProcessError`` if it failed."""
        command = [str(Path(self.record.programs) / "kubectl"), "--kubeconfig", str(self.layout.admin), *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout_s, check=True).stdout

    def load(self, *named: str, engine: str | None = None) -> None:
        """Put images on all nodes that have power: archives, or names of images of the Docker engine (that of DOCKER_HOST, unless told)."""
        there = [name for name in self.record.nodes if hosts.first_process(self.layout, name) is not None]
        with contextlib.ExitStack() as stack:
            images.load(self.layout, there, [stack.enter_context(images.archive(each, engine)) for each in named])

    def power_off(self, name: str) -> None:
        """A node loses power, at one instant; its disk stays."""
        self._check(name)
        hosts.power_off(self.layout, [name])

    def power_on(self, name: str) -> None:
        """A node gets power; it starts what it ran, like a machine that boots."""
        number = self._check(name)
        if hosts.first_process(self.layout, name) is None:
            _start_node(self, name, number)

    def cut(self, name: str) -> None:
        """The network carries nothing from and to a node any more."""
        self._check(name)
        hosts.cut(self.layout, name)

    def mend(self, name: str) -> None:
        """The reverse of ``cut``."""
        self._check(name)
        hosts.mend(self.layout, name)

    def nodes_ready(self) -> dict[str, bool]:
        """Whether each node that the API knows is Ready."""
        items = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        return {item["metadata"]["name"]: _condition(item, "Ready") for item in items}

    def _check(self, name: str) -> int:
        if name not in self.record.nodes:
            raise BadInput(f"no node is called {name!r}; there are {', '.join(self.record.nodes)}")
        return self.record.nodes.index(name) + 1


def _condition(item: dict[str, object], kind: str) -> bool:
    conditions = item.get("status", {}).get("conditions", [])  # type: ignore[attr-defined]
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)


def find(layout: Layout) -> Cluster | None:
    """The cluster of this folder, if its hosts have power: all but nodes that somebody took it from."""
    record = layout.read()
    if record is None or not layout.kubeconfig.exists():
        return None
    there = hosts.find(layout)
    return Cluster(layout, record) if hosts.SWITCH in there and CONTROL in there else None


def need(layout: Layout) -> Cluster:
    """The cluster of this folder. ``EnvironmentUnusable`` if there is none."""
    found = find(layout)
    if found is None:
        raise EnvironmentUnusable(f"no cluster is up in {layout.folder}", how="python -m tools.kubernetes up")
    return found


# --- up ----------------------------------------------------------------------------------------------------------------


def up(layout: Layout, nodes: int, note: Note, *, until: int | None = None) -> Cluster:
    """Bring a cluster up, or find it up; ``until``: a guard brings it down when the process of that pid ends.

    ``EnvironmentUnusable`` says what is missing or what did not become ready, and where its log is; what was begun is gone then.
    """
    if os.geteuid() != 0:
        raise EnvironmentUnusable("hosts made of namespaces can only be started by root", how="sudo; or kind, k3d: docs/howto")
    if not 1 <= nodes <= MOST_NODES:
        raise BadInput(f"--nodes: 1 to {MOST_NODES}, not {nodes}")
    where = programs.ensure(note)
    with one_at_a_time(f"kubernetes-{layout.mark}"):
        found = find(layout)
        if found is None:
            down(layout)
            try:
                found = _up(layout, nodes, where, note)
            except BaseException:
                down(layout)
                raise
    if until is not None:
        _guard(layout, until)
    return found


def _up(layout: Layout, nodes: int, where: Path, note: Note) -> Cluster:
    note(f"starting Kubernetes {programs.VERSION} with {nodes} nodes in {layout.folder}")
    layout.volumes.mkdir(parents=True, exist_ok=True)
    names = tuple(f"n{number}" for number in range(1, nodes + 1))
    record = Record(str(free_block(random.Random(layout.mark))), names, str(where))  # noqa: S311 - no secret
    write_atomically(layout.record, msgspec.json.encode(record))
    made = Cluster(layout, record)
    addresses = record.addresses
    authority = Authority(layout.pki)
    authority.found()
    authority.certificate("admin", "admin", "system:masters")
    authority.kubeconfig("admin", f"https://{addresses.control}:{control.PORT}", layout.admin)
    authority.certificate("proxy", "system:kube-proxy")
    hosts.switch_on(layout, addresses)
    control.prepare(layout.host(CONTROL), authority, addresses)
    routes = {str(addresses.pods(number)): addresses.node(number) for number in range(1, nodes + 1)}
    wire = hosts.Wire(addresses.control, addresses.hosts.prefixlen, addresses.gateway, routes)
    hosts.power_on(layout, CONTROL, 0, wire, control.services(where, addresses))
    for number, name in enumerate(names, 1):
        node.prepare(layout.host(name), authority, addresses, name, number, layout.cgroup(name))
        _start_node(made, name, number)
    _await(lambda: _containerd_answers(made), API_S, "containerd does not answer on all nodes", layout.host(names[-1]) / "log")
    with images.own(where) as archives:
        images.load(layout, names, archives)
    logs = layout.host(CONTROL) / "log"
    _await(lambda: made.kubectl("get", "--raw", "/readyz") == "ok", API_S, "the API server is not ready", logs)
    addons = (Path(__file__).parent / "addons.yaml").read_text(encoding="utf-8").replace("{dns}", str(addresses.dns_service))
    # Right after its start an API server may still take its time: what is applied twice is there once.
    _await(lambda: bool(made.kubectl("apply", "-f", "-", text=addons)), API_S, "CoreDNS cannot be asked for", logs)
    _await(lambda: list(made.nodes_ready().values()) == [True] * nodes, READY_S, "not all nodes are Ready", layout.host(names[0]) / "log")
    _await(lambda: _dns_ready(made), READY_S, "CoreDNS is not ready", layout.host(names[0]) / "log")
    _await(lambda: "default" in made.kubectl("get", "serviceaccount"), READY_S, "there is no service account", logs)
    # Whoever looks for a cluster goes by this file: it is there when the cluster can be used.
    shutil.copy2(layout.admin, layout.kubeconfig)
    return made


def _start_node(cluster: Cluster, name: str, number: int) -> None:
    addresses = cluster.record.addresses
    hosts.power_on(
        cluster.layout, name, number, node.wire(addresses, number, len(cluster.record.nodes)),
        node.services(Path(cluster.record.programs), addresses, name, number),
    )  # fmt: skip


def _containerd_answers(cluster: Cluster) -> bool:
    for name in cluster.record.nodes:
        subprocess.run(hosts.inside(cluster.layout, name, ["ctr", "version"]), capture_output=True, timeout=_CALL_S, check=True)
    return True


def _dns_ready(cluster: Cluster) -> bool:
    said = cluster.kubectl("get", "deployment", "coredns", "-n", "kube-system", "-o", "jsonpath={.status.readyReplicas}")
    return said == "1"


def _await(true: Callable[[], bool], within_s: float, otherwise: str, logs: Path) -> None:
    """Until it is true; a program that fails is not true yet, and what it said is told in the end."""
    until_s = time.monotonic() + within_s
    said = ""
    while time.monotonic() < until_s:
        try:
            if true():
                return
            said = ""
        except subprocess.CalledProcessError as error:
            said = str(error.stderr).strip()[-300:]
        except subprocess.TimeoutExpired as error:
            said = str(error)
        time.sleep(_LOOK_S)
    told = [f"{otherwise} after {within_s:g} s{f': {said}' if said else ''}", *_ends(logs)]
    raise EnvironmentUnusable("\n  | ".join(told), how="a machine that is less busy, or one with more memory; then once more")


def _ends(logs: Path) -> list[str]:
    """The last line of each log: what was begun is removed, its logs included."""
    texts = {path.name: path.read_text(encoding="utf-8", errors="replace").splitlines() for path in sorted(logs.glob("*.log"))}
    return [f"{name}: {lines[-1][:200]}" for name, lines in texts.items() if lines]


# --- down --------------------------------------------------------------------------------------------------------------


def down(layout: Layout) -> bool:
    """Remove a cluster with all that belongs to it, its folder included; false if there was nothing."""
    record = layout.read()
    there = set(hosts.find(layout))
    nodes = record.nodes if record is not None else ()
    found = hosts.power_off(layout, sorted({*there, *nodes, CONTROL}))
    if record is not None:
        hosts.switch_off(layout, record.addresses)
    for part in (layout.folder / "hosts", layout.volumes, layout.pki):
        shutil.rmtree(part, ignore_errors=True)
    for file in (layout.kubeconfig, layout.record):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody else's files are in it, or it never was
        layout.folder.rmdir()
    return found or record is not None


@contextlib.contextmanager
def running(layout: Layout, nodes: int, note: Note) -> Iterator[Cluster]:
    """A cluster that is up at least as long as the block; taken down after it, or with this process, if it was started here."""
    mine = find(layout) is None
    cluster = up(layout, nodes, note, until=os.getpid() if mine else None)
    try:
        yield cluster
    finally:
        if mine:
            down(layout)


def _guard(layout: Layout, pid: int) -> None:
    """A small process in a session of its own that outlives whatever happens to its user."""
    command = [sys.executable, "-m", "tools.kubernetes", "guard", "--folder", str(layout.folder), "--for", str(pid)]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(command, cwd=Path(__file__).parents[2], start_new_session=True, **quiet)


def guard(layout: Layout, pid: int) -> None:
    """Wait until the user has ended; then take the cluster down, unless it is another one by now."""
    record = layout.read()
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        fd = None
    if fd is not None:
        with os.fdopen(fd, "rb"):
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            poller.poll()
    if layout.read() == record:
        down(layout)
