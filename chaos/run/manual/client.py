"""The side of whoever orders a fault by hand: finds the harness that holds a cluster, sends the order, hears what happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.history.events import Row
from chaos.registry import runs as registry
from chaos.run.manual.injection import ByHand
from chaos.run.manual.socket import HandOrder, Refusal, call, socket_of
from chaos.run.signals import Interruption
from chaos.run.stop import active


def send(name: str | None, hand: HandOrder, interruption: Interruption, steps: Callable[[Row], None]) -> ByHand:
    """One fault by the harness that holds the cluster ``name`` (its name or folder; None: the only one there is).

    ``BadInput`` where no such cluster is up, or the order is wrong; ``EnvironmentUnusable`` where the harness cannot do it.
    """
    running = active()
    found = [record for record in running if name is None or record.run == name or Path(record.folder) == Path(name).absolute()]
    if len(found) != 1:
        what = f"no cluster '{name}' is up" if name else f"{len(found)} clusters are up" if found else "no cluster is up"
        names = ", ".join(record.run for record in running)
        raise BadInput(what, right=f"--run, one of: {names}" if names else "nines up X.yaml, or --attach label=app=web")
    interruption.at_once = False
    with interruption.watched():
        path = socket_of(registry.state_dir(), found[0].run)
        answer = call(path, hand, steps, lambda: interruption.signal_number is not None)
    if isinstance(answer, Refusal):
        if answer.exit_code == BadInput.exit_code:
            raise BadInput(answer.refused)
        raise EnvironmentUnusable(answer.refused, how="")
    return answer
