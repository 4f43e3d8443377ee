"""For each of some hosts a socket here that leads to its engine, by a process of its own: through a door (``door``), or to a TLS port.

The SDK waits for a stream where no bytes are, though TLS has some that it has not given out yet; a plain socket has none of that.

    <folder>/doors.json       where each door is and what it shows; read at each connection, since a host that was off has a new one
    <folder>/<number>.sock    the host at that place of their order

The process ends with its input, so with whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.core.files import write_atomically
from chaos.engine.address import WAYS, Certificates
from chaos.engine.ways.door import between

FILE: Final = "doors.json"
READY_WITHIN_S: Final = 15.0
DIAL_WITHIN_S: Final = 5.0


class Door(msgspec.Struct, frozen=True):
    """How the engine of one host is reached."""

    engine: str
    """As the experiment has it."""
    address: str = ""
    port: int = 0
    """None where the harness stands beside that engine."""
    certificate: str = ""
    token: str = ""
    shown: Certificates | None = None
    """Of an engine's own TLS port: what is shown there and trusted, and no token."""


class Dialler:
    """``here``: the socket of the engine that this process stands beside, whose door says no port."""

    def __init__(self, doors: Mapping[str, Door], here: str = "") -> None:
        self._doors = dict(doors)
        self._folder = Path(tempfile.mkdtemp(prefix="nines-doors-"))
        self._numbers = {host: number for number, host in enumerate(doors)}
        self._here = here
        self._write()
        command = [sys.executable, "-m", "chaos.engine.ways.dial", str(self._folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
        until_s = time.monotonic() + READY_WITHIN_S
        while not all(self._socket(host).exists() for host, door in self._doors.items() if door.port):
            if self._process.poll() is not None or time.monotonic() > until_s:
                raise EnvironmentUnusable("what leads to the engines of the other hosts did not start", how="fewer programs beside the run")
            time.sleep(0.01)

    @property
    def ways(self) -> dict[str, str]:
        """By the engine's address, as the experiment has it: where it is reached from here."""
        return {door.engine: f"unix://{self._socket(host)}" if door.port else self._here for host, door in self._doors.items()}

    @contextlib.contextmanager
    def known(self) -> Iterator[None]:
        """For the block, to all in this process who look for one of these engines (``address.found``)."""
        os.environ[WAYS] = msgspec.json.encode(self.ways).decode()
        try:
            yield
        finally:
            del os.environ[WAYS]

    def change(self, host: str, door: Door) -> None:
        """That host has another one now."""
        self._doors[host] = door
        self._write()

    def close(self) -> None:
        """No connection is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _socket(self, host: str) -> Path:
        return self._folder / f"{self._numbers[host]}.sock"

    def _write(self) -> None:
        doors = [self._doors[host] for host in self._numbers]
        write_atomically(self._folder / FILE, msgspec.json.encode(doors))


async def dial(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Through a door that shows the certificate that it was said to have: only then it is shown the token. ``OSError`` else."""
    way = asyncio.open_connection(door.address, door.port, ssl=_context(door))
    reader, writer = await asyncio.wait_for(way, DIAL_WITHIN_S)
    if door.shown is not None:
        return reader, writer
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
    if not hmac.compare_digest(shown, ssl.PEM_cert_to_DER_cert(door.certificate)):
        writer.close()
        raise OSError(f"another door than ours is at {door.address}:{door.port}")
    writer.write(door.token.encode())
    return reader, writer


def _context(door: Door) -> ssl.SSLContext:
    shown = door.shown
    if shown is not None:
        context = ssl.create_default_context(cafile=shown.ca or None)
        if shown.cert and shown.key:
            context.load_cert_chain(shown.cert, shown.key)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if shown is None or not shown.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # of a door it is one certificate that is right, and no authority
    return context


async def serve(folder: Path) -> None:
    """All hosts, until our input ends."""

    def at(number: int) -> Door:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=list[Door])[number]

    async def come(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await dial(at(number))
        except (OSError, TimeoutError):
            writer.close()  # who asks finds that the engine does not answer
            return
        await between(reader, writer, there)

    for number in range(len(msgspec.json.decode((folder / FILE).read_bytes()))):
        path = folder / f"{number}.sock"
        if at(number).port:
            await asyncio.start_unix_server(lambda *ends, number=number: come(number, *ends), path)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    os.umask(0o077)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Path(sys.argv[1])))
