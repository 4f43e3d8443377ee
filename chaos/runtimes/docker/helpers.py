"""Our helpers of one run on docker: name server and probers as containers; the role watch as a process beside the harness."""

from __future__ import annotations

from collections.abc import Callable

from chaos.core.clock import Clock
from chaos.core.values import DNS
from chaos.experiment import probe_options
from chaos.history.events import Row
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.helper import Breakage, Helper
from chaos.runtimes.base.helpers import DATA, MODULES, PROBER, Helpers, sends
from chaos.runtimes.docker.containers import REFUSES_EACH, Containers, Endpoint, Spec
from chaos.runtimes.docker.layout import FOLDER_INSIDE, TARGET_INSIDE, DockerLayout
from chaos.runtimes.docker.talker import ContainerTalker, waiting_command


class ContainerHelpers(Helpers):
    """``owners``: the container that owns a helper's place on the network, where an agent of ours stands there.

    ``images``: of the name server, and of the probers, which may have client libraries beside.
    """

    def __init__(
        self, deployment: Deployment, layout: DockerLayout, containers: Containers, network: str, images: tuple[str, str], claim: Claim,
        breakage: Breakage, sink: Sink, clock: Clock,
    ) -> None:  # fmt: skip
        super().__init__(deployment, layout, claim, breakage, sink, clock, folder=FOLDER_INSIDE, target_folder=TARGET_INSIDE)
        self.owners: dict[str, str] = {}
        self._containers = containers
        self._network = network
        self._image, self._clients_image = images
        self._talkers: dict[str, ContainerTalker] = {}

    def make(self, name: str, place: str, on_row: Callable[[Row], None] | None = None, sink: Sink | None = None) -> Helper:
        """In a container, which joins its place's owner; that of a sender is the one that runs longest, where no agent stands there."""
        longest = PROBER if self._deployment.plan.data is None else DATA
        agent = self.owners.get(place) or (f"nines-{self._containers.run}-{longest}" if name not in (DNS, longest) else "")
        spec = Spec(
            name=f"nines-{self._containers.run}-{name}",
            node=place,
            role=name,
            image=self._clients_image if sends(name) else self._image,
            command=waiting_command(MODULES.get(name, MODULES[PROBER]), f"{FOLDER_INSIDE}/specs/{name}.json"),
            endpoint=None if agent else Endpoint(self._network, self._layout.real_address(place), (), ()),
            joins=agent,
            sysctls=REFUSES_EACH if place == DNS and not agent else {},
            shares_pids=False,
            env={"PYTHONUNBUFFERED": "1", **(self._secrets() if sends(name) else {})},
            capabilities=("SYS_NICE",),
            binds={str(self._folder): FOLDER_INSIDE, self._deployment.target.folder: f"{TARGET_INSIDE}:ro"},
            talks=True,
            ends_with_us=True,
            measures=True,
        )
        container = self._containers.create(spec)
        talker = self._talkers[name] = ContainerTalker(self._containers.api, container, name, self._log(name), self._clock)
        helper = self._helper(talker, name, on_row, sink)
        helper.start()
        self._containers.start(container, spec.name)
        return helper

    def let_go(self, helper: Helper, spec: bytes) -> None:
        """One in a container reads its spec in the run folder."""
        talker = self._talkers.get(helper.child.name)
        if talker is None:
            super().let_go(helper, spec)
        else:
            self._keep(helper, spec)
            talker.go()

    def close(self) -> None:
        """Detach from them first."""
        for talker in self._talkers.values():
            talker.close()
        super().close()

    def _secrets(self) -> dict[str, str]:
        """What headers name of our environment, which the prober's container does not share."""
        plan = self._deployment.plan
        kinds = [*plan.operations.values(), *(plan.data.kinds if plan.data is not None else ())]
        return probe_options.secrets((kind.options for kind in kinds), self._deployment.target.folder)
