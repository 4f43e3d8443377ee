"""Whether an experiment on several Docker hosts can be done: by its runtime, and the power of a host by a command that is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from chaos.core.capabilities import Capability
from chaos.core.errors import CapabilityMissing
from chaos.experiment.document import Experiment
from chaos.experiment.selectors import Zone
from chaos.experiment.target.spec import Target
from chaos.plan.capabilities import elsewhere
from chaos.plan.cluster import refuse
from chaos.plan.faults import Planned
from chaos.plan.traits import made
from chaos.plugin import Runtime

OF_HOSTS: Final[Mapping[Capability, str]] = {
    Capability.HOSTS: "switches one host off, by its own command",
    Capability.DRAINS: "empties one host",
    Capability.HOST_CUTS: "cuts one host off",
}  # fmt: skip
"""What is done to a host as a whole."""
TAKES_HOSTS: Final = frozenset({Capability.HOSTS, Capability.HOST_CUTS})
"""What takes a host away from under whoever stands there."""


def check_hosts(experiment: Experiment, target: Target, runtime: type[Runtime], faults: Sequence[Planned]) -> None:
    """``CapabilityMissing`` for a runtime without hosts, ``BadInput`` for one that is meant by nothing, or whose power nothing switches."""
    hosts = experiment.cluster.hosts
    if hosts and (why := runtime.lacks(Capability.HOSTS, target)):
        how = f"leave 'cluster.hosts' out{elsewhere(frozenset({Capability.HOSTS}), target, ', or use ')}"
        raise CapabilityMissing(f"the runtime '{runtime.name}' has no hosts: {why}", how=how)
    for planned in faults:
        needs = planned.fault.needs & OF_HOSTS.keys()
        if not needs:
            continue
        path, aim = f"{planned.path}.target", planned.spec.target
        attach = experiment.cluster.attach
        pods = attach.pods if attach is not None else None
        known = {*hosts, *experiment.cluster.kubernetes.stand.values()} if pods is None else set(pods.stand.values())
        if not isinstance(aim, Zone) or aim.zone not in known:
            message = f"the fault '{planned.spec.name}' {' and '.join(sorted(OF_HOSTS[need] for need in needs))}"
            raise refuse(experiment, path, message, "target: {host: b}")
        if Capability.HOSTS not in needs:
            continue
        if pods is None and aim.zone in hosts and not hosts[aim.zone].power_off:
            right = f"cluster: {{hosts: {{{aim.zone}: {{engine: ..., power_off: ..., power_on: ...}}}}}}, or 'by: rules'"
            raise refuse(experiment, path, f"nothing says how '{aim.zone}' is switched off", right)
        if pods is not None and aim.zone not in pods.hosts:
            right = f"attach: {{kubernetes: {{..., hosts: {{{aim.zone}: {{power_off: ..., power_on: ...}}}}}}}}"
            raise refuse(experiment, path, f"nothing says how '{aim.zone}' is switched off", right)


def struck_hosts(experiment: Experiment) -> frozenset[str]:
    """Those that a fault takes away from under whoever stands there: the harness is not to stand on one of them."""
    specs = [spec for spec in experiment.faults if TAKES_HOSTS & made(spec).needs and isinstance(spec.target, Zone)]
    return frozenset(spec.target.zone for spec in specs if isinstance(spec.target, Zone))
