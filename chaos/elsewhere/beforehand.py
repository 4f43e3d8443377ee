"""What a run in a cluster could not do there, refused before anything is made: by the plan, by these pods, by rights, by admission."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.core.capabilities import Capability
from chaos.experiment.pods import PodsSpec
from chaos.kube import ephemeral
from chaos.kube.admission import refuse_unadmitted
from chaos.kube.api import Api, Thing
from chaos.kube.find import Pod
from chaos.kube.objects import Place
from chaos.kube.rights import RIGHTS, refuse_unable
from chaos.plan.capabilities import needed
from chaos.plan.plan import Plan
from chaos.runtimes.kubernetes.able import refuse_beyond, refuse_held_back
from chaos.runtimes.kubernetes.lodgers import EPHEMERAL, refuse_beyond_network


def lodges(spec: PodsSpec) -> bool:
    """Its guests stand in the pods themselves."""
    return spec.guests == EPHEMERAL


def refuse(api: Api, plan: Plan, spec: PodsSpec, service: Thing | None, pods: Mapping[str, Pod], where: Place) -> None:
    """``EnvironmentUnusable`` or ``CapabilityMissing``; the API server is asked, and nothing there is changed."""
    if lodges(spec):
        refuse_beyond_network(plan)
    refuse_beyond(plan, spec, service, pods)
    refuse_unable(api, spec.namespace, ephemeral.RIGHTS if lodges(spec) else RIGHTS, hosts=Capability.DRAINS in needed(plan))
    refuse_held_back(api, plan, spec.namespace, pods)
    if lodges(spec):
        refuse_unadmitted(api, spec.namespace, [ephemeral.unprivileged(where.job(0.0, "", {}))])
        ephemeral.refuse_unadmitted(api, where, [pod.name for pod in pods.values()])
        return
    nobody: Thing = {"metadata": {"name": where.name, "uid": ""}}
    refuse_unadmitted(api, spec.namespace, [where.job(0.0, "", {}), where.guests(nobody, {pod.machine for pod in pods.values()})])
