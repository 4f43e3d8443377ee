"""What a verb has to say of an engine that is elsewhere: asked of a harness of ours that is sent to stand beside it for a moment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from chaos.cli.output import note, show

if TYPE_CHECKING:
    from chaos.history.folder import RunFolder


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
    from chaos.elsewhere.travel import relay as sent

    return sent(argv, say, note, folder)


def answer(argv: Sequence[str]) -> Any:  # noqa: ANN401 - as JSON is
    """What it answers in JSON; None where there is nothing of ours."""
    said: list[str] = []
    if relay([*argv, "--json"], say=said.append) is None:
        return None
    import msgspec

    return msgspec.json.decode("".join(said))
