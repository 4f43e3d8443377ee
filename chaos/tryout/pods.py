"""``nines try --kubernetes NAMESPACE/SERVICE``: the first experiment on the pods behind a Service, and what to fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from chaos.api import Ordered, order_text
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.units import show_s
from chaos.experiment.pods import PodsSpec
from chaos.kube.access import by_kubeconfig
from chaos.kube.api import Api, Thing
from chaos.kube.find import RUN, headless, pod_of, selector_of, service_of
from chaos.results.report import Report
from chaos.tryout.first import Facts, first_experiment, named
from chaos.tryout.fixes import Seen, by_kind
from chaos.tryout.probe import asked
from chaos.tryout.trying import ONE_LEFT, Found, Wanted

SETTLE_S: Final = 60
"""A second death of the same container is answered after 10 s at the earliest."""


def tried(where: str, context: str, wanted: Wanted, carry: Callable[[Found, Ordered], int], alone: Callable[[Found], None]) -> int:
    """The exit status. ``where``: ``shop/store``; ``carry`` runs the experiment and shows its page."""
    namespace, slash, name = where.partition("/")
    if not (namespace and slash and name):
        raise BadInput(f"--kubernetes {where}: no namespace and Service", right="--kubernetes shop/store --probe http://store:8080/")
    spec = PodsSpec(namespace, service=name, context=context)
    question = asked(wanted.probe, wanted.send, wanted.expect)
    api = Api(by_kubeconfig(spec))
    try:
        service = service_of(api, spec)
        selector = selector_of(spec, service)
        things = [each for each in api.listed("pods", namespace, selector) if RUN not in each["metadata"].get("labels", {})]
    finally:
        api.close()
    running = [pod for pod in (pod_of(each, spec) for each in things) if pod.container_id and not pod.ending]
    if not running:
        raise EnvironmentUnusable(f"no pod of {where} runs", how=f"kubectl -n {namespace} get pods -l {selector}")
    told = {"namespace": namespace, "service": name} | ({"context": context} if context else {})
    facts = Facts(
        project=namespace, services=(name,), nodes=len(running), asked=question, restarts=True, availability=wanted.availability,
        times=1, attach={"kubernetes": told}, settle_s=SETTLE_S, thing="pod",
        one_address=not headless(service),
    )  # fmt: skip
    title = named(namespace, (name,))
    seen = Seen((name,), len(running), ("Always",) * len(running), checked=all(map(_probed, things)))
    found = Found(facts, seen, title, first_experiment(facts, title, wanted.command))
    if len(running) < 2:
        alone(found)
        return ONE_LEFT
    return carry(found, order_text(found.text, Path(f"{title}.yaml"), seed=wanted.seed))


def advice(report: Report | None, seen: Seen) -> list[str]:
    """What to fix, of pods."""
    found = []
    if seen.containers < 2:
        found.append(f"{seen.services[0]} has one pod: whatever ends it is an outage until it is back. Run two: kubectl scale --replicas 2")
    noticed = {} if report is None else {kind: each for kind, each in by_kind(report).items() if each.noticed}
    words = {"kill": "A killed container", "pause": "A frozen container", "isolate": "A pod that is cut off"}
    for kind, each in noticed.items():
        cost = "an outage" if each.outage_s.value is None else show_s(each.outage_s.value)
        share = f"in {each.noticed} of {each.effective} cases"
        found.append(f"{words[kind]} costs clients {cost}, {share}: let them try another address at once.")
    if not seen.checked:
        found.append("Not all containers have a readinessProbe: a pod that does not answer stays behind the Service.")
    return found


def _probed(thing: Thing) -> bool:
    containers: list[dict[str, Any]] = thing["spec"]["containers"]
    return all("readinessProbe" in each for each in containers)
