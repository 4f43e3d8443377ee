"""What a failure of the engine means to a user: no connection, or an exception of the SDK, as our errors, with what to do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chaos.core.errors import EnvironmentUnusable
from chaos.core.system import user_name

if TYPE_CHECKING:
    from docker.api import APIClient

GET_ONE: Final = "Debian or Ubuntu: sudo apt-get install docker.io; or, as root: python -m chaos.engine.private start; or: --runtime local"
_MEANINGS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"\[SSL",
        "the engine's certificates and ours do not fit each other",
        "DOCKER_CERT_PATH: a folder with the ca.pem, cert.pem and key.pem that belong to this engine",
    ),
    (
        r"authorization denied by plugin|not allowed by policy",
        "the Docker engine's owner forbids what a container of Nines asks for",
        "let the engine allow CAP_NET_ADMIN, and beside an engine that is elsewhere the host's network and processes; or: --runtime local",
    ),
    (r"no space left on device", "the disk of the Docker engine is full", "docker system df; docker system prune"),
    (r"pool overlaps|overlaps with other one", "the subnet is taken by another Docker network", "docker network ls; or set NINES_SUBNETS"),
    (r"could not find an available.* ipv4", "the Docker engine has no free subnet left", "docker network prune; or set NINES_SUBNETS"),
    (r"toomanyrequests|rate limit", "the registry limits how often images are pulled", "docker login; or name an image you have"),
    (r"pull access denied|manifest unknown|not found: manifest|repository does not exist", "there is no such image", "check its name"),
    (
        r"no such host|connection refused|i/o timeout|network is unreachable|client\.timeout|tls handshake timeout|certificate|eof$",
        "the registry does not answer",
        "check the engine's network, or pull the image beforehand",
    ),
    (r"permission denied", "the Docker engine may not do that here", "see the engine's log: journalctl -u docker"),
)


_DOCKER: Final = ("Docker", "journalctl -u docker")
_answering = _DOCKER


def answered_by(product: str, log: str) -> None:
    """Which program answers from now on, and what shows its log: messages name that one."""
    global _answering  # noqa: PLW0603 - a process speaks with one engine, and its errors arise far from the connection
    _answering = (product, log)


def named(text: str) -> str:
    """A sentence about the Docker engine, as one about the program that answers."""
    product, log = _answering
    text = text.replace(_DOCKER[1], log)
    if product == _DOCKER[0]:
        return text
    return re.sub(r"\bdocker (?=(?:system|network|info|login)\b)", f"{product.lower()} ", text.replace(_DOCKER[0], product))


def meaning(said: str) -> tuple[str, str] | None:
    """What went wrong and what to do, if the engine's words are known ones."""
    for pattern, what, how in _MEANINGS:
        if re.search(pattern, said, re.IGNORECASE):
            return what, how
    return None


def unusable(doing: str, said: str) -> EnvironmentUnusable:
    """The error for the engine's words."""
    known = meaning(said)
    if known is None:
        return EnvironmentUnusable(f"{doing}: {said}", how=named("see the engine's log (journalctl -u docker), and: nines doctor"))
    return EnvironmentUnusable(f"{doing}: {named(known[0])} ({said})", how=named(known[1]))


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Inside, whatever the SDK or its connection raises becomes ``EnvironmentUnusable`` that names what was being done.

    Callers that can do something about an answer (404, 409) catch the SDK's own exception inside.
    """
    import requests
    import urllib3
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise unusable(doing, str(error.explanation or error).strip()) from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _hung_up(doing, str(error)) from error
    except DockerException as error:
        raise unusable(doing, str(error)) from error


def _hung_up(doing: str, said: str) -> EnvironmentUnusable:
    if "timed out" in said:
        what, how = f"the Docker engine did not answer in time ({said})", "it may be overloaded: docker info"
    else:
        what, how = f"the connection to the Docker engine broke ({said})", "does it still run? docker info"
    return EnvironmentUnusable(f"{doing}: {named(what)}", how=named(how))


ANSWERS_WITHIN_S: Final = 1.0
SILENT: Final = "the Docker engine does not answer, and every word to a container goes through it (docker info)"


def silence(api: APIClient) -> str:
    """Why a container of ours says nothing, if that is the engine's doing; empty while the engine answers."""
    import requests
    import urllib3
    from docker.errors import DockerException

    try:
        api._get(api._url("/_ping"), timeout=ANSWERS_WITHIN_S)
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, DockerException, OSError):
        return named(SILENT)
    return ""


# --- no connection -----------------------------------------------------------------------------------------------------


def remote(where: str, why: str = "") -> EnvironmentUnusable:
    """An engine elsewhere, and why that will not do."""
    return EnvironmentUnusable(
        f"the Docker engine at {where} is not on this machine{why}: nodes are reached at their containers' addresses"
        " and the run folder is mounted into containers",
        how="'nines run' sends the harness there; else run this on the engine's own machine, or name a local engine:"
        " DOCKER_HOST=unix:///var/run/docker.sock; or: --runtime local",
    )


def unreachable(where: str, error: Exception, timeout_s: float) -> EnvironmentUnusable:
    """No engine where one was looked for: what the failed connection means, and what to do."""
    path = Path(urlsplit(where).path)
    if urlsplit(where).scheme == "ssh":
        return EnvironmentUnusable(
            f"no engine answers over {where} ({error})",
            how=f"see what this says: ssh {urlsplit(where).netloc.partition(':')[0]} docker version",
        )
    if urlsplit(where).scheme == "tcp" and not isinstance(error, TimeoutError | ConnectionRefusedError):
        return EnvironmentUnusable(f"no engine answers at {where} ({error})", how=_right_address(where))
    match error:
        case PermissionError():
            return EnvironmentUnusable(f"no permission to speak to the Docker engine: {path}{_owner(path)}", how=_permission(path))
        case FileNotFoundError():
            return EnvironmentUnusable(f"there is no Docker engine: {path} does not exist", how=GET_ONE)
        case ConnectionRefusedError():
            return EnvironmentUnusable(
                f"the Docker engine does not run: {where} refuses connections",
                how=_right_address(where) if urlsplit(where).scheme == "tcp" else "sudo systemctl start docker; or: --runtime local",
            )
        case TimeoutError():
            return EnvironmentUnusable(
                f"the Docker engine at {where} does not answer within {timeout_s:g} s",
                how=_right_address(where) if urlsplit(where).scheme == "tcp" else "sudo systemctl restart docker; or: --runtime local",
            )
        case _:
            return EnvironmentUnusable(f"there is no Docker engine at {where} ({error})", how=GET_ONE)


def _right_address(where: str) -> str:
    return f"is the address right, and does the engine listen there? docker -H {where} version; or: --runtime local"


def _owner(path: Path) -> str:
    if sys.platform == "win32":
        return ""
    import grp
    import pwd

    try:
        status = path.stat()
        owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    except (OSError, KeyError):
        return ""
    return f" belongs to {owner}:{group}, mode {status.st_mode & 0o777:o}"


def _permission(path: Path) -> str:
    user = user_name()
    if sys.platform == "win32":
        return "start Docker Desktop, or join the group docker-users; or: --runtime fake"
    import grp

    try:
        group = grp.getgrgid(path.stat().st_gid)
    except (OSError, KeyError):
        group = None
    if group is None or group.gr_gid == 0:
        return "run it under sudo; or: --runtime local"
    if user in group.gr_mem:
        return f"you are in the group '{group.gr_name}', but this session is older than that: log in again, or: newgrp {group.gr_name}"
    return f"sudo usermod -aG {group.gr_name} {user}, then log in again; or run it under sudo; or: --runtime local"
