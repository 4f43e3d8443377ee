"""What a crashed run left in a cluster, and its removal; and pods that are not ours, given back as they were.

Everything of ours there carries the run's label. The Job says in an annotation which pods the run attached to: each is given back by a
fresh guest, started in the run's own DaemonSet, before that goes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.clock import MonotonicClock
from chaos.core.errors import EnvironmentUnusable, NinesError
from chaos.history.owed import POWER_ON, Owed, alone, owed, pay
from chaos.kube import commands, streams
from chaos.kube.access import read
from chaos.kube.api import Api
from chaos.kube.cordon import cordoned_by, uncordon
from chaos.kube.ephemeral import LODGED
from chaos.kube.find import ROLE, RUN, Pod
from chaos.kube.objects import CONTAINER, GUESTS, KEYS
from chaos.kube.standing import Whereabouts, remove, things
from chaos.plugin import CrashedRun, Left
from chaos.runtimes.kubernetes.guests import give_back
from chaos.runtimes.kubernetes.lodgers import give_back as lodgers_give_back

OPEN_WITHIN_S: Final = 15.0
BOOTS_WITHIN_S: Final = 90.0
LOOK_EVERY_S: Final = 1.0
FILE: Final = "attached.json"
"""In the run folder: which node is which pod."""
CLUSTER: Final = "cluster"
"""One that cannot be asked what a run left there."""


def called(folder: Path) -> Mapping[str, str]:
    """Node -> the name of its pod; empty where the run attached to nothing."""
    path = folder / FILE
    return {node: pod.name for node, pod in msgspec.json.decode(path.read_bytes(), type=dict[str, Pod]).items()} if path.exists() else {}


def leftovers(crashed: Sequence[CrashedRun]) -> list[Left]:
    """Of these runs, each in its own cluster and namespace."""
    found: list[Left] = []
    for run in crashed:
        if not run.where:
            continue
        try:
            where = Whereabouts.parsed(run.where)
            api = Api(read(where.kubeconfig, where.context))
            found += [Left(run.run, kind, name, run.where, str(where)) for kind, name in things(api, where, run.run)]
            found += [Left(run.run, "cordon", name, run.where, str(where)) for name in cordoned_by(api, run.run)]
            found += [Left(run.run, each.do, each.host, run.where, str(where)) for each in _owed(run) if each.do == POWER_ON]
        except EnvironmentUnusable as error:
            found.append(Left(run.run, CLUSTER, run.where, run.where, error.what))
    return found


def heal(run: CrashedRun, left: Sequence[Left]) -> list[tuple[Left | None, str]]:
    """What could not be removed, and why; pods of others first, while there is somebody to look after them."""
    if not run.where or not left:
        return []
    where = Whereabouts.parsed(run.where)
    try:
        api = Api(read(where.kubeconfig, where.context))
        problems = _pay(api, run) + give_all_back(api, where.namespace, run.run)
        if problems:
            return [(None, "; ".join(problems))]
        still = remove(api, where, run.run)
    except EnvironmentUnusable as error:
        return [(thing, error.what) for thing in left]
    return [(Left(run.run, kind, name, run.where, str(where)), "it is still there") for kind, name in still]


def _owed(run: CrashedRun) -> list[Owed]:
    return owed(run.folder) if run.folder is not None and run.folder.is_dir() else []


def _pay(api: Api, run: CrashedRun) -> list[str]:
    """Machines on and open again; first, since pods can only be given back on machines that run."""

    def open_again(host: str) -> None:
        uncordon(api, host, run.run)

    problems: list[str] = []
    if _owed(run):
        assert run.folder is not None
        with alone(run.folder):
            problems = pay(run.folder, open_again)
    for host in cordoned_by(api, run.run):
        try:
            open_again(host)
        except NinesError as error:
            problems.append(str(error))
    return problems


def _open(api: Api, namespace: str, machine: str, ours: str) -> str:
    """A machine whose network a run cut; what hindered that. One that boots has no pod of ours that runs for a while."""
    until_s = time.monotonic() + BOOTS_WITHIN_S
    while True:
        try:
            ended, said = streams.run(api, namespace, ours, CONTAINER, commands.OPEN_MACHINE, OPEN_WITHIN_S)
        except NinesError as error:
            ended, said = False, str(error)
        if ended:
            return ""
        if time.monotonic() > until_s:
            return f"{machine}: {said.strip() or 'its packet rules could not be looked at'}"
        time.sleep(LOOK_EVERY_S)


def give_all_back(api: Api, namespace: str, run: str) -> list[str]:
    """Every pod that the run attached to and that is still there."""
    jobs = api.listed("jobs", namespace, f"{RUN}={run}")
    written = jobs[0]["metadata"].get("annotations", {}).get(KEYS, "") if jobs else ""
    if not written:
        return []
    pods = msgspec.json.decode(written, type=dict[str, Pod])
    image = str(jobs[0]["metadata"]["annotations"].get(LODGED, ""))
    guests = api.listed("pods", namespace, f"{RUN}={run},{ROLE}={GUESTS}")
    there = {str(each["spec"].get("nodeName") or ""): str(each["metadata"]["name"]) for each in guests}
    problems = [problem for machine, ours in there.items() if (problem := _open(api, namespace, machine, ours))]
    for pod in pods.values():
        now = api.get("pods", namespace, pod.name)
        if now is None or now["metadata"]["uid"] != pod.uid or not (image or pod.machine in there):
            continue  # gone with all that was in it; or no guest was ever there
        try:
            left = (
                lodgers_give_back(api, namespace, run, pod, image, MonotonicClock())
                if image
                else give_back(api, namespace, there[pod.machine], pod, MonotonicClock())
            )
        except NinesError as error:
            left = str(error)
        if left:
            problems.append(f"{pod.name}: {left}")
    return problems
