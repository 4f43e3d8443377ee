"""A door to one host's engine, for the harness of a run that stands on another host: TLS in front of the engine's socket.

    made by who may use the engine -> its output: which engine is behind it, port, certificate
    a connection: TLS 1.3, the token, then whatever the two sides say

Its key is made here and never leaves; so no key of the user's has to travel. Standard library alone: this file's text is the command of
the container. Who has come is let in until nobody was there for a while: then the door is gone, whatever became of those who made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

TOKEN_WITHIN_S = 5.0
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A host without power says nothing: after 25 s it has left."""
CHUNK = 65536


class Door:
    """``quiet_s``: so long nobody need be there, from the start on and at the end."""

    def __init__(self, engine: str, token: bytes, quiet_s: float) -> None:
        self._engine = engine
        self._token = token
        self._quiet_s = quiet_s
        self._inside = 0
        self._since_s = asyncio.get_running_loop().time()

    async def until_quiet(self) -> None:
        """Returns when nobody has been here for so long."""
        clock = asyncio.get_running_loop().time
        while self._inside or clock() < self._since_s + self._quiet_s:
            await asyncio.sleep(min(1.0, self._quiet_s / 4))

    async def come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its token to its end."""
        for name, value in KEEPALIVE.items():
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            shown = await asyncio.wait_for(reader.readexactly(len(self._token)), TOKEN_WITHIN_S)
        except (OSError, EOFError, TimeoutError):
            shown = b""
        if not hmac.compare_digest(shown, self._token):
            writer.close()
            return
        self._inside += 1
        try:
            await between(reader, writer, await asyncio.open_unix_connection(self._engine))
        except OSError:
            writer.close()
        finally:
            self._inside -= 1
            self._since_s = asyncio.get_running_loop().time()


async def between(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:  # fmt: skip
    """What each side says goes to the other; the end of one is the end of both."""
    ways = [asyncio.ensure_future(_pass_on(reader, other[1])), asyncio.ensure_future(_pass_on(other[0], writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        for end in (writer, other[1]):
            end.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # as its end
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


def certificate(context: ssl.SSLContext, folder: Path) -> str:
    """A new one, in PEM; it and its key are the context's. The key's file is gone then."""
    key, shown = folder / "key.pem", folder / "cert.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "7"]
    subprocess.run([*words, "-subj", "/CN=nines-door", "-keyout", str(key), "-out", str(shown)], check=True, capture_output=True)
    context.load_cert_chain(shown, key)
    key.unlink()
    return shown.read_text(encoding="ascii")


class _Asked(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TOKEN_WITHIN_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def behind(engine: str) -> str:
    """The id of the engine at that socket."""
    asked = _Asked(engine)
    asked.request("GET", "/info")
    return str(json.loads(asked.getresponse().read())["ID"])


async def serve(engine: str, ports: list[int], token: bytes, quiet_s: float, address: str = "0.0.0.0") -> None:  # noqa: S104 - to all hosts
    """At the first of these ports that is free, until nobody comes any more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.TemporaryDirectory() as folder:
        shown = certificate(context, Path(folder))
    door = Door(engine, token, quiet_s)
    for port in ports:
        with contextlib.suppress(OSError):
            server = await asyncio.start_server(door.come, address, port, ssl=context)
            break
    else:
        raise SystemExit(f"none of the TCP ports {ports[0]} to {ports[-1]} is free")
    told = {"engine": behind(engine), "port": server.sockets[0].getsockname()[1], "certificate": shown}
    print(json.dumps(told), flush=True)
    await door.until_quiet()


if __name__ == "__main__":
    secret = os.environ["NINES_DOOR_TOKEN"].encode()
    asyncio.run(serve(sys.argv[1], [int(each) for each in sys.argv[3].split(",")], secret, float(sys.argv[2])))
