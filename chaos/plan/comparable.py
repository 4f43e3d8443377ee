"""Which runs may be compared and pooled: those whose plans say the same of what is harmed, how, and under which traffic.

What is not said counts for nothing. So a later version that has more to say, each with a default, still knows the runs of this one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from typing import Final

import msgspec

from chaos.experiment.document import Experiment, Slo
from chaos.experiment.production import PredictSpec
from chaos.experiment.safety import AbortIf
from chaos.experiment.target.spec import DockerPart, Target
from chaos.plan.placing import MACHINES

MEANING: Final = 1
"""Raised when a default comes to mean something else: runs before and after are then not the same."""


def configuration_hash(experiment: Experiment, target: Target, runtime: str) -> str:
    """Equal for runs whose faults of a class may be compared: leaves out seed, name, question, objectives, promises, how often and how
    long it is done, when it is called off, where the files lie, and which image is started (that is the system's version)."""
    faults = tuple(msgspec.structs.replace(spec, line=0, path="", times=None) for spec in experiment.faults)
    cluster = msgspec.structs.replace(experiment.cluster, target=target.name, runtime="")
    if cluster.attach is not None and cluster.attach.pods is not None:  # where they stood this time, and what they said
        zones = {} if cluster.attach.pods.stand else cluster.zones
        bare_pods = msgspec.structs.replace(cluster.attach.pods, stand={}, lies={}, says={}, answers={}, past={}, unseen="")
        cluster = msgspec.structs.replace(cluster, attach=msgspec.structs.replace(cluster.attach, pods=bare_pods), zones=zones)
    if cluster.attach is not None:
        cluster = msgspec.structs.replace(cluster, attach=msgspec.structs.replace(cluster.attach, labels={}))
    ours = cluster.kubernetes
    if ours.stand or ours.within:  # the machines that there were this time
        zones = cluster.zones if ours.zones == MACHINES else {}
        cluster = msgspec.structs.replace(cluster, kubernetes=msgspec.structs.replace(ours, stand={}, within={}, lies={}), zones=zones)
    cluster = msgspec.structs.replace(cluster, kubernetes=msgspec.structs.replace(cluster.kubernetes, keeper=""))  # not always asked
    bare = msgspec.structs.replace(
        experiment, name="", seed=0, question="", objectives=(), expect_verdict="", file="", overrides=(), faults=faults, duration_s=None,
        cluster=cluster, predict=PredictSpec(), slo=Slo(latency_s=experiment.slo.latency_s), abort_if=AbortIf(),
    )  # fmt: skip
    parts = {name: msgspec.structs.replace(part, docker=_without_image(part.docker)) for name, part in target.parts.items()}
    declared = msgspec.structs.replace(target, folder="", about="", parts=parts)
    said = msgspec.json.encode((MEANING, stated((bare, declared, runtime))), order="deterministic")
    return hashlib.sha256(said).hexdigest()[:16]


def _without_image(form: DockerPart | None) -> DockerPart | None:
    return None if form is None else msgspec.structs.replace(form, image=None)


def stated(value: object) -> object:
    """What is said in it, as plain values: a struct is its class and those of its fields that differ from their defaults."""
    if isinstance(value, msgspec.Struct):
        said = {field.name: (getattr(value, field.name), _default(field)) for field in msgspec.structs.fields(value)}
        fields = {name: each for name, (each, default) in said.items() if each != default}
        return [type(value).__name__, stated(fields)]
    if isinstance(value, Mapping):
        return {str(key): stated(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [stated(each) for each in value]
    if isinstance(value, Set):
        return sorted((stated(each) for each in value), key=repr)
    return value


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory() if callable(field.default_factory) else msgspec.NODEFAULT
