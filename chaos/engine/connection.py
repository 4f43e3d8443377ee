"""The Docker engine: found as the docker command finds it, asked what it is, and refused with a reason where it will not do.

    DOCKER_HOST, else the context (DOCKER_CONTEXT, else ``currentContext`` of ~/.docker/config.json), else /var/run/docker.sock

The version of the API is negotiated, never pinned: engines differ in the oldest one they speak (29 asks for 1.44, 20.10 knows
1.41). The oldest that will do is 1.41. Nodes are reached at their containers' addresses, and run folders are bind-mounted; neither works
across machines, nor into a virtual machine, nor with a rootless engine. So whoever runs nodes asks for an engine that is here
(``checked``); beside one that is elsewhere a harness of its own stands (``chaos.elsewhere``), to which that engine is here.
"""

from __future__ import annotations

import http.client
import os
import platform
import shutil
import socket
import struct
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.address import Certificates, found, host, near
from chaos.engine.errors import answered_by, remote, translated, unreachable
from chaos.engine.limits import unlimited

if TYPE_CHECKING:
    from docker import DockerClient

OLDEST_API: Final = (1, 41)
PING_S: Final = 1.0
"""An engine answers within a millisecond; a busy machine gets more before we call it absent. A missing socket costs nothing."""
SSH_S: Final = 15.0
"""The first word over ssh waits for a handshake, perhaps across the world."""
QUICK_S: Final = 20.0
"""Time-out of calls that do not wait for work: the SDK's own 60 s are longer than most experiments' faults."""
CONNECTIONS: Final = 32
DISK_WANTED_BYTES: Final = 1_000_000_000
BESIDE: Final = "NINES_BESIDE"
"""In the environment of a harness that was sent to stand beside an engine: to it that engine is here, whatever it says of itself."""


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
    """Whether it runs on this machine's own kernel, in this process's own namespaces as far as they can be seen."""
    rootless: bool
    cgroup_driver: str = "?"
    """``cgroupfs`` or ``systemd``."""
    product: str = "Docker"
    """Which program answers: ``Docker``, or ``Podman`` by its compatible socket."""
    beside: bool = False
    """We were sent to stand beside it."""
    unlimited: tuple[str, ...] = ()
    """The keys of ``cluster.resources`` that it cannot set, for want of cgroups."""

    @property
    def elsewhere(self) -> str:
        """Why its containers' addresses and files are not ours, in a few words; empty for an engine that is here."""
        if self.beside:
            return ""
        if self.rootless:
            return "it is rootless: its containers' addresses are not reachable from this machine"
        if not self.local:
            scheme = urlsplit(self.host).scheme or "a Docker context"
            how = f", reached by {scheme}" if scheme != "unix" else ""
            if not how and self.name == platform.node():
                return "its processes and network are not those of this command, which may run in a container"
            return f"it runs on '{self.name}', {self.system}{how}; this is '{platform.node()}'"
        return ""

    @property
    def own_users(self) -> bool:
        """It gives each container users of its own (userns-remap), who may write nothing of the machine's own users."""
        return any(option.startswith("name=userns") for option in self.security)

    @property
    def selinux(self) -> bool:
        """It gives files and containers labels of SELinux."""
        return any(option.startswith("name=selinux") for option in self.security)

    @property
    def hides_networks(self) -> bool:
        """Its networks are in a namespace that its containers' ``host`` is not: only from one of them the others can be reached."""
        return self.rootless and self.product == "Podman"

    @property
    def has_cgroups(self) -> bool:
        """Whether its containers can have cgroups of their own: an ordinary user has no say in those of version 1."""
        return self.cgroup_driver not in ("none", "") and not (self.rootless and self.cgroup == "1")

    @property
    def log(self) -> str:
        """What shows this engine's own log."""
        if self.product == "Podman":
            return "journalctl --user -u podman" if self.rootless else "journalctl -u podman"
        return "journalctl --user -u docker" if self.rootless else "journalctl -u docker"

    def __str__(self) -> str:
        how = ", rootless" if self.rootless else ""
        said = f"API {self.api}, {self.storage}, cgroup v{self.cgroup}{how}"
        return f"{self.name}: {self.product} {self.version} ({said}) at {self.host}"


class Engine(AbstractContextManager["Engine"]):
    """A connection. ``client`` has short time-outs; ``patient`` makes one for pulls and builds."""

    def __init__(self, client: DockerClient, facts: Facts) -> None:
        self.client = client
        self.facts = facts

    def patient(self, timeout_s: float) -> DockerClient:
        """A second connection with another time-out (of each read, not of the whole call); the caller closes it."""
        return _client(self.facts.host, timeout_s)

    def ask(self, path: str) -> object:
        """The JSON answer to a question that the SDK has no words for; None where the engine does not know the question."""
        api = self.client.api
        with translated(f"asking the engine for {path}"):
            answer = api._get(f"{api.base_url}{path}")
            return answer.json() if answer.ok else None

    def close(self) -> None:
        """Hang up."""
        self.client.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


# --- finding it --------------------------------------------------------------------------------------------------------


def answers(environment: Mapping[str, str] = os.environ, timeout_s: float = PING_S) -> bool:
    """Whether an engine is there that this user may speak to. Costs a millisecond or two; never raises."""
    try:
        _ping(host(environment), timeout_s)
    except (OSError, http.client.HTTPException, ValueError, EnvironmentUnusable):
        return False
    return True


def may_have(path: str, environment: Mapping[str, str] = os.environ, timeout_s: float = PING_S) -> bool:
    """Whether the engine may know a thing, such as ``/volumes/NAME``; true where only the SDK could tell. Never raises."""
    try:
        where = host(environment)
        return _ping(where, timeout_s, path) != http.client.NOT_FOUND
    except (OSError, http.client.HTTPException, ValueError, EnvironmentUnusable):
        return False


def _ping(where: str, timeout_s: float, path: str = "/_ping") -> int:
    """One raw request, and the status of its answer: importing the SDK alone takes longer."""
    there = found(where)
    parts = urlsplit(near(there.url))
    if urlsplit(there.url).scheme == "ssh":
        timeout_s = max(timeout_s, SSH_S)
    if parts.scheme == "unix":
        connection: http.client.HTTPConnection = _UnixConnection(parts.path, timeout_s)
    elif parts.scheme == "tcp" and parts.hostname:
        if there.shown is not None:
            socket.create_connection((parts.hostname, parts.port or 2376), timeout_s).close()
            return http.client.OK
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=timeout_s)
    else:
        raise ValueError(f"no engine can be reached by '{where}'")
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (http.client.OK, http.client.NOT_FOUND):
            raise http.client.HTTPException(f"it answers with status {answer.status}")
        return answer.status
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        if sys.platform == "win32":
            raise OSError("Windows has no sockets in files that Python knows")
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
    url = found(where).url
    scheme = urlsplit(url).scheme
    if checked and (scheme == "ssh" or (scheme == "tcp" and not _on_loopback(url))):
        raise remote(where)
    try:
        _ping(where, PING_S * 3)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise unreachable(where, error, PING_S * 3) from error
    with translated(f"asking the Docker engine at {where} what it is"):
        client = _client(where, QUICK_S)
        info, version = client.info(), client.version()
    facts = facts_of(info, version, where, str(client.api.api_version))
    answered_by(facts.product, facts.log)
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
    there = found(where)
    where, shown = near(there.url), there.shown
    if urlsplit(where).scheme == "unix":
        client = docker.DockerClient(base_url=where, timeout=timeout_s, max_pool_size=CONNECTIONS)
        # No proxy stands before a socket of this machine; to look for one in the environment is a third of the price of a call.
        client.api.trust_env = False
        return client
    if shown is None:
        return docker.DockerClient(base_url=where, timeout=timeout_s, max_pool_size=CONNECTIONS)
    oldest = ".".join(map(str, OLDEST_API))  # named, so that nothing is asked yet
    client = docker.DockerClient(base_url=where, version=oldest, timeout=timeout_s, max_pool_size=CONNECTIONS, tls=_tls(shown))
    # Else $REQUESTS_CA_BUNDLE, which many companies set, would be trusted in the place of the engine's own authority.
    client.api.trust_env = False
    client.api._version = client.api._retrieve_server_version()
    return client


def _tls(shown: Certificates) -> object:
    import docker

    pair = (shown.cert, shown.key) if shown.cert and shown.key else None
    return docker.tls.TLSConfig(client_cert=pair, ca_cert=shown.ca or None, verify=shown.verify)


def facts_of(info: Mapping[str, object], version: Mapping[str, object], where: str, api: str) -> Facts:
    """The two answers of an engine as facts; what an engine of that age does not say yet is ``?``."""
    options = info.get("SecurityOptions")
    security = tuple(str(option) for option in options) if isinstance(options, list) else ()
    name = str(info.get("Name", "?"))
    rootless = any("rootless" in option for option in security) or info.get("Rootless") is True  # Docker's word, and Podman's
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
        local=name == platform.node() and info.get("KernelVersion") == platform.release() and _directly(where),
        rootless=rootless,
        product=_product(version),
        beside=bool(os.environ.get(BESIDE)),
        unlimited=unlimited(info, rootless=rootless),
    )


def _product(version: Mapping[str, object]) -> str:
    """Podman names its engine among the components of the answer in which Docker names its own."""
    parts = version.get("Components")
    names = [str(part.get("Name", "")) for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return "Podman" if any(name.startswith("Podman") for name in names) else "Docker"


def _directly(where: str) -> bool:
    """Whether nothing stands between. What goes through ssh or TLS counts as another machine's."""
    there = found(where)
    scheme = urlsplit(there.url).scheme
    return scheme != "ssh" and there.shown is None and _in_our_namespaces(there.url)


def _in_our_namespaces(where: str) -> bool:
    """Whether who answers at this socket shares our processes and our network; true where that cannot be seen.

    A socket that is mounted into a container leads to an engine outside of it, whatever host name and kernel say.
    """
    parts = urlsplit(where)
    if sys.platform != "linux":
        return True
    if parts.scheme != "unix":
        return True
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(parts.path)
            pid, _, _ = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        if pid == 0:
            return False  # unix(7): a process of another pid namespace has no number in ours
        return Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()
    except OSError:
        return True  # not ours to look at


def require(facts: Facts) -> None:
    """``EnvironmentUnusable`` where runs by this process are impossible on such an engine."""
    require_age(facts)
    if facts.elsewhere:
        raise remote(facts.host, f" ({facts.elsewhere})")
    free = free_bytes(facts.data_root)
    if free is not None and free < DISK_WANTED_BYTES:
        raise EnvironmentUnusable(
            f"the disk that holds the {facts.product} engine's data ({facts.data_root}) has only {free / 1e6:.0f} MB left;"
            f" needed are {DISK_WANTED_BYTES / 1e6:.0f} MB",
            how="docker system df; docker system prune",
        )


def require_age(facts: Facts) -> None:
    """``EnvironmentUnusable`` for an engine that is too old, wherever it is."""
    numbers = tuple(int(part) for part in facts.api.split(".") if part.isdigit())
    if numbers < OLDEST_API:
        raise EnvironmentUnusable(
            f"the {facts.product} engine {facts.version} at {facts.host} is too old: it speaks API {facts.api},"
            f" needed is {OLDEST_API[0]}.{OLDEST_API[1]}",
            how="Docker 20.10 or newer; or: --runtime local",
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
