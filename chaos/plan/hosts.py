"""Whether an experiment on several Docker hosts can be done: by its runtime, and the power of a host by a command that is named."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.core.capabilities import Capability
from chaos.core.errors import CapabilityMissing
from chaos.experiment.document import Experiment
from chaos.experiment.selectors import Zone
from chaos.experiment.target.spec import Target
from chaos.plan.capabilities import elsewhere
from chaos.plan.cluster import refuse
from chaos.plan.faults import Planned
from chaos.plugin import Runtime


def check_hosts(experiment: Experiment, target: Target, runtime: type[Runtime], faults: Sequence[Planned]) -> None:
    """``CapabilityMissing`` for a runtime without hosts, ``BadInput`` for a host's power that nothing switches."""
    hosts = experiment.cluster.hosts
    if hosts and (why := runtime.lacks(Capability.HOSTS, target)):
        how = f"leave 'cluster.hosts' out{elsewhere(frozenset({Capability.HOSTS}), target, ', or use ')}"
        raise CapabilityMissing(f"the runtime '{runtime.name}' has no hosts: {why}", how=how)
    for planned in faults:
        if Capability.HOSTS not in planned.fault.needs:
            continue
        path, aim = f"{planned.path}.target", planned.spec.target
        host = hosts.get(aim.zone) if isinstance(aim, Zone) else None
        if host is None:
            raise refuse(
                experiment, path, f"the fault '{planned.spec.name}' switches one host off, by its own command", "target: {host: b}"
            )
        if not host.power_off:
            assert isinstance(aim, Zone)
            message = f"nothing says how '{aim.zone}' is switched off"
            right = f"cluster: {{hosts: {{{aim.zone}: {{engine: ..., power_off: ..., power_on: ...}}}}}}, or 'by: rules'"
            raise refuse(experiment, path, message, right)
