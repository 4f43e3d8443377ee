"""The Docker engine: found as the docker command finds it, asked what it is, and refused with a reason where it will not do.

    DOCKER_HOST, else the context (DOCKER_CONTEXT, else ``currentContext`` of ~/.docker/config.json), else /var/run/docker.sock

The version of the API is negotiated, never pinned: engines differ in the oldest one they speak (29 asks for 1.44, 20.10 knows
1.41). The oldest that will do is 1.41. Remote engines are refused: nodes are reached at their containers' addresses, and run
folders are bind-mounted; neither works across machines, nor into a virtual machine, nor with a rootless engine.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import platform
import shutil
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.errors import remote, translated, unreachable

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
OLDEST_API: Final = (1, 41)
PING_S: Final = 1.0
"""An engine answers within a millisecond; a busy machine gets more before we call it absent. A missing socket costs nothing."""
QUICK_S: Final = 20.0
"""Time-out of calls that do not wait for work: the SDK's own 60 s are longer than most experiments' faults."""
CONNECTIONS: Final = 32
DISK_WANTED_BYTES: Final = 1_000_000_000


class Facts(msgspec.Struct, frozen=True):
    """What the engine says of itself."""

    name: str
    """The host name of the machine it runs on."""
    id: str
    host: str
    """How it was reached: goes into run records, so that what a run left is looked for on the same engine."""
    version: str
    api: str
    """The negotiated version of the API."""
    system: str
    architecture: str
    storage: str
    cgroup: str
    """``1`` or ``2``."""
    security: tuple[str, ...]
    data_root: str
    local: bool
    """Whether it runs on this machine's own kernel."""
    rootless: bool
    cgroup_driver: str = "?"
    """``cgroupfs`` or ``systemd``."""

    def __str__(self) -> str:
        return f"{self.name}: Docker {self.version} (API {self.api}, {self.storage}, cgroup v{self.cgroup}) at {self.host}"


class Engine(AbstractContextManager["Engine"]):
    """A connection. ``client`` has short time-outs; ``patient`` makes one for pulls and builds."""

    def __init__(self, client: DockerClient, facts: Facts) -> None:
        self.client = client
        self.facts = facts

    def patient(self, timeout_s: float) -> DockerClient:
        """A second connection with another time-out (of each read, not of the whole call); the caller closes it."""
        return _client(self.facts.host, timeout_s)

    def close(self) -> None:
        """Hang up."""
        self.client.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


# --- finding it --------------------------------------------------------------------------------------------------------


def host(environment: Mapping[str, str] = os.environ) -> str:
    """Where the docker command would look for the engine. ``EnvironmentUnusable`` if the context that is set does not exist."""
    named = environment.get("DOCKER_HOST", "").strip()
    if named:
        return named
    folder = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME") or Path.home()) / ".docker")
    context = environment.get("DOCKER_CONTEXT") or _current_context(folder)
    if context in ("", "default"):
        return DEFAULT_HOST
    # The command keeps a context under the SHA-256 of its name.
    meta = folder / "contexts" / "meta" / hashlib.sha256(context.encode()).hexdigest() / "meta.json"
    try:
        found = json.loads(meta.read_text(encoding="utf-8"))["Endpoints"]["docker"]["Host"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvironmentUnusable(
            f"the Docker context '{context}' cannot be read ({error})",
            how="docker context ls; docker context use default; or set DOCKER_HOST",
        ) from error
    return str(found)


def _current_context(folder: Path) -> str:
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""  # no file, or one that the docker command warns of and then ignores
    return str(settings.get("currentContext", "")) if isinstance(settings, dict) else ""


def answers(environment: Mapping[str, str] = os.environ, timeout_s: float = PING_S) -> bool:
    """Whether an engine is there that this user may speak to. Costs a millisecond or two; never raises."""
    try:
        _ping(host(environment), timeout_s)
    except (OSError, http.client.HTTPException, ValueError, EnvironmentUnusable):
        return False
    return True


def _ping(where: str, timeout_s: float) -> None:
    """One raw request: importing the SDK alone takes longer than the answer."""
    parts = urlsplit(where)
    if parts.scheme == "unix":
        connection: http.client.HTTPConnection = _UnixConnection(parts.path, timeout_s)
    elif parts.scheme == "tcp" and parts.hostname:
        if os.environ.get("DOCKER_TLS_VERIFY"):
            socket.create_connection((parts.hostname, parts.port or 2376), timeout_s).close()
            return
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=timeout_s)
    else:
        raise ValueError(f"no engine can be reached by '{where}'")
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"it answers with status {answer.status}")
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


# --- connecting --------------------------------------------------------------------------------------------------------


def connect(where: str | None = None, *, checked: bool = True) -> Engine:
    """The engine at ``where`` (default: where the docker command would look), found fit for runs.

    Raises ``EnvironmentUnusable``, which says what is wrong and what to do. With ``checked=False`` any engine that answers will
    do: what an earlier run left must be removable from an engine that is too full for another one.
    """
    where = where or host()
    scheme = urlsplit(where).scheme
    if scheme not in ("unix", "tcp") or (scheme == "tcp" and not _on_loopback(where)):
        raise remote(where)
    try:
        _ping(where, PING_S * 3)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(where, error, PING_S * 3) from error
    with translated(f"asking the Docker engine at {where} what it is"):
        client = _client(where, QUICK_S)
        info, version = client.info(), client.version()
    facts = facts_of(info, version, where, str(client.api.api_version))
    if checked:
        try:
            require(facts)
        except EnvironmentUnusable:
            client.close()
            raise
    return Engine(client, facts)


def _client(where: str, timeout_s: float) -> DockerClient:
    try:
        import docker
    except ImportError as error:
        raise EnvironmentUnusable(f"the Python package 'docker' cannot be used ({error})", how="pip install 'docker>=7.1'") from error
    if urlsplit(where).scheme == "unix":
        return docker.DockerClient(base_url=where, timeout=timeout_s, max_pool_size=CONNECTIONS)
    options = docker.utils.kwargs_from_env()
    return docker.DockerClient(**{**options, "base_url": where}, timeout=timeout_s, max_pool_size=CONNECTIONS)


def facts_of(info: Mapping[str, object], version: Mapping[str, object], where: str, api: str) -> Facts:
    """The two answers of an engine as facts; what an engine of that age does not say yet is ``?``."""
    options = info.get("SecurityOptions")
    security = tuple(str(option) for option in options) if isinstance(options, list) else ()
    name = str(info.get("Name", "?"))
    return Facts(
        name=name,
        id=str(info.get("ID", "?")),
        host=where,
        version=str(version.get("Version", "?")),
        api=api,
        system=str(info.get("OperatingSystem", "?")),
        architecture=str(info.get("Architecture", "?")),
        storage=str(info.get("Driver", "?")),
        cgroup=str(info.get("CgroupVersion", "1")),
        cgroup_driver=str(info.get("CgroupDriver", "?")),
        security=security,
        data_root=str(info.get("DockerRootDir", "")),
        local=name == platform.node() and info.get("KernelVersion") == platform.release(),
        rootless=any("rootless" in option for option in security),
    )


def require(facts: Facts) -> None:
    """``EnvironmentUnusable`` where runs are impossible on such an engine."""
    numbers = tuple(int(part) for part in facts.api.split(".") if part.isdigit())
    if numbers < OLDEST_API:
        raise EnvironmentUnusable(
            f"the Docker engine {facts.version} at {facts.host} is too old: it speaks API {facts.api},"
            f" needed is {OLDEST_API[0]}.{OLDEST_API[1]}",
            how="Docker 20.10 or newer; or: --runtime local",
        )
    if facts.rootless:
        raise EnvironmentUnusable(
            f"the Docker engine at {facts.host} is rootless: its containers' addresses are not reachable from this machine",
            how="an engine that runs as root (sudo apt-get install docker.io), named by DOCKER_HOST; or: --runtime local",
        )
    if not facts.local:
        raise remote(facts.host, f" (it runs on '{facts.name}', {facts.system}; this is '{platform.node()}')")
    free = free_bytes(facts.data_root)
    if free is not None and free < DISK_WANTED_BYTES:
        raise EnvironmentUnusable(
            f"the disk that holds the Docker engine's data ({facts.data_root}) has only {free / 1e6:.0f} MB left;"
            f" needed are {DISK_WANTED_BYTES / 1e6:.0f} MB",
            how="docker system df; docker system prune",
        )


def free_bytes(folder: str) -> int | None:
    """Free space where the folder lies, as far as this user may look (its nearest visible parent); None if nothing is visible."""
    if not folder:
        return None
    for path in (Path(folder), *Path(folder).parents):
        try:
            return shutil.disk_usage(path).free
        except OSError:
            continue
    return None


def _on_loopback(where: str) -> bool:
    name = urlsplit(where).hostname or ""
    return name in ("localhost", "::1") or name.startswith("127.")
