"""What the author of a probe kind reads: a slot, and the protocol of the thing that sends one attempt of it.

    engine: slot is due -> address picked -> probe.send(slot) -> ... -> slot.end(outcome, why)     the attempt is over
                                                      \\-> time is up -> slot.carrier.cut()        no ``end`` may follow

A probe never waits, never retries and keeps no time: attempts, other addresses, time-outs and deadlines are the engine's.
One thing alone it may repeat by itself: a request that was provably never given to the network, because the kept-alive
connection turned out closed *before* the write.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from chaos.errors import BadInput
from chaos.observations import Outcome, Why
from chaos.tables import suggest

if TYPE_CHECKING:
    from chaos.prober_engine import Grid

RUN_WORDS: Final = ("address", "key", "value", "slot")
"""The words of a template that differ from slot to slot."""
_WORD: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Carrier(Protocol):
    """What an attempt is under way on."""

    def cut(self) -> bool:
        """Drop the attempt at once, by reset where there is a connection; true if any of the request may have reached the service."""
        ...


class Slot:
    """One due time of one operation, on its way to becoming one record. Fields without a comment are the engine's own."""

    __slots__ = (
        "address", "attempts", "carrier", "deadline_ns", "due_ns", "ended", "expiry_ns",
        "grid", "index", "key", "sent_ns", "sure", "tried", "value",
    )  # fmt: skip

    grid: Grid
    index: int
    """Its number on its grid, from 0: the word ``{slot}``."""
    key: str
    """The word ``{key}``."""
    value: str
    """The word ``{value}``: no other slot of any run has the same. Attempts of one slot do."""
    address: str
    """Where this attempt goes."""
    carrier: Carrier | None
    """Set by the probe while an attempt is under way."""
    due_ns: int
    sent_ns: int
    deadline_ns: int
    expiry_ns: int
    """When this attempt will be cut."""
    attempts: int
    sure: bool
    tried: tuple[str, ...]
    ended: Callable[[Slot, Outcome, Why], None]

    def end(self, outcome: Outcome, why: Why) -> None:
        """The attempt is over. ``FAIL`` only if the operation was definitely not done; ``UNSENT`` if *we* could not send it."""
        self.carrier = None
        self.ended(self, outcome, why)


class Probe(Protocol):
    """One operation's sender; see the module's picture."""

    @property
    def host(self) -> str | None:
        """The name or IPv4 address to ask instead of the cluster's name; None for the cluster's."""
        ...

    def send(self, slot: Slot) -> None:
        """Begin one attempt at ``slot.address``; may end it before returning."""
        ...

    def close(self) -> None:
        """Let go of all connections and processes."""
        ...


class Setup:
    """What ``build`` gets: the operation as written, the fixed words of templates, and the loop to work on."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        operation: str,
        does: str,
        options: Mapping[str, str],
        words: Mapping[str, str],
        folder: str = "",
    ) -> None:
        self.loop = loop
        self.operation = operation
        self.does = does
        self.options = options
        self.words = words
        self.folder = folder

    def option(self, name: str, default: str | None = None) -> str:
        """The option's text; without it and without a default the operation is refused."""
        found = self.options.get(name, default)
        if found is None:
            raise BadInput(f"operation '{self.operation}' lacks '{name}'")
        return found

    def allow(self, known: Collection[str]) -> None:
        """Refuse every option that is not known."""
        for name in self.options:
            if name not in known:
                raise BadInput(f"operation '{self.operation}' has an unknown option '{name}'", right=suggest(name, sorted(known)))

    def template(self, text: str) -> Template:
        """The text with its fixed words filled in."""
        return Template(text, self.words, self.operation)


Build = Callable[[Setup], Probe]
"""What the table of probes points at."""


class Template:
    """Text with ``{words}``; fixed ones are filled in when it is made, those of the slot when it is rendered."""

    def __init__(self, text: str, words: Mapping[str, str], owner: str = "") -> None:
        known = [*RUN_WORDS, *words]
        order: list[str] = []

        def fill(match: re.Match[str]) -> str:
            word = match[1]
            if word in words:
                return words[word].replace("%", "%%")
            if word not in RUN_WORDS:
                raise BadInput(f"operation '{owner}': unknown word '{{{word}}}' in '{text}'", right=suggest(word, known))
            order.append(word)
            return "%s"

        self._format = _WORD.sub(fill, text.replace("%", "%%"))
        self._order = order
        self.uses = frozenset(order)
        """The words of the slot that stand in it."""
        self._only_value = self._format == "%s" and order == ["value"]
        self._text = text
        self._owner = owner

    def render(self, slot: Slot) -> str:
        """The text for this slot and attempt."""
        if self._only_value:
            return slot.value
        if not self._order:
            return self._format % ()
        return self._format % tuple([self._word(slot, word) for word in self._order])

    def constant(self) -> str:
        """The text where it may not differ from slot to slot."""
        if self._order:
            raise BadInput(f"operation '{self._owner}': '{{{self._order[0]}}}' cannot stand in '{self._text}'")
        return self._format % ()

    @staticmethod
    def _word(slot: Slot, word: str) -> str:
        if word == "key":
            return slot.key
        if word == "value":
            return slot.value
        return slot.address if word == "address" else str(slot.index)
