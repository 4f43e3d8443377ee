"""Several calls at the same time, each to its end: a link must not be cut tens of milliseconds after the first of its layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from chaos.net.toxiproxy.errors import ToxiproxyError

Key = TypeVar("Key")
Result = TypeVar("Result")

AT_ONCE: Final = 8


def several(keys: Iterable[Key], call: Callable[[Key], Result]) -> dict[Key, Result | ToxiproxyError]:
    """What came of each, in the order of the keys; a failure stands in the place of its result, any other error is raised."""

    def one(key: Key) -> Result | ToxiproxyError:
        try:
            return call(key)
        except ToxiproxyError as error:
            return error

    wanted = list(dict.fromkeys(keys))
    if len(wanted) < 2:
        return {key: one(key) for key in wanted}
    with ThreadPoolExecutor(min(AT_ONCE, len(wanted)), thread_name_prefix="toxiproxy") as pool:
        return dict(zip(wanted, pool.map(one, wanted), strict=True))


def raise_first(results: dict[Key, Result | ToxiproxyError]) -> None:
    """The first failure, if there is one."""
    for result in results.values():
        if isinstance(result, ToxiproxyError):
            raise result
