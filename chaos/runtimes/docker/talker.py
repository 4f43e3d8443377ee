"""One of our helpers (name server, prober) in a container of its own: its standard streams, and how it ended.

The container is started early, since a start takes the engine some tenths of a second; it loads its modules and waits for one byte
of input before it does its work. Its standard input ends with our attachment, so that it ends when the harness is gone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.core.clock import Clock
from chaos.engine.errors import silence
from chaos.runtimes.base.agents.streams import STDOUT, Attached

if TYPE_CHECKING:
    from docker.api import APIClient

LOOK_EVERY_S = 60.0
INSPECT_TIMEOUT_S = 5.0


_LOADED = (
    "import importlib, os, sys; main = importlib.import_module(sys.argv[1]).main; sys.exit(main(sys.argv[2:]) if os.read(0, 1) else 0)"
)


def waiting_command(module: str, spec: str) -> tuple[str, ...]:
    """Load, wait for a byte, then work by the spec; without one (our end came first), end."""
    return ("python3", "-c", _LOADED, module, spec)


class ContainerTalker:
    """``helper.Talker`` over an attached container."""

    def __init__(self, api: APIClient, container: str, name: str, log: Path, clock: Clock) -> None:
        self.name = name
        self.commanded = False
        self.died_ns: int | None = None
        self._api = api
        self._container = container
        self._log = log
        self._clock = clock
        self._attached = Attached(api, container)

    def go(self) -> None:
        """Its spec is written: let it work."""
        self._attached.write(b"\n")

    def tell(self, line: bytes) -> bool:
        """One line to its standard input; false if it is gone."""
        try:
            self._attached.write(line + b"\n")
        except OSError:
            return False
        return True

    def end_input(self) -> None:
        """It sees the end of its input."""
        self._attached.end_input()

    def lines(self) -> Iterator[bytes]:
        """What it says, line by line, ends included; what it writes on standard error goes into its log."""
        rest = b""
        with self._log.open("ab", buffering=0) as log:
            while (frames := self._attached.read(LOOK_EVERY_S)) is not None:
                for stream, data in frames:
                    if stream != STDOUT:
                        with contextlib.suppress(OSError):  # a full disk must not cost us the rows that follow
                            log.write(data)
                        continue
                    *whole, rest = (rest + data).split(b"\n")
                    yield from (line + b"\n" for line in whole)
        self.died_ns = self._clock.now_ns()
        if rest:
            yield rest

    def how_it_ended(self) -> str:
        """By the word of the engine."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        if self.died_ns is None:
            return "running"
        try:
            code = self._api.wait(self._container, timeout=INSPECT_TIMEOUT_S)["StatusCode"]
        except (DockerException, RequestException) as error:
            return f"its container is gone ({error})"
        return f"exit status {code}"

    def unheard(self) -> str:
        """By the word of the engine, or by the lack of one."""
        return silence(self._api)

    def close(self) -> None:
        """Detach."""
        self._attached.close()
