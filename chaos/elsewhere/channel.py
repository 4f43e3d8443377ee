"""A container of the harness beside the engine, seen from here: made, attached to, spoken with in frames, gone with its connection.

Its standard input is this command's hold on it: when the connection ends or falls silent, the harness there ends its run as after a
Ctrl-C. The engine removes the container when it has ended.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import select
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.elsewhere import archive
from chaos.elsewhere.frames import BEAT, BEAT_EVERY_S, DATA, END, FOUND, LOST_AFTER_S, TICKET, WHOLE, BadFrames, End, Frames, Ticket, frame
from chaos.elsewhere.place import INPUTS, LABEL, RUNS, STATE, VOLUME, sockets
from chaos.engine.connection import BESIDE, Engine
from chaos.engine.errors import translated
from chaos.runtimes.base.machines.orders import RunsErrands

if TYPE_CHECKING:
    from docker.api import APIClient

SOCKET_INSIDE: Final = "/run/nines-engine.sock"
COMMAND: Final = ("python3", "-m", "chaos.cli.beside")
OTHER_ENGINE: Final = "OtherEngine"
"""The error of an ``End``: at that socket another engine answers than the one that was meant."""
OUR_SHARES: Final = 8192
"""Of processor time under contention, where a plain container has 1024: as for all that measures."""
GONE_WITHIN_S: Final = 20.0
TURN_S: Final = 0.2
LOOK_S: Final = 0.1
_HEADER: Final = struct.Struct(">BxxxL")
_CHUNK: Final = 65536
_LAST_WORDS: Final = 2000
_GONE: Final = object()


class HarnessGone(EnvironmentUnusable):
    """Nothing is heard of a harness any more, and it has not said how it ended."""


class Where(msgspec.Struct, frozen=True):
    """What the harness beside the engine has there: folders on the engine's own machine."""

    top: str

    @property
    def state(self) -> str:
        """The registry of its runs."""
        return f"{self.top}/{STATE}"

    def run(self, run: str) -> str:
        """The folder of a run."""
        return f"{self.top}/{RUNS}/{run}"

    def inputs(self, run: str) -> str:
        """What was sent along."""
        return f"{self.top}/{INPUTS}/{run}"


def where(engine: Engine) -> Where:
    """The volume's own folder: mounted under the same path, what is in it is called alike by the harness and by the engine."""
    with translated(f"making the volume {VOLUME}"):
        made = engine.client.api.create_volume(VOLUME, labels={LABEL: "volume"})
    return Where(str(made["Mountpoint"]))


def used(engine: Engine) -> bool:
    """Whether anything is kept beside that engine."""
    from docker.errors import NotFound

    with translated(f"looking for the volume {VOLUME}"):
        try:
            engine.client.api.inspect_volume(VOLUME)
        except NotFound:
            return False
    return True


def discard(engine: Engine) -> None:
    """Remove the volume, since nothing is in it; one that somebody has just begun to use stays."""
    from docker.errors import APIError

    with contextlib.suppress(APIError):
        engine.client.api.remove_volume(VOLUME)


class Wire:
    """A connected socket that one thread reads while others write. A TLS connection must not be used by two at once: they take turns."""

    def __init__(self, connected: Any) -> None:  # noqa: ANN401 - the SDK has a kind for each way to an engine
        self._socket = connected
        self._turn = threading.Lock() if isinstance(connected, ssl.SSLSocket) else None
        if hasattr(connected, "settimeout"):
            connected.settimeout(None if self._turn is None else 0.0)

    def recv(self, size: int) -> bytes:
        """What has come, or nothing if no more will."""
        if self._turn is None:
            return bytes(self._socket.recv(size))
        while True:
            with self._turn, contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return bytes(self._socket.recv(size))
            select.select([self._socket], [], [], TURN_S)

    def sendall(self, data: bytes) -> None:
        """All of it. Callers take turns."""
        if self._turn is None:
            self._socket.sendall(data)
            return
        while data:
            with self._turn, contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                data = data[self._socket.send(data) :]
                continue
            select.select([], [self._socket], [], TURN_S)


class Talk(Protocol):
    """The standard streams of a harness, however it is reached. One thread reads while others write, one at a time."""

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """(stream: 1 output, 2 error; data) as it comes, until there will be no more."""
        ...

    def sendall(self, data: bytes) -> None:
        """To its standard input; ``OSError`` when it is gone."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class ContainerTalk:
    """Those of a container of a Docker engine, attached to."""

    def __init__(self, api: APIClient, container: str) -> None:
        # The response owns the connection: it must live as long as the socket is used.
        self._owner: Any = api.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        self._socket = Wire(getattr(self._owner, "_sock", self._owner))

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Cut out of the engine's own frames."""
        buffer = bytearray()
        while data := self._socket.recv(_CHUNK):
            buffer += data
            while len(buffer) >= _HEADER.size:
                stream, length = _HEADER.unpack_from(buffer)
                end = _HEADER.size + length
                if len(buffer) < end:
                    break
                yield stream, bytes(buffer[_HEADER.size : end])
                del buffer[:end]

    def sendall(self, data: bytes) -> None:
        """As it is."""
        self._socket.sendall(data)

    def close(self) -> None:
        """Detach."""
        with contextlib.suppress(OSError):
            self._owner.close()


class Channel:
    """One harness there, from its first frame to its end. ``send`` is safe from any thread. ``where``: for people, beside what it is."""

    def __init__(self, talk: Talk, where: str = "beside the engine") -> None:
        self._talk = talk
        self._where = where
        self._sending = threading.Lock()
        self._frames: queue.Queue[Any] = queue.Queue()
        self._said = b""
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=each, name=each.__name__, daemon=True) for each in (self._read, self._beat)]

    def begin(self) -> None:
        """The container runs: listen, and show that we are there."""
        for thread in self._threads:
            thread.start()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """One frame. What cannot be sent any more is missed by nobody: the end is seen by reading."""
        with self._sending, contextlib.suppress(OSError):
            self._talk.sendall(frame(kind, payload))

    def receive(self, idle: Callable[[], None] = lambda: None, silent_s: float = 2 * LOST_AFTER_S) -> Iterator[tuple[bytes, bytes]]:
        """Every frame until ``END``; ``idle`` is called some times a second. ``EnvironmentUnusable`` if the other side is gone.

        ``silent_s``: so long it may say nothing; longer where its interpreter has yet to start.
        """
        waited_s = 0.0
        while True:
            idle()
            try:
                found = self._frames.get(timeout=LOOK_S)
            except queue.Empty:
                # Not by the clock: a machine that slept was deaf meanwhile, and what was said to it is still to be read.
                waited_s += LOOK_S
                if waited_s > silent_s:
                    raise self._lost("nothing was heard of it any more") from None
                continue
            waited_s = 0.0
            if found is _GONE:
                raise self._lost("its connection ended")
            kind, payload = found
            if kind != BEAT:
                yield kind, payload
            if kind == END:
                return

    def archive(self, folders: Mapping[str, Path]) -> None:
        """Send folders, each below its name."""
        archive.pack(folders, lambda piece: self.send(DATA, piece))
        self.send(WHOLE)

    def close(self) -> None:
        """Let go of it; the engine removes it when it has ended."""
        self._closed.set()
        self._talk.close()

    def _lost(self, why: str) -> HarnessGone:
        said = self._said.decode(errors="replace").strip()
        return HarnessGone(
            f"the harness {self._where} is gone: {why}" + (f"; it said: {said}" if said else ""),
            how="if it still runs it rolls its faults back by itself; 'nines fetch' brings what was measured, 'nines leftovers' says"
            " what it left",
        )

    def _read(self) -> None:
        frames = Frames()
        try:
            for stream, piece in self._talk.pieces():
                if stream == 1:
                    for each in frames.feed(piece):
                        self._frames.put(each)
                else:
                    self._said = (self._said + piece)[-_LAST_WORDS:]
        except (OSError, ValueError) as error:
            self._said += f" ({error})".encode()
        except BadFrames as error:
            self._said += f" (it is not ours: {error})".encode()
        self._frames.put(_GONE)

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_EVERY_S):
            self.send(BEAT)


class Beside:
    """Starts harnesses beside one engine. The socket that was right once is tried first from then on."""

    errands: RunsErrands | None = None
    """Set by a run on several hosts."""

    def __init__(self, engine: Engine, image: str) -> None:
        self.engine = engine
        self.image = image
        self.where = where(engine)
        self._sockets = sockets(engine)

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    @contextlib.contextmanager
    def doing(self, ticket: Ticket, inputs: Mapping[str, Path] | None = None) -> Iterator[Channel]:
        """A harness that has this ticket and these inputs, and found its engine; it is gone after the block."""
        tried = []
        for path in self._sockets:
            made, why = self._create(path, ticket.do, ticket.run)
            if made is None:
                tried.append(f"{path}: {why}")
                continue
            channel = self._started(made)
            waits = True
            try:
                channel.send(TICKET, msgspec.json.encode(msgspec.structs.replace(ticket, engine=identity(self.engine))))
                wrong = self._found_another(channel)
                if wrong:
                    tried.append(f"{path}: {wrong}")
                    continue
                self._sockets = [path]
                channel.archive(inputs or {})
                yield channel
                return
            except KeyboardInterrupt:
                waits = False  # who is let go of ends by itself
                raise
            finally:
                channel.close()
                if waits:
                    self._await_gone(made)
        raise EnvironmentUnusable(
            f"the engine at {self.engine.facts.host} is not on this machine, and its socket there was not found (" + "; ".join(tried) + ")",
            how="NINES_ENGINE_SOCKET=the path of the engine's socket on the engine's own machine",
        )

    def _found_another(self, channel: Channel) -> str:
        """Empty once it has found its engine; else what it found."""
        for kind, payload in channel.receive():
            if kind == END:
                end = msgspec.json.decode(payload, type=End)
                if end.error == OTHER_ENGINE:
                    return end.message
                raise EnvironmentUnusable(end.message, how=end.how)
            if kind == FOUND:
                return ""
        raise AssertionError("unreachable: the last frame is an end")

    def _started(self, container: str) -> Channel:
        api = self.engine.client.api
        with translated("starting the harness beside the engine"):
            try:
                channel = Channel(ContainerTalk(api, container))
                api.start(container)
            except BaseException:
                self._remove(container)
                raise
        channel.begin()
        return channel

    def _create(self, socket: str, do: str, run: str) -> tuple[str | None, str]:
        """The container's id; or why the engine does not mount that socket."""
        from docker.errors import APIError

        config = self._config(socket, do, run)
        with translated("making the harness beside the engine"):
            try:
                name = f"nines-beside-{run or do}-{secrets.token_hex(3)}"
                return str(self.engine.client.api.create_container_from_config(config, name)["Id"]), ""
            except APIError as error:
                said = str(error.explanation or error)
                if "no such file" in said or "does not exist" in said or "not a shared" in said:
                    return None, "is not there"
                raise

    def _config(self, socket: str, do: str, run: str) -> dict[str, Any]:
        host: dict[str, Any] = {
            "AutoRemove": True,
            "NetworkMode": "bridge" if self.engine.facts.hides_networks else "host",
            "PidMode": "host",
            "SecurityOpt": ["label=disable"],
            "LogConfig": {"Type": "none", "Config": {}},
            "Mounts": [
                {"Type": "bind", "Source": socket, "Target": SOCKET_INSIDE},
                {"Type": "volume", "Source": VOLUME, "Target": self.where.top, "VolumeOptions": {"Labels": {LABEL: "volume"}}},
            ],
        }
        if self.engine.facts.has_cgroups:
            host["CpuShares"] = OUR_SHARES
            if self.engine.facts.cgroup_driver == "cgroupfs":
                host["CgroupParent"] = "/"
        if self.engine.facts.own_users:
            host["UsernsMode"] = "host"
        if self.engine.facts.rootless:
            # Whoever does not own the machine's processes may not mount a view of them, but may hand on the one that is there.
            host["Mounts"].append({"Type": "bind", "Source": "/proc", "Target": "/proc"})
        environment = {BESIDE: "1", "NINES_STATE": self.where.state, "DOCKER_HOST": f"unix://{SOCKET_INSIDE}"}
        return {
            "Image": self.image,
            "Cmd": list(COMMAND),
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "Labels": {LABEL: do, f"{LABEL}.run": run},
            "OpenStdin": True,
            "StdinOnce": True,
            "HostConfig": host,
        }

    def _await_gone(self, container: str) -> None:
        """Until the engine has removed it, so that nothing is left when we say so; one that does not end is left to its own devices."""
        from docker.errors import APIError

        until_s = time.monotonic() + GONE_WITHIN_S
        with translated("waiting for the end of the harness beside the engine"):
            while time.monotonic() < until_s:
                try:
                    state = self.engine.client.api.inspect_container(container)["State"]
                except APIError:
                    return
                if state.get("Status") == "created":
                    self._remove(container)
                time.sleep(0.05)

    def _remove(self, container: str) -> None:
        from docker.errors import APIError

        with contextlib.suppress(APIError):
            self.engine.client.api.remove_container(container, force=True)


def identity(engine: Engine) -> str:
    """What tells this engine from another one. Podman says another id each time it is asked."""
    facts = engine.facts
    own = "" if facts.product == "Podman" else facts.id
    return f"{facts.product} {own} of {facts.name}, data in {facts.data_root}"
