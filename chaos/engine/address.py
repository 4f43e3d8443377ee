"""How an engine is reached: its address as the docker command finds it, its certificates, and a tunnel for ``ssh://``.

DOCKER_HOST, else the context (DOCKER_CONTEXT, else ``currentContext`` of ~/.docker/config.json), else /var/run/docker.sock
certificates: DOCKER_CERT_PATH, else ~/.docker, if DOCKER_TLS_VERIFY is set; those of the context, if that has some
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from chaos.core.errors import EnvironmentUnusable

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
SCHEMES: Final = ("unix", "tcp", "ssh")
_CONTEXT: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]*")
"""How the docker command lets contexts be called."""
_OPTIONS: Final = ("-T", "-o", "ControlMaster=auto", "-o", "ControlPersist=30", "-o", "ConnectTimeout=10")
"""One connection to the host, shared by all that is asked of the engine."""
WAYS: Final = "NINES_ENGINE_WAYS"
"""In the environment of a harness of several hosts: address or context of an engine -> the socket here that leads to it (``ways.dial``)."""
_DIAL: Final = ("docker", "system", "dial-stdio")
"""What the docker command itself starts there: it speaks to that user's own engine, wherever its socket is."""


class Certificates(msgspec.Struct, frozen=True):
    """Files in PEM; an empty name: there is none."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


def host(environment: Mapping[str, str] = os.environ) -> str:
    """Where the docker command would look for the engine. ``EnvironmentUnusable`` if the context that is set does not exist."""
    named = environment.get("DOCKER_HOST", "").strip()
    if named:
        return named
    context = _context(environment)
    return DEFAULT_HOST if not context else str(_endpoint(environment, context)["Host"])


def is_named(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody has said which engine is meant."""
    return bool(environment.get("DOCKER_HOST", "").strip() or _context(environment))


class Found(msgspec.Struct, frozen=True):
    """An engine's address, and what is shown there; None where it is spoken to in the open."""

    url: str
    shown: Certificates | None


def found(where: str, environment: Mapping[str, str] = os.environ, *, way: bool = True) -> Found:
    """What an address, or the name of a context, comes to. ``EnvironmentUnusable`` for what is neither, or is not there.

    ``way``: by the way that this process has there, if there is one.
    """
    ways = os.environ.get(WAYS) if way else None
    if ways and (near_by := json.loads(ways).get(where)):
        return Found(str(near_by), None)
    if not _CONTEXT.fullmatch(where):
        return Found(where, certificates(environment) if _scheme(where) == "tcp" else None)
    return Found(str(_endpoint(environment, where)["Host"]), _shown_by(environment, where))


def _scheme(where: str) -> str:
    """Of an address that can lead to an engine. ``EnvironmentUnusable`` for any other."""
    try:
        parts = urlsplit(where)
        named = parts.path if parts.scheme == "unix" else parts.hostname
        if parts.scheme in SCHEMES and named and parts.port != 0:
            return parts.scheme
    except ValueError:
        pass  # a port that is no number, half an IPv6 address
    raise EnvironmentUnusable(
        f"'{where}' is no address of an engine",
        how="DOCKER_HOST=unix:///path/of.sock, tcp://host:port or ssh://user@host; or unset it, and: docker context use NAME",
    )


def certificates(environment: Mapping[str, str] = os.environ) -> Certificates | None:
    """What the docker command would show to that engine and trust; None where it would speak in the open."""
    context = "" if environment.get("DOCKER_HOST", "").strip() else _context(environment)
    if context:
        return _shown_by(environment, context)
    verify, named = environment.get("DOCKER_TLS_VERIFY", ""), environment.get("DOCKER_CERT_PATH", "")
    if not (verify or named or environment.get("DOCKER_TLS", "")):
        return None
    return _certificates(Path(named) if named else _settings(environment), verify=bool(verify))


def _shown_by(environment: Mapping[str, str], context: str) -> Certificates | None:
    skip = bool(_endpoint(environment, context).get("SkipTLSVerify"))
    folder = _settings(environment) / "contexts" / "tls" / _digest(context) / "docker"
    return _certificates(folder, verify=not skip) if folder.is_dir() else None


def _certificates(folder: Path, *, verify: bool) -> Certificates:
    found = {name: str(folder / f"{name}.pem") if (folder / f"{name}.pem").is_file() else "" for name in ("ca", "cert", "key")}
    if verify and not found["ca"] and not found["cert"]:
        raise EnvironmentUnusable(
            f"there are no certificates for the engine in {folder}", how="DOCKER_CERT_PATH: a folder with ca.pem, cert.pem and key.pem"
        )
    return Certificates(**found, verify=verify)


def _settings(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME") or Path.home()) / ".docker")


def _context(environment: Mapping[str, str]) -> str:
    """Its name; empty for the default one."""
    context = environment.get("DOCKER_CONTEXT") or _current(_settings(environment))
    return "" if context == "default" else context


def _current(folder: Path) -> str:
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""  # no file, or one that the docker command warns of and then ignores
    return str(settings.get("currentContext", "")) if isinstance(settings, dict) else ""


def _digest(context: str) -> str:
    """The command keeps a context under the SHA-256 of its name."""
    return hashlib.sha256(context.encode()).hexdigest()


def _endpoint(environment: Mapping[str, str], context: str) -> dict[str, object]:
    meta = _settings(environment) / "contexts" / "meta" / _digest(context) / "meta.json"
    try:
        found = json.loads(meta.read_text(encoding="utf-8"))["Endpoints"]["docker"]
        return {"SkipTLSVerify": found.get("SkipTLSVerify", False), "Host": found["Host"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentUnusable(
            f"the Docker context '{context}' cannot be read ({error})",
            how="docker context ls; docker context use default; or set DOCKER_HOST",
        ) from error


# --- ssh ---------------------------------------------------------------------------------------------------------------


def near(where: str) -> str:
    """An address that can be connected to from here: for ``ssh://`` that of a tunnel, which lives as long as this process."""
    return _tunnel(where) if urlsplit(where).scheme == "ssh" else where


@functools.cache
def _tunnel(where: str) -> str:
    if sys.platform == "win32":
        raise EnvironmentUnusable(
            f"{where}: no tunnel can be made on Windows", how="ssh -L 2375:/var/run/docker.sock HOST; DOCKER_HOST=tcp://localhost:2375"
        )
    if shutil.which("ssh") is None:
        raise EnvironmentUnusable(f"{where}: there is no ssh on PATH", how="sudo apt-get install openssh-client")
    ssh_command(where, Path())  # refused before anything is made
    folder = Path(tempfile.mkdtemp(prefix="nines-ssh-"))
    path = folder / "s"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen(32)
    command = ssh_command(where, folder)
    threading.Thread(target=_serve, args=(listening, command), name="tunnel", daemon=True).start()
    atexit.register(_end, listening, command, folder)
    return f"unix://{path}"


def ssh_command(where: str, folder: Path) -> list[str]:
    """What is started for each connection; ``folder`` holds the socket of the shared one."""
    parts = urlsplit(where)
    user = ["-l", parts.username] if parts.username else []
    port = ["-p", str(parts.port)] if parts.port else []
    if not parts.hostname or parts.hostname.startswith("-"):
        raise EnvironmentUnusable(f"'{where}' names no host", how="DOCKER_HOST=ssh://user@host")
    return ["ssh", *_OPTIONS, "-o", f"ControlPath={folder}/c", *user, *port, "--", parts.hostname, *_DIAL]


def _serve(listening: socket.socket, command: list[str]) -> None:
    with contextlib.suppress(OSError):  # it is closed: our end
        while True:
            connection, _ = listening.accept()
            with connection:
                # The connection itself is its input and output: nothing of ours stands between. A signal to us is not one to it.
                process = subprocess.Popen(
                    command, stdin=connection.fileno(), stdout=connection.fileno(), stderr=subprocess.DEVNULL, start_new_session=True
                )
            threading.Thread(target=process.wait, name="tunnel-end", daemon=True).start()


def _end(listening: socket.socket, command: list[str], folder: Path) -> None:
    listening.close()
    # command: ssh OPTIONS -- HOST docker system dial-stdio
    stop = [*command[: command.index("--")], "-O", "exit", *command[command.index("--") : -len(_DIAL)]]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(stop, capture_output=True, timeout=5.0, check=False)
    shutil.rmtree(folder, ignore_errors=True)
