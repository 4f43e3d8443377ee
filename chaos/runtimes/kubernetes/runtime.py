"""``kubernetes``: pods of a cluster that run already. The harness travels into the cluster; a guest stands in the network of each pod.

Kubelet starts a container again that has died, later and later with each death, and nobody else can: kills are for it to mend.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.errors import CapabilityMissing
from chaos.experiment.cluster import AttachSpec
from chaos.experiment.pods import PodsSpec
from chaos.experiment.target.spec import Target
from chaos.plan.plan import Plan
from chaos.plugin import CrashedRun, Deployment, Left, Runtime, Sink, Spot, Surrounding

if TYPE_CHECKING:
    from chaos.runtimes.base.cluster import RunningCluster

C = Capability
_LIMITS: Final = "what it uses up would have to be given limits first, and those of pods that run are not changed"
_KUBELET: Final = "kubelet's default"
_CLUSTER: Final = "Kubernetes' default"
_PROBE: Final = "a readiness probe's default"
IN_POD: Final = "NINES_IN_POD"
"""In the environment of a harness that has travelled."""


class KubernetesRuntime(Runtime):
    """``Runtime`` on pods that somebody else runs."""

    name: ClassVar[str] = "kubernetes"
    offers: ClassVar[frozenset[Capability]] = frozenset()
    attached: ClassVar[frozenset[Capability] | None] = frozenset({
        C.SIGNALS, C.RESTART_POLICY, C.DELETES, C.LINKS, C.STREAMS, C.PORTS, C.PORT_CUTS, C.PACKET_RULES, C.NEW_CONNECTIONS, C.CONNECTIONS,
        C.SURGES, C.ENGINE_NAMES, C.SESSIONS, C.NAME_SET, C.NAME_ANSWERS, C.CGROUP, C.SHARED_DISK,
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

    # Read in the source of v1.34; docs/models.md, "Orchestrators".
    surroundings: ClassVar[Mapping[str, Surrounding]] = {
        "back_off": Surrounding("10s", _KUBELET),
        "back_off_most": Surrounding("300s", _KUBELET),
        "back_off_forgets": Surrounding("600s", _KUBELET),
        "back_off_look": Surrounding("10s..15s", _KUBELET),
        "death_seen": Surrounding("0s..1s", _KUBELET),
        "readiness_every": Surrounding("10s", _PROBE),
        "readiness_timeout": Surrounding("1s", _PROBE),
        "readiness_fall": Surrounding("3", _PROBE),
        "readiness_rise": Surrounding("1", _PROBE),
        "name_ttl": Surrounding("30s", "kubeadm's default"),
        "machine_grace": Surrounding("50s", _CLUSTER),
        "machine_word": Surrounding("10s", _KUBELET),
        "machine_look": Surrounding("5s", _CLUSTER),
        "eviction": Surrounding("300s", _CLUSTER),
    }

    @classmethod
    def target_lacks(cls, target: Target, part: str) -> tuple[str, str] | None:
        """Nothing is started there."""
        del target, part
        return None

    @classmethod
    @contextmanager
    def elsewhere(cls, plan: Plan) -> Iterator[object | None]:
        """The cluster's API server, unless we are in one of its pods already."""
        if os.environ.get(IN_POD):
            yield None
            return
        from chaos.kube.access import by_kubeconfig
        from chaos.kube.api import Api

        api = Api(by_kubeconfig(_pods(plan)))
        try:
            yield api
        finally:
            api.close()

    @classmethod
    def running(cls, attach: AttachSpec) -> dict[str, list[str]]:
        """As the API server lists them."""
        from chaos.kube.access import by_kubeconfig
        from chaos.kube.api import Api
        from chaos.kube.find import in_order, pod_of, selector_of, service_of

        assert attach.pods is not None
        api = Api(by_kubeconfig(attach.pods))
        selector = selector_of(attach.pods, service_of(api, attach.pods))
        pods = [pod_of(each, attach.pods) for each in api.listed("pods", attach.pods.namespace, selector)]
        return {attach.pods.service: [pod.name for pod in in_order(pods) if pod.container_id]}

    @classmethod
    def spots(cls, attach: AttachSpec, named: Collection[str]) -> Sequence[Spot]:
        """As the API server has them."""
        from chaos.kube.access import by_kubeconfig
        from chaos.kube.api import Api
        from chaos.kube.spots import spots

        assert attach.pods is not None
        api = Api(by_kubeconfig(attach.pods))
        try:
            return spots(api, attach.pods, named)
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
        """Find the pods, stand in their networks; leaving gives them back. Only in a pod of ours: ``elsewhere`` leads there."""
        from chaos.kube.access import inside
        from chaos.kube.api import Api
        from chaos.registry import runs as registry
        from chaos.runtimes.kubernetes.session import PodSession

        _pods(deployment.plan)
        api = Api(inside())
        try:
            with (
                registry.claim(deployment.run, deployment.folder, self.name) as claim,
                PodSession(deployment, api, claim, sink, clock).up() as cluster,
            ):
                yield cluster
        finally:
            api.close()


def _pods(plan: Plan) -> PodsSpec:
    attach = plan.experiment.cluster.attach
    if attach is None or attach.pods is None:
        raise CapabilityMissing(
            "the runtime 'kubernetes' starts no nodes of its own", how="cluster: {attach: {kubernetes: {namespace: shop, service: store}}}"
        )
    return attach.pods
