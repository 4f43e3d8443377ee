"""``cluster.attach.kubernetes``: which pods of a Kubernetes cluster are the nodes; ``cluster.kubernetes``: where those of ours stand.

::

    attach: {kubernetes: {namespace: shop, selector: app=store, service: store}}
    attach: {kubernetes: {namespace: shop, service: store}}                        the Service's own selector
    attach: {kubernetes: {namespace: shop, selector: app=store, context: staging}}
    kubernetes: {namespace: trials, context: staging}                              with runtime: kubernetes
    kubernetes: {volumes: claims, storage_class: fast, size: 4GiB}                 whose pods' data outlives them

Nothing is asked of a cluster here. The cluster is the one that kubectl would use: ``kubeconfig``, else ``$KUBECONFIG``, else
``~/.kube/config``; ``context``, else the current one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from chaos.core.errors import BadInput
from chaos.core.units import SIZE
from chaos.experiment.forms import WORDS, mapping, quantity, string
from chaos.experiment.labels import LABELS
from chaos.experiment.power import MachineSpec
from chaos.experiment.schema import NOTHING, any_of
from chaos.experiment.source import Scalar, Table
from chaos.experiment.tables import UNWRITTEN, Key, Rule, Strict, Written, table

_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""A DNS label (RFC 1123), as Kubernetes names namespaces and Services."""
_NAMESPACE: Final = string("the name of a namespace", pattern=re.compile(_LABEL), right="shop")
_SERVICE: Final = string("the name of a Service", pattern=re.compile(_LABEL), right="store")
_CONTAINER: Final = string("the name of a container", pattern=re.compile(_LABEL), right="store")
_IMAGE: Final = string("the name of an image", pattern=re.compile(r"[A-Za-z0-9._:/@-]+"), right="registry.shop.test/chaos-nines:0.1")
_IMAGES: Final = mapping(_IMAGE)
_CLASS: Final = string("the name of a StorageClass", pattern=re.compile(rf"{_LABEL}(\.{_LABEL})*"), right="standard")
_SIZE: Final = quantity(SIZE, rounded=True, gt=0)
CLAIMS: Final = "claims"


def _check(entry: Table) -> None:
    if entry.get("selector") is None and entry.get("service") is None:
        right = "kubernetes: {namespace: shop, selector: app=store}, or service: store for the pods of that Service"
        raise BadInput("nothing says which pods are meant", place=entry.place, right=right)


class Past(Strict, frozen=True):
    """What the runtime remembers of a node's deaths before the run."""

    deaths: int
    """So many, of which it has not forgotten one."""
    started_s: float
    """When it was last started, counted from the moment of asking: below 0."""


_Spec = TypeVar("_Spec")


def _beside(kind: Callable[..., _Spec], found: dict[str, Any], entry: Table) -> _Spec:
    """A kubeconfig is found beside the file that names it."""
    written = found.get("kubeconfig")
    if written:
        found = found | {"kubeconfig": str(Path(entry.place.file).parent / os.path.expanduser(written))}  # noqa: PTH111 - joined first
    return kind(**found)


def _make(found: dict[str, Any], entry: Table) -> PodsSpec:
    return _beside(PodsSpec, found, entry)


def _check_volumes(entry: Table) -> None:
    kind = entry.get("volumes")
    for key in ("storage_class", "size"):
        value = entry.get(key)
        if value is not None and not (isinstance(kind, Scalar) and kind.text == CLAIMS):
            raise BadInput(f"'{key}' is of claims, and the data goes with its pod here", place=value.place, right=f"volumes: {CLAIMS}")


_ONLY_CLAIMS: Final = Rule(
    _check_volumes,
    any_of(
        {"properties": {"volumes": {"enum": [CLAIMS]}}, "required": ["volumes"]},
        {"properties": {"storage_class": NOTHING, "size": NOTHING}},
    ),
)


def _make_ours(found: dict[str, Any], entry: Table) -> OursSpec:
    return _beside(OursSpec, found, entry)


@Written(rules=(Rule(_check, {"anyOf": [{"required": ["selector"]}, {"required": ["service"]}]}),), blank=True, inline=True, make=_make)
class PodsSpec(Strict, frozen=True):
    """Pods of a Kubernetes cluster that run already."""

    namespace: Annotated[str, _NAMESPACE, Key(example="namespace: shop")]
    """Where they are. What Nines needs there for the run stands in the same namespace"""
    selector: Annotated[str, LABELS] = ""
    """Their labels, as kubectl writes them: ``app=store``. Left out: those of the Service"""
    service: Annotated[str, _SERVICE] = ""
    """The Service whose name clients resolve"""
    container: Annotated[str, _CONTAINER] = ""
    """Which of a pod's containers is the node. Left out: the only one, or the one of kubectl's default-container annotation"""
    guests: Literal["machines", "ephemeral"] = "machines"
    """Where guests stand. ``machines``: in privileged pods on the machines of the pods; ``ephemeral``: in the pods themselves, for ever"""
    context: Annotated[str, WORDS] = ""
    """Of the kubeconfig. Left out: the current one"""
    kubeconfig: Annotated[str, WORDS] = ""
    """A file beside this one. Left out: as kubectl finds it"""
    image: Annotated[str, _IMAGE] = ""
    """The image of Nines that the cluster's nodes have or can pull. Left out: ``$NINES_KUBERNETES_IMAGE``, else chaos-nines"""
    hosts: Annotated[dict[str, MachineSpec], mapping(table(MachineSpec))] = {}
    """Machine, as ``kubectl get nodes`` calls it -> how its power is switched"""
    stand: Annotated[dict[str, str], UNWRITTEN] = {}
    """Node -> the machine that it stood on when this was asked for a selector (``plan.placing``)."""
    lies: Annotated[dict[str, str], UNWRITTEN] = {}
    """Machine -> its zone, where that was asked."""
    says: Annotated[dict[str, str], UNWRITTEN] = {}
    """Parameter of the models -> as pods and cluster said it before the plan."""
    answers: Annotated[dict[str, int], UNWRITTEN] = {}
    """Machine -> how many of the servers of the cluster's names stood there then."""
    past: Annotated[dict[str, Past], UNWRITTEN] = {}
    """Node -> what kubelet remembers of it, where it died before."""
    unseen: Annotated[str, UNWRITTEN] = ""
    """What of that could not be read, and why."""


@Written(rules=(_ONLY_CLAIMS,), blank=True, inline=True, make=_make_ours)
class OursSpec(Strict, frozen=True):
    """Where a cluster of ours stands that is started in Kubernetes: goes with ``runtime: kubernetes``"""

    namespace: Annotated[str, _NAMESPACE] = ""
    """One that is there. Left out: ``$NINES_KUBERNETES_NAMESPACE``, else one of the run's own, which goes with it"""
    context: Annotated[str, WORDS] = ""
    """Of the kubeconfig. Left out: the current one"""
    kubeconfig: Annotated[str, WORDS] = ""
    """A file beside this one. Left out: as kubectl finds it"""
    image: Annotated[str, _IMAGE] = ""
    """The image of Nines that the cluster's nodes have or can pull. Left out: ``$NINES_KUBERNETES_IMAGE``, else chaos-nines"""
    images: Annotated[dict[str, str], _IMAGES] = {}
    """Part -> the image of its nodes. Left out: ``$NINES_KUBERNETES_TARGET_IMAGE``, else what the target names, or nines-target-NAME"""
    zones: Literal["rules", "machines"] = "rules"
    """What ``cluster.zones`` are. ``rules``: groups of nodes, wherever these stand; ``machines``: each is a zone of the machines"""
    volumes: Literal["pods", "claims"] = "pods"
    """Where nodes have their data. ``pods``: it goes with the pod (emptyDir); ``claims``: in PersistentVolumeClaims, which outlive it"""
    storage_class: Annotated[str, _CLASS] = ""
    """Of the claims. Left out: the cluster's default one"""
    size_bytes: Annotated[int, _SIZE] = 1 << 30
    """Of each claim, one a data folder of a node"""
    stand: Annotated[dict[str, str], UNWRITTEN] = {}
    """Node -> the machine that its pod is to stand on, where a selector names one (``plan.placing``)."""
    within: Annotated[dict[str, str], UNWRITTEN] = {}
    """Node -> the zone of machines that its pod has to stand in, by its label."""
    lies: Annotated[dict[str, str], UNWRITTEN] = {}
    """Machine -> its zone, as the experiment calls it, where that was asked."""
    keeper: Annotated[str, UNWRITTEN] = ""
    """Who makes the volumes of the claims (the provisioner of their class), where that was asked."""

    @property
    def outlives(self) -> bool:
        """Whether a node's data outlives its pod."""
        return self.volumes == CLAIMS
