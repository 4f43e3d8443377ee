"""Harnesses in a Kubernetes cluster, seen from here: the run's pods made, a harness started in one of them, all of it gone after it.

    rights, pods, image checked -> Job, account, role, DaemonSet, clients' pod made -> harness started (exec) -> ... -> all removed

What it stands on is registered here before anything is made, so that ``nines leftovers`` finds it whatever becomes of this command.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import EnvironmentUnusable, NotHealed
from chaos.elsewhere import beforehand
from chaos.elsewhere.channel import Channel, HarnessGone
from chaos.elsewhere.frames import END, FOUND, TICKET, End, Ticket
from chaos.elsewhere.place import Where
from chaos.engine.images import foreign
from chaos.experiment.pods import PodsSpec
from chaos.history.folder import RunFolder
from chaos.history.undo import shielded
from chaos.kube import commands, ephemeral
from chaos.kube.access import read
from chaos.kube.api import Api
from chaos.kube.find import ROLE, RUN, Pod, choose, selector_of, service_of
from chaos.kube.objects import CONTAINER, HARNESS, HELD_S, KEPT_S, TOP, Place
from chaos.kube.standing import Whereabouts, make, remove
from chaos.kube.streams import Exec, run
from chaos.plan.capabilities import needed
from chaos.plan.hosts import struck_hosts
from chaos.plan.plan import Plan
from chaos.registry import runs as registry
from chaos.runtimes.base.machines.errands import Errands, paid
from chaos.runtimes.base.machines.orders import Switch, Terms
from chaos.runtimes.kubernetes.leftovers import give_all_back

IMAGE: Final = "NINES_KUBERNETES_IMAGE"
DEFAULT_IMAGE: Final = "chaos-nines"
LOOK_EVERY_S: Final = 1.0
STARTS_WITHIN_S: Final = 60.0
"""A harness says its first word when its interpreter has loaded all that it needs; a pod may have little of a processor."""
ENDS_WITHIN_S: Final = 45.0
"""A harness whose command is gone rolls its faults back."""


class ExecTalk:
    """The standard streams of a harness that is started in a pod."""

    def __init__(self, process: Exec) -> None:
        self._process = process
        self._closed = False

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """As they come."""
        while not self._closed and (found := self._process.read(LOOK_EVERY_S)) is not None:
            yield from found
        if self._process.how and not self._process.ok:
            yield 2, f" ({self._process.how})".encode()

    def sendall(self, data: bytes) -> None:
        """As it is."""
        self._process.write(data)

    def close(self) -> None:
        """It sees the end of its input, and ends."""
        self._closed = True
        self._process.close()


class InCluster:
    """Starts harnesses in the harness's pod of one run."""

    def __init__(self, api: Api, namespace: str, pod: str, errands: Errands | None = None) -> None:
        self.where = Where(TOP)
        self.errands = errands
        self._api = api
        self._namespace = namespace
        self._pod = pod

    @contextmanager
    def doing(self, ticket: Ticket, inputs: Mapping[str, Path] | None = None) -> Iterator[Channel]:
        """A harness that has this ticket and these inputs."""
        process = Exec(self._api, self._namespace, self._pod, CONTAINER, commands.HARNESS)
        channel = Channel(ExecTalk(process), f"in the pod {self._pod}")
        channel.begin()
        try:
            channel.send(TICKET, msgspec.json.encode(ticket))
            for kind, payload in channel.receive(silent_s=STARTS_WITHIN_S):
                if kind == END:
                    end = msgspec.json.decode(payload, type=End)
                    raise EnvironmentUnusable(end.message, how=end.how)
                if kind == FOUND:
                    break
            channel.archive(inputs or {})
            yield channel
        finally:
            channel.close()


@contextmanager
def standing(api: Api, plan: Plan, folder: RunFolder, note: Callable[[str], None], *, held: bool = False) -> Iterator[InCluster]:
    """The run's pods, while they stand; refused before anything is made where it could not be done. ``held``: for faults by hand."""
    spec = _spec(plan)
    refuse_packages(plan)
    service = service_of(api, spec)
    selector = selector_of(spec, service)
    pods = choose(api.listed("pods", spec.namespace, selector), spec, selector, len(plan.nodes))
    keys = {node.name: pod for node, pod in zip(plan.nodes, pods, strict=True)}
    where = Whereabouts(api.access.name, spec.namespace, spec.kubeconfig)
    place = Place(folder.run, spec.namespace, image_of(spec.image), struck_hosts(plan.experiment), Capability.DRAINS in needed(plan))
    beforehand.refuse(api, plan, spec, service, keys, place)
    errands = Errands(terms_of(spec, where, folder))
    with registry.claim(folder.run, folder.path, plan.runtime, place=where.written) as claim:
        claim.begins()
        _write_keys(folder, keys)
        with until_removed(api, place, where, claim), paid(errands, claim):
            moves = needed(plan) & {Capability.DELETES, Capability.HOSTS, Capability.HOST_CUTS}
            machines = set() if moves else {pod.machine for pod in pods}  # the next pod may be on any of them
            lasts_s, told = (HELD_S if held else plan.duration_s) + KEPT_S, msgspec.json.encode(keys).decode()
            if beforehand.lodges(spec):
                pod = ephemeral.make(api, place, lasts_s, told, note)
            else:
                pod = make(api, place, machines, lasts_s, told, {}, note)
            yield InCluster(api, spec.namespace, pod, errands)


@contextmanager
def until_removed(api: Api, place: Place, where: Whereabouts, claim: registry.Claim) -> Iterator[None]:
    """While the run's things are made and stand; then they are gone, unless what was measured is still in one of them."""
    keep = False
    try:
        yield
    except HarnessGone:
        keep = True  # what was measured is in its pod
        raise
    except BaseException:
        with shielded():
            _await_harness(api, place)
        raise
    finally:
        if keep:
            claim.abandon("the way to its harness was lost")
        else:
            with shielded():
                left = remove(api, where, place.run)
            if left:
                why = ", ".join(f"{kind} {name}" for kind, name in left)
                claim.abandon(why)
                raise NotHealed(f"still there {where}: {why}; 'nines heal' removes it")
            claim.proven_gone()


def _await_harness(api: Api, place: Place) -> None:
    """It has heard that we are gone: let it roll back and end, or do it in its place."""
    pods = api.listed("pods", place.namespace, f"{RUN}={place.run},{ROLE}={HARNESS}")
    if not pods or pods[0]["status"].get("phase") == "Pending":
        return  # no harness was ever started, and nothing was done to anybody
    name = pods[0]["metadata"]["name"]
    with contextlib.suppress(EnvironmentUnusable):
        ended, _ = run(api, place.namespace, name, CONTAINER, commands.AWAIT_END, ENDS_WITHIN_S)
        if ended:
            return
    problems = give_all_back(api, place.namespace, place.run)
    if problems:
        raise NotHealed(f"not everything is as it was: {'; '.join(problems)}")


def terms_of(spec: PodsSpec, where: Whereabouts, folder: RunFolder) -> Terms:
    """What whoever looks after machines needs to know."""
    power = {host: Switch(each.power_off, each.power_on) for host, each in spec.hosts.items()}
    return Terms(folder.run, str(folder.path.absolute()), where.context, where.kubeconfig, power)


def refuse_packages(plan: Plan) -> None:
    """``EnvironmentUnusable`` for what the image that stands in the cluster does not have."""
    packages = foreign.used(plan)
    if packages:
        raise EnvironmentUnusable(
            f"{', '.join(packages)}: plug-ins of other packages are not in the image that stands in the cluster",
            how="an image of Nines with them: kubernetes: {image: ...}",
        )


def image_of(named: str) -> str:
    """As the experiment says, else the environment."""
    return named or os.environ.get(IMAGE, "").strip() or DEFAULT_IMAGE


def waiting() -> list[str]:
    """Runs in clusters, begun from here, whose command is gone."""
    return [each.run for each in registry.records() if each.stale and Whereabouts.is_one(each.engine)]


def known(run: str) -> bool:
    """Whether it is one of those that were begun from here in a cluster."""
    return any(each.run == run and Whereabouts.is_one(each.engine) for each in registry.records())


def fetchable(run: str) -> InCluster:
    """Where the harness of that run is. ``EnvironmentUnusable`` if its pod is gone."""
    record = next(each for each in registry.records() if each.run == run)
    where = Whereabouts.parsed(record.engine)
    api = Api(read(where.kubeconfig, where.context))
    pods = api.listed("pods", where.namespace, f"{RUN}={run},{ROLE}={HARNESS}")
    running = [each for each in pods if each["status"].get("phase") == "Running"]
    if not running:
        raise EnvironmentUnusable(f"the pod of {run} {where} is gone, and what was measured with it", how="run the experiment again")
    return InCluster(api, where.namespace, running[0]["metadata"]["name"])


def _spec(plan: Plan) -> PodsSpec:
    attach = plan.experiment.cluster.attach
    assert attach is not None
    assert attach.pods is not None
    return attach.pods


def _write_keys(folder: RunFolder, keys: Mapping[str, Pod]) -> None:
    """Durable when it returns."""
    from chaos.core.files import write_atomically

    folder.path.mkdir(parents=True, exist_ok=True)
    write_atomically(folder.path / "attached.json", msgspec.json.encode(keys))
