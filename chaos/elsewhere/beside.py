"""Harnesses beside a Docker engine, seen from here: each a container that is made, attached to, spoken with, and gone with its connection.

Its standard input is this command's hold on it: when the connection ends or falls silent, the harness there ends its run as after a
Ctrl-C. The engine removes the container when it has ended.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.elsewhere.channel import Channel, HarnessGone
from chaos.elsewhere.container import ContainerTalk
from chaos.elsewhere.frames import END, FOUND, TICKET, End, Ticket
from chaos.elsewhere.place import LABEL, VOLUME, Where, sockets
from chaos.engine.connection import BESIDE, Engine
from chaos.engine.errors import translated
from chaos.runtimes.base.machines.orders import RunsErrands

SOCKET_INSIDE: Final = "/run/nines-engine.sock"
COMMAND: Final = ("python3", "-m", "chaos.cli.beside")
OTHER_ENGINE: Final = "OtherEngine"
"""The error of an ``End``: at that socket another engine answers than the one that was meant."""
OUR_SHARES: Final = 8192
"""Of processor time under contention, where a plain container has 1024: as for all that measures."""
GONE_WITHIN_S: Final = 20.0


def where(engine: Engine) -> Where:
    """The volume's own folder: mounted under the same path, what is in it is called alike by the harness and by the engine."""
    fresh = not used(engine)
    with translated(f"making the volume {VOLUME}"):
        made = engine.client.api.create_volume(VOLUME, labels={LABEL: "volume"})
    return Where(str(made["Mountpoint"]), fresh)


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
            except HarnessGone:
                waits = False
                with contextlib.suppress(EnvironmentUnusable):  # its engine may be gone as well: what is told is what to do about that
                    self._await_gone(made)
                raise
            finally:
                channel.close()
                if waits:
                    self._await_gone(made)
        if self.where.fresh:
            discard(self.engine)
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
