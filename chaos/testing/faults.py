"""What every fault must do, tried on a virtual cluster: declarations that hold, a proven effect, an undo, a proof that it is gone."""

from __future__ import annotations

from pathlib import Path

import msgspec

from chaos.core import plugins as tables
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Victims
from chaos.experiment.document import experiment_schema
from chaos.history.undo import UndoLog, pending
from chaos.plan.traits import declared, made, make
from chaos.plugin import ActsOnLinks, Fault, Scene
from chaos.run.life import pick
from chaos.testing.stage import Stage, virtual
from chaos.testing.stubs import StubCluster, StubNet, StubNode


class _Interrupted(Exception):
    """Something else went wrong while the fault was in force."""


def check_fault(entry: str, folder: Path, *, steps: int = 3) -> None:
    """All of it, for one fault as an experiment says it: ``{pause: {}, target: n1, at: 1s, for: 1s}``.

    ``AssertionError`` says what does not hold. ``folder`` takes what the stage writes; nothing may be in it.
    """
    with virtual(folder, entry) as stage:
        (spec,) = stage.plan.experiment.faults
        fault = made(spec)
        victims = pick(stage.plan, stage.scene.cluster, spec, frozenset(stage.scene.cluster.nodes), draw=1)
        check_declarations(spec.kind, fault)
        check_effect(stage, fault, victims, steps=steps)
        check_undo(stage, fault, victims)
    if victims.nodes:
        check_refusal(fault, victims, folder)


def check_declarations(kind: str, fault: Fault) -> None:
    """It is found by its name, comes back from a plan as it was, stands in the JSON Schema, and people are told how to take it back."""
    assert isinstance(fault, Fault), f"{type(fault).__name__} does not inherit from chaos.plugin.Fault"
    assert tables.find("faults", kind) is type(fault), f"'{kind}' is another fault than {type(fault).__name__}"
    written = msgspec.to_builtins(fault)
    again = make(kind, written)
    assert again == fault, f"{fault} comes back from a plan as {again}"
    assert declared(again) == declared(fault)
    definitions = experiment_schema()["$defs"]
    assert f"fault-{kind}" in definitions, f"'{kind}' does not stand in the JSON Schema"
    assert definitions[f"fault-{kind}"].get("description"), f"nothing says what '{kind}' is: write a docstring"
    assert fault.by_hand, "nothing says how it is taken back without the harness: 'by_hand'"
    assert fault.takes or fault.untargeted, "it takes nothing from a selector, and is not 'untargeted' either"
    assert fault.needs, "it needs nothing of its runtime: which capability does it use?"


def check_effect(stage: Stage, fault: Fault, victims: Victims, *, steps: int = 3) -> None:
    """It takes effect after it was asked for, with figures from outside; is healed after that; and is gone, with nothing left to undo."""
    asked_ns = stage.scene.clock.now_ns()
    with fault.inject(stage.scene, victims) as effect:
        in_force_ns = stage.scene.clock.now_ns()
        assert asked_ns <= effect.effective_at_ns <= in_force_ns, "its effect does not lie between its order and its proof"
        assert effect.mechanism, "nothing says by what means it was done"
        assert effect.during, "nothing was measured while it is in force"
        assert pending(stage.undo), "its undo is not on disk while it is in force"
        for _ in range(steps if effect.step is not None else 0):
            assert effect.step is not None
            again_ns = effect.step()
            if again_ns is None:
                break
            assert again_ns >= stage.scene.clock.now_ns(), "it wants to be called again in the past"
            stage.scene.clock.wait_until_ns(again_ns)
        stage.let_pass(0.5)
    assert effect.healed_at_ns is not None, "nothing says when it was healed"
    assert effect.effective_at_ns < effect.healed_at_ns <= stage.scene.clock.now_ns(), "it was healed before it took effect"
    stage.wait_gone(effect)


def check_undo(stage: Stage, fault: Fault, victims: Victims) -> None:
    """An error while it is in force is passed on, and leaves nothing in force."""
    effect = None
    try:
        with fault.inject(stage.scene, victims) as effect:
            stage.let_pass(0.2)
            raise _Interrupted
    except _Interrupted:
        pass
    else:
        raise AssertionError("it swallowed an error of others")
    assert effect is not None
    stage.wait(lambda: effect.gone().ok)


def check_refusal(fault: Fault, victims: Victims, folder: Path) -> None:
    """On nodes and links that nothing can be done to it does not claim to have taken effect, and leaves nothing to be undone."""
    if isinstance(fault, ActsOnLinks):
        return  # what a net does for it is the net's to prove
    from chaos.core.clock import ManualClock

    log = folder / "refused.jsonl"
    deaf = [StubNode(name, deaf=True) for name in victims.nodes]
    scene = Scene(cluster=StubCluster(deaf, StubNet()), clock=ManualClock(), undo=UndoLog(log))
    try:
        with fault.inject(scene, victims):
            raise AssertionError("it claims to have taken effect on nodes that ignored it")
    except FaultNotEffective:
        pass
    assert pending(log) == [], "it did not take effect, and left something to be undone"
