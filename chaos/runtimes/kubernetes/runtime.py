"""``kubernetes``: pods of a cluster, those that run already or those of a target that are started there for the run.

The harness travels into the cluster. A guest stands in the network of each pod that runs already; in those of ours an agent is a sidecar.
Kubelet starts a container again that has died, later and later with each death, and nobody else can: kills of pods that run already are for
it to mend. In pods of ours a gate stands before the system, which may die without its container.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from chaos.core.capabilities import REFUSALS, Capability
from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable
from chaos.experiment.cluster import AttachSpec
from chaos.experiment.document import Experiment
from chaos.experiment.target import templates
from chaos.experiment.target.spec import Target
from chaos.plan.plan import Plan
from chaos.plan.traits import made
from chaos.plugin import CrashedRun, Deployment, Left, Runtime, Sink, Spot, Surrounding, Told

if TYPE_CHECKING:
    from chaos.experiment.pods import PodsSpec
    from chaos.kube.api import Api
    from chaos.runtimes.base.cluster import RunningCluster
    from chaos.runtimes.base.session import Session

C = Capability
_LIMITS: Final = "what it uses up would have to be given limits first, and those of pods that run are not changed"
_KUBELET: Final = "kubelet's default"
_CLUSTER: Final = "Kubernetes' default"
_PROBE: Final = "a readiness probe's default"
_MEASURED: Final = "measured (docs/kubernetes.md)"
_ASSUMED: Final = "assumed (docs/models.md, Orchestrators)"
_TOLD: Final = "the cluster's own word"
OURS_FOLLOW: Final = Surrounding("2.5s..4.5s", _MEASURED)
"""An agent is started in the next pod of ours, and a gate opened, before its system begins."""
IN_POD: Final = "NINES_IN_POD"
"""In the environment of a harness that has travelled."""


_UNTRIED: Final = "it has not been tried in pods"
_OURS: Final[Mapping[Capability, str]] = {
    C.SERVING: _UNTRIED,
    C.NETEM: _UNTRIED,
    C.NETWORKS: "a pod has one network",
    C.OWN_CLOCK: _UNTRIED,
    C.OPEN_FILES: "another container's limits cannot be changed from the agent's",
    C.DISKS: "a pod's volumes are folders of its machine's disk: who fills one fills the machine's",
    C.EXTERNAL_NAMES: _UNTRIED,
    C.HOSTS: "machines are switched under pods that run already: attach to those",
    C.HOST_CUTS: "nobody of ours stands in the machines' own networks: attach to pods that run already",
}
"""Why it is not done to a cluster of ours."""


@contextmanager
def _asked(attach: AttachSpec) -> Iterator[tuple[Api, PodsSpec]]:
    """The cluster of these pods, by the kubeconfig of whoever asks, or from a pod of ours there."""
    from chaos.kube.access import by_kubeconfig, inside
    from chaos.kube.api import Api

    assert attach.pods is not None
    api = Api(inside() if os.environ.get(IN_POD) else by_kubeconfig(attach.pods))
    try:
        yield api, attach.pods
    finally:
        api.close()


def by_address(target: Target) -> str:
    """Why nodes of this target do not find each other again when one of them lives in another pod; empty if they do."""
    for name, part in target.parts.items():
        said = (*(part.docker.command if part.docker else ()), *part.env.values(), *part.files.values())
        found = next(filter(None, map(templates.by_address, said)), "")
        if found:
            return f"its nodes know each other by addresses, and another pod has another one: part '{name}' says {found}, not {{name}}"
    return ""


def _succession(experiment: Experiment) -> dict[str, Surrounding]:
    """What the next pod has of the one that was given up: its data, and its machine where the data stands on that."""
    ours = experiment.cluster.kubernetes
    if not any(C.DELETES in made(spec).needs for spec in experiment.faults):
        return {}
    if not ours.outlives:
        return {"successor_data": Surrounding("lost", "volumes: pods")}
    from chaos.kube.classes import ON_ONE_MACHINE

    found = {"successor_data": Surrounding("kept", "volumes: claims")}
    if ours.keeper in ON_ONE_MACHINE:
        found["successor_place"] = Surrounding("same-machine", f"volumes of {ours.keeper}")
    return found


class KubernetesRuntime(Runtime):
    """``Runtime`` on pods that somebody else runs, or on pods of ours."""

    name: ClassVar[str] = "kubernetes"
    offers: ClassVar[frozenset[Capability]] = frozenset({
        C.SIGNALS, C.STARTS, C.RESTART_POLICY, C.DATA, C.MEMBERS, C.LINKS, C.STREAMS, C.PORTS, C.PORT_CUTS, C.PACKET_RULES,
        C.NEW_CONNECTIONS, C.NAME_SET, C.NAME_ANSWERS, C.CONNECTIONS, C.SURGES, C.ENGINE_NAMES, C.SESSIONS, C.DELETES,
        C.CGROUP, C.SHARED_DISK, C.DRAINS,
    })  # fmt: skip
    attached: ClassVar[frozenset[Capability] | None] = frozenset({
        C.SIGNALS, C.RESTART_POLICY, C.DELETES, C.LINKS, C.STREAMS, C.PORTS, C.PORT_CUTS, C.PACKET_RULES, C.NEW_CONNECTIONS, C.CONNECTIONS,
        C.SURGES, C.ENGINE_NAMES, C.SESSIONS, C.NAME_SET, C.NAME_ANSWERS, C.CGROUP, C.SHARED_DISK,
        C.DRAINS, C.HOSTS, C.HOST_CUTS,
    })  # fmt: skip
    attaches: ClassVar[frozenset[str]] = frozenset({"pods"})
    words: ClassVar[Mapping[Capability, str]] = {
        C.STARTS: "kubelet alone starts a container again, and does so by itself",
        C.DATA: "its volumes are not ours to empty",
        C.NETEM: "queues of the kernel in front of pods have not been tried",
        C.NETWORKS: "a pod has one network",
        C.OWN_CLOCK: "its processes read the clock that they were started with",
        C.OPEN_FILES: _LIMITS,
        C.DISKS: "its volumes are not ours: they have no limit of ours, and cannot be mounted anew",
    }

    def __init__(self, *, traffic: bool = True) -> None:
        self._traffic = traffic

    # Read in the source of v1.34; docs/models.md, "Orchestrators".
    surroundings: ClassVar[Mapping[str, Surrounding]] = {
        "back_off": Surrounding("10s", _KUBELET),
        "back_off_most": Surrounding("300s", _KUBELET),
        "back_off_forgets": Surrounding("600s", _KUBELET),
        "back_off_look": Surrounding("10s..15s", _KUBELET),
        "back_off_tick": Surrounding("1s", _KUBELET),
        "probes_look": Surrounding("true", _KUBELET),
        "death_seen": Surrounding("0s..1s", _KUBELET),
        "readiness_every": Surrounding("10s", _PROBE),
        "readiness_timeout": Surrounding("1s", _PROBE),
        "readiness_fall": Surrounding("3", _PROBE),
        "readiness_rise": Surrounding("1", _PROBE),
        "name_lag": Surrounding("10ms..100ms", _ASSUMED),
        "name_ttl": Surrounding("30s", "kubeadm's default"),
        "machine_grace": Surrounding("50s", _CLUSTER),
        "machine_word": Surrounding("10s", _KUBELET),
        "machine_look": Surrounding("5s", _CLUSTER),
        "eviction": Surrounding("300s", _CLUSTER),
        "name_eviction": Surrounding("300s", _CLUSTER),
        "name_restart": Surrounding("1s..4s", _ASSUMED),
        "name_again": Surrounding("0s..2s", _ASSUMED),
        "ending_lag": Surrounding("10ms..150ms", _ASSUMED),
        "grace": Surrounding("30s", _CLUSTER),
        "replacement": Surrounding("1s..3s", _MEASURED),
    }

    @classmethod
    def lacks(cls, need: Capability, target: Target, *, attached: bool = False) -> str:
        """Pods of ours can be more, and are refused in other words."""
        if attached:
            return super().lacks(need, target, attached=attached)
        if need not in cls.offers:
            return _OURS.get(need) or REFUSALS[need]
        return by_address(target) if need is C.DELETES else ""

    @classmethod
    def around(cls, experiment: Experiment) -> Mapping[str, Surrounding]:
        """Behind a gate that stays, a system dies without its container, of which kubelet then hears nothing."""
        attach = experiment.cluster.attach
        if attach is not None and attach.pods is not None:
            return {**cls.surroundings, **{name: Surrounding(text, _TOLD) for name, text in attach.pods.says.items()}}
        found = {**cls.surroundings, "replacement": OURS_FOLLOW, **_succession(experiment)}
        if any(made(spec).revival == "policy" for spec in experiment.faults):
            return found
        return {name: each for name, each in found.items() if not name.startswith(("back_off", "death_seen", "probes_look"))}

    @classmethod
    def target_lacks(cls, target: Target, part: str) -> tuple[str, str] | None:
        """What cannot stand behind a gate."""
        form = target.parts[part].docker
        if target.pid1 or any(each.by_process for each in target.parts.values()):
            return (f"the target '{target.name}' insists on being PID 1, and a gate stands before it in pods", "the runtime 'docker'")
        if form is None:
            how = "use another runtime, or add 'docker: {image: ..., command: [...]}' to its target.yaml"
            return (f"the target '{target.name}' cannot run in containers: part '{part}' has no 'docker'", how)
        if not form.command:
            how = "docker: {..., command: [...]} in its target.yaml: in pods that command stands in place of the image's own"
            return (f"part '{part}' of the target '{target.name}' does not say what its containers run", how)
        return None

    @classmethod
    @contextmanager
    def elsewhere(cls, plan: Plan) -> Iterator[object | None]:
        """The cluster's API server, unless we are in one of its pods already."""
        if os.environ.get(IN_POD):
            yield None
            return
        from chaos.kube.access import read
        from chaos.kube.api import Api

        cluster = plan.experiment.cluster
        where = cluster.kubernetes if cluster.attach is None else cluster.attach.pods
        assert where is not None
        api = Api(read(where.kubeconfig, where.context))
        try:
            yield api
        finally:
            api.close()

    @classmethod
    def stays(cls, plan: Plan) -> str:
        """An ephemeral container's name."""
        attach = plan.experiment.cluster.attach
        if attach is None or attach.pods is None or attach.pods.guests != "ephemeral":
            return ""
        return (
            "each pod gets an ephemeral container. It ends with the run, and stays in the pod's description until the pod goes:"
            " nobody can take it out"
        )

    @classmethod
    def by_hand(cls) -> KubernetesRuntime:
        """Without a name that clients resolve."""
        return cls(traffic=False)

    @classmethod
    def held_lacks(cls, plan: Plan, known: frozenset[Capability]) -> tuple[str, str] | None:
        """Of pods that run already; in those of ours a held cluster has all that a run has."""
        from chaos.runtimes.kubernetes.by_hand import lacks

        return lacks(plan, known)

    @classmethod
    def running(cls, attach: AttachSpec) -> dict[str, list[str]]:
        """As the API server lists them."""
        from chaos.kube.find import in_order, pod_of, selector_of, service_of

        with _asked(attach) as (api, spec):
            selector = selector_of(spec, service_of(api, spec))
            pods = [pod_of(each, spec) for each in api.listed("pods", spec.namespace, selector)]
        return {spec.service: [pod.name for pod in in_order(pods) if pod.container_id]}

    @classmethod
    def spots(cls, attach: AttachSpec, named: Collection[str]) -> Sequence[Spot]:
        """As the API server has them."""
        from chaos.kube.spots import spots

        with _asked(attach) as (api, spec):
            return spots(api, spec, named)

    @classmethod
    def labels(cls, attach: AttachSpec, parts: Sequence[str]) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """Of the pods, as the API server has them. Pods are one part."""
        from chaos.kube.spots import there

        with _asked(attach) as (api, spec):
            return {parts[0]: [pod.labels for pod in there(api, spec)]}

    @classmethod
    def told(cls, attach: AttachSpec) -> Told:
        """As the API server has it; of a cluster that is out of reach only that it is."""
        from chaos.kube.access import by_kubeconfig
        from chaos.kube.api import Api
        from chaos.kube.told import at_first, told

        pods = attach.pods
        assert pods is not None

        def read() -> Told:
            api = Api(by_kubeconfig(pods))
            try:
                return told(api, pods)
            finally:
                api.close()

        return at_first(read)

    @classmethod
    def ground(cls, experiment: Experiment) -> Sequence[Spot]:
        """The machines of the cluster that take pods."""
        from chaos.kube.access import read
        from chaos.kube.api import Api
        from chaos.kube.spots import machines

        where = experiment.cluster.kubernetes
        api = Api(read(where.kubeconfig, where.context))
        try:
            return machines(api)
        finally:
            api.close()

    @classmethod
    def keeper(cls, experiment: Experiment) -> str:
        """The provisioner of the claims' StorageClass; empty for a cluster that is out of reach, or has no such class."""
        from chaos.kube.access import read
        from chaos.kube.api import Api
        from chaos.kube.classes import chosen, classes

        where = experiment.cluster.kubernetes
        try:
            api = Api(read(where.kubeconfig, where.context))
        except EnvironmentUnusable:
            return ""
        try:
            found = classes(api)
            return "" if found is None else chosen(found, where.storage_class).provisioner
        except EnvironmentUnusable:
            return ""  # refused when a run begins
        finally:
            api.close()

    @classmethod
    def called(cls, folder: Path) -> Mapping[str, str]:
        """The pod that each node is."""
        from chaos.runtimes.kubernetes.leftovers import called

        return called(folder)

    @classmethod
    def leftovers(cls, crashed: Sequence[CrashedRun], state: Path, *, thorough: bool) -> list[Left]:
        """In the clusters that crashed runs used."""
        del state, thorough
        from chaos.runtimes.kubernetes.leftovers import leftovers

        return leftovers(crashed)

    @classmethod
    def heal(cls, run: CrashedRun, left: Sequence[Left], state: Path) -> list[tuple[Left | None, str]]:
        """Pods as they were, and all that is ours away."""
        del state
        from chaos.runtimes.kubernetes.leftovers import heal

        return heal(run, left)

    @contextmanager
    def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> Iterator[RunningCluster]:
        """Find the pods, stand in their networks; leaving gives back those of others. Only in a pod of ours: ``elsewhere`` leads there."""
        from chaos.kube.access import inside
        from chaos.kube.api import Api
        from chaos.registry import runs as registry
        from chaos.runtimes.kubernetes.ephemeral import EphemeralSession
        from chaos.runtimes.kubernetes.lodgers import EPHEMERAL
        from chaos.runtimes.kubernetes.own.session import OwnSession
        from chaos.runtimes.kubernetes.session import PodSession

        attach = deployment.plan.experiment.cluster.attach
        api = Api(inside())
        try:
            with registry.claim(deployment.run, deployment.folder, self.name) as claim:
                session: Session
                if attach is None or attach.pods is None:
                    session = OwnSession(deployment, api, claim, sink, clock, self.at_home)
                else:
                    kind = EphemeralSession if attach.pods.guests == EPHEMERAL else PodSession
                    session = kind(deployment, api, claim, sink, clock, self.at_home, traffic=self._traffic)
                with session.up() as cluster:
                    yield cluster
        finally:
            api.close()
