"""Which limits of a node's container an engine can set. Without a cgroup for it, an engine refuses a limit, or silently sets none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from chaos.core.errors import EnvironmentUnusable

if TYPE_CHECKING:
    from chaos.engine.connection import Facts
    from chaos.experiment.cluster import Resources

_FLAGS: Final = {"cpus": ("CpuCfsQuota", "CPUCfsQuota"), "memory": ("MemoryLimit",)}
"""Key of ``cluster.resources`` -> what an engine's answer to ``/info`` calls it. ``disk`` needs no cgroup: a tmpfs of that size."""
HOW: Final = (
    "boot with cgroup v2 and its controllers (systemd delegates them to rootless engines: docs.docker.com/engine/security/rootless),"
    " or leave these limits out"
)


def unlimited(info: Mapping[str, object], *, rootless: bool) -> tuple[str, ...]:
    """The keys of ``cluster.resources`` that an engine with this answer cannot set; an engine that does not say so can.

    An ordinary user's engine has no say in cgroups of version 1; Podman says all the same that it can limit.
    """
    if rootless and str(info.get("CgroupVersion", "1")) == "1":
        return tuple(_FLAGS)
    return tuple(key for key, flags in _FLAGS.items() if any(info.get(flag) is False for flag in flags))


def why(facts: Facts) -> str:
    """Where its cgroups are, in a few words."""
    if not facts.has_cgroups:
        return "it is rootless, and has no cgroups"
    return f"cgroup v{facts.cgroup} of its kernel has no controllers for it"


def require_limits(facts: Facts, resources: Resources) -> None:
    """``EnvironmentUnusable`` for limits that would not exist, before anything is made."""
    wanted = {"cpus": resources.cpus, "memory": resources.memory_bytes}
    lacking = [key for key in facts.unlimited if wanted[key] is not None]
    if lacking:
        raise EnvironmentUnusable(
            f"cluster.resources: the {facts.product} engine at {facts.host} cannot limit {' and '.join(lacking)}: {why(facts)}", how=HOW
        )
