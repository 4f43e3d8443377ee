"""How an operation is written, as its probe reads it: before anything starts, and again in the prober, by the same code.

    build = tables.find("probes", kind)         what the table of probes points at
    build.read(written)                         checks every option, and returns what the probe makes of them

A probe says what reads its options with ``@reads``. A probe of another package that has no reader is not checked before the run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Protocol, TypeVar

from chaos.core import plugins as tables
from chaos.core.errors import BadInput
from chaos.experiment import tls_options

WHAT: Final = "what"
"""The option that holds the value of the probe's own key."""
RUN_WORDS: Final = ("address", "key", "value", "slot")
"""The words of a template that differ from slot to slot."""
_LONGEST_NAME: Final = 253
ENVIRONMENT: Final = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
"""What stands for a secret: its value comes from the environment of ``nines``, and is written to no file."""
_WORD: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")


class Words(Protocol):
    """What differs from slot to slot, see ``traffic.probe.Slot``."""

    index: int
    key: str
    value: str
    address: str


class Sample:
    """A slot for trying what a template makes."""

    index, key, value, address = 0, "k0", "v", "127.0.0.1"


SAMPLE: Final = Sample()


class WrongOption(BadInput):
    """An option of an operation is wrong; ``option`` names it, so that the loader can say the line."""

    def __init__(self, operation: str, option: str, message: str, right: str = "") -> None:
        self.option = option
        self.plain = message
        super().__init__(f"operation '{operation}': {message}", right=right)


class Written:
    """One operation as written, and the fixed words of its templates. ``folder``: where a program of the target is started.

    ``here``: the programs that it names will be started on this machine, so a missing one can be told.
    """

    def __init__(
        self, *, operation: str, does: str, options: Mapping[str, str], words: Mapping[str, str], folder: str = "", here: bool = False
    ) -> None:
        self.operation = operation
        self.does = does
        self.options = options
        self.words = words
        self.folder = folder
        self.here = here

    def wrong(self, option: str, message: str, right: str = "") -> WrongOption:
        """The refusal of one option."""
        return WrongOption(self.operation, option, message, right)

    def option(self, name: str, default: str | None = None) -> str:
        """The option's text; without it and without a default the operation is refused."""
        found = self.options.get(name, default)
        if found is None:
            raise self.wrong(WHAT, f"there is no '{name}'")
        return found

    def allow(self, known: Collection[str]) -> None:
        """Refuse every option that is not known."""
        names = sorted(set(known) - {WHAT})
        for name in self.options:
            if name not in known:
                raise self.wrong(name, f"unknown option '{name}'", tables.suggest(name, names) if names else "leave it out")

    def template(self, text: str, option: str = WHAT) -> Template:
        """The text with its fixed words filled in; ``option`` is where it stands."""
        return Template(text, self.words, self.operation, option)

    def port(self, text: str, option: str = WHAT) -> int:
        """The number of a port, which may not differ from slot to slot."""
        port = self.template(text, option).constant()
        if not (port.isascii() and port.isdigit()) or len(port) > 5 or not 0 < int(port) < 65_536:
            raise self.wrong(option, f"'{port[:40]}' is not a port", "1 to 65535, or the name of a port such as {client}")
        return int(port)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """``true`` or ``false``; the default where it is not given."""
        text = self.options.get(name, str(default)).strip().lower()
        if text not in ("true", "false"):
            raise self.wrong(name, f"'{text[:40]}' stands where true or false belongs", "write it as true or false")
        return text == "true"


def checked_host(written: Written, host: str) -> str:
    """A name that can be looked up, or an IPv4 address; it may not differ from slot to slot."""
    name = written.template(host).constant()
    if re.fullmatch(r"[0-9.]+", name):
        import ipaddress

        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            raise written.wrong(WHAT, f"'{name[:60]}' is not an IPv4 address", "four numbers from 0 to 255") from None
    labels = name.rstrip(".").split(".")
    if len(name) > _LONGEST_NAME or not all(re.fullmatch(r"[A-Za-z0-9_-]{1,63}", label) for label in labels):
        raise written.wrong(WHAT, f"'{name[:60]}' is not the name of a host", "an IPv4 address, or letters, digits, '-' and '.'")
    return name


def secret_words(written: Written, option: str) -> dict[str, str]:
    """Word of a template -> value, for each ``${env:NAME}`` of an option; refused if the environment lacks one. See ``worded``."""
    found = {}
    for name in ENVIRONMENT.findall(written.options.get(option, "")):
        value = os.environ.get(name)
        if value is None:
            raise written.wrong(option, f"the environment has no variable '{name}'", f"export {name}=... before nines is started")
        if not value.isprintable():
            raise written.wrong(
                option, f"the value of the variable '{name}' holds a line end or another sign that cannot be sent", "one line"
            )
        found[_secret(name)] = value
    return found


def worded(text: str) -> str:
    """The text with ``{words}`` of a template in place of ``${env:NAME}``, so that braces in a secret mean nothing."""
    return ENVIRONMENT.sub(lambda match: f"{{{_secret(match[1])}}}", text)


def secrets(options: Iterable[Mapping[str, str]], folder: str) -> dict[str, str]:
    """The variables that these operations name, and the files of their connections, for a prober that does not share our environment and
    our disks. ``folder``: the target's."""
    found: dict[str, str] = {}
    for each in options:
        names = {name for text in each.values() for name in ENVIRONMENT.findall(text)}
        found |= {name: os.environ[name] for name in sorted(names) if name in os.environ}
        found |= tls_options.carried(each, folder)
    return found


def _secret(name: str) -> str:
    return f"env-variable-{name}"


Reader = Callable[[Written], object]
"""Checks an operation's options; ``BadInput`` says what is wrong, ``WrongOption`` with which option."""
B = TypeVar("B", bound=Callable[..., Any])


def reads(reader: Reader, options: Mapping[str, str], *, says_value: bool = False) -> Callable[[B], B]:
    """Marks a probe's ``build`` with what reads its options before anything starts, and what each of them is, for the schema.

    ``says_value``: what it builds can tell what a read was answered with (``traffic.probe.SaysValue``).
    """

    def mark(build: B) -> B:
        build.read = reader  # type: ignore[attr-defined]
        build.options = options  # type: ignore[attr-defined]
        build.says_value = says_value  # type: ignore[attr-defined]
        return build

    return mark


def says_value(kind: str) -> bool:
    """Whether a probe can tell what a read was answered with."""
    return bool(getattr(tables.find("probes", kind), "says_value", False))


def options_of(kind: str) -> Mapping[str, str] | None:
    """Option -> what it is; None for a probe that does not say which it has."""
    found: Mapping[str, str] | None = getattr(tables.find("probes", kind), "options", None)
    return found


def check(kind: str, written: Written) -> None:
    """Ask the probe's own reader; nothing is started."""
    reader: Reader | None = getattr(tables.find("probes", kind), "read", None)
    if reader is not None:
        reader(written)


class Template:
    """Text with ``{words}``; fixed ones are filled in when it is made, those of the slot when it is rendered."""

    def __init__(self, text: str, words: Mapping[str, str], owner: str = "", option: str = WHAT) -> None:
        known = [*RUN_WORDS, *words]
        order: list[str] = []

        def fill(match: re.Match[str]) -> str:
            word = match[1]
            if word in words:
                return words[word].replace("%", "%%")
            if word not in RUN_WORDS:
                raise WrongOption(owner, option, f"unknown word '{{{word}}}' in '{text}'", tables.suggest(word, known))
            order.append(word)
            return "%s"

        self._format = _WORD.sub(fill, text.replace("%", "%%"))
        self._order = order
        self.uses = frozenset(order)
        """The words of the slot that stand in it."""
        self._only_value = self._format == "%s" and order == ["value"]
        self._text = text
        self._owner = owner
        self._option = option

    def render(self, slot: Words) -> str:
        """The text for this slot and attempt."""
        if self._only_value:
            return slot.value
        if not self._order:
            return self._format % ()
        return self._format % tuple([self._word(slot, word) for word in self._order])

    def constant(self) -> str:
        """The text where it may not differ from slot to slot."""
        if self._order:
            word, text = self._order[0], self._text
            raise WrongOption(self._owner, self._option, f"'{{{word}}}' cannot stand in '{text}': it differs from request to request")
        return self._format % ()

    @staticmethod
    def _word(slot: Words, word: str) -> str:
        if word == "key":
            return slot.key
        if word == "value":
            return slot.value
        return slot.address if word == "address" else str(slot.index)
