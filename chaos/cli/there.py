"""What a verb has to say of an engine that is elsewhere: asked of a harness of ours that is sent to stand beside it for a moment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.cli.output import note, show

if TYPE_CHECKING:
    from chaos.history.folder import RunFolder
    from chaos.plan.plan import Plan


def is_used() -> bool:
    """Whether one ever stood beside the engine that the docker command would use; costs a millisecond or two."""
    from chaos.elsewhere.place import VOLUME
    from chaos.engine.connection import BESIDE, may_have

    return not os.environ.get(BESIDE) and may_have(f"/volumes/{VOLUME}")


def require_named() -> None:
    """``EnvironmentUnusable`` if the settings of the docker command name an engine that cannot be spoken to: what is there is not known."""
    from chaos.engine.address import is_named
    from chaos.engine.connection import BESIDE, connect

    if is_named() and not os.environ.get(BESIDE):
        connect(checked=False).close()


@contextlib.contextmanager
def unseen(consequence: str) -> Iterator[None]:
    """Where an engine that cannot be spoken to is no reason to end: told on standard error."""
    from chaos.core.errors import EnvironmentUnusable

    try:
        yield
    except EnvironmentUnusable as error:
        note(f"nines: {error.what}: {consequence}\n  {error.how}")


def relay(argv: Sequence[str], folder: RunFolder | None = None, say: Callable[[str], None] = show) -> int | None:
    """The verb as it is written, done there; its exit status. None where there is nothing of ours, and no ``folder`` to be filled."""
    if folder is None and not is_used():
        return None
    from chaos.elsewhere.verbs import relay as sent

    return sent(argv, say, note, folder)


def answer(argv: Sequence[str]) -> Any:  # noqa: ANN401 - as JSON is
    """What it answers in JSON; None where there is nothing of ours."""
    said: list[str] = []
    if relay([*argv, "--json"], say=said.append) is None:
        return None
    import msgspec

    return msgspec.json.decode("".join(said))


class Crashed:
    """Runs on several hosts that this command, or one before it, sent to the first of them, and that are not proven gone."""

    def __init__(self) -> None:
        from chaos.registry import runs as registry

        self._records = [each for each in registry.stale() if each.further]

    def _plans(self) -> Iterator[tuple[str, RunFolder, Plan]]:
        from chaos.core.errors import NinesError
        from chaos.history.folder import RunFolder

        for record in self._records:
            folder = RunFolder(Path(record.folder))
            folder.run = record.run
            with contextlib.suppress(NinesError, OSError):  # what the record names is healed without
                yield record.run, folder, folder.read_plan()

    def await_ended(self) -> None:
        """Until none of their harnesses rolls back any more. ``EnvironmentUnusable`` for one that does not end."""
        from chaos.elsewhere.verbs import await_harness

        for run, _, plan in self._plans():
            await_harness(plan, run)

    def settle(self) -> list[str]:
        """What is kept beside their first hosts goes, once they are healed; what is in the way of that."""
        from chaos.core.errors import EnvironmentUnusable
        from chaos.elsewhere.verbs import healed_on_hosts
        from chaos.registry import runs as registry

        still = {each.run for each in registry.stale()}
        problems = []
        for run, folder, plan in self._plans():
            if run in still:
                continue
            try:
                why = healed_on_hosts(plan, folder, note)
            except EnvironmentUnusable as error:
                why = error.what
            problems += [f"{run}: what is kept beside its first host: {why}"] * bool(why)
        return problems
