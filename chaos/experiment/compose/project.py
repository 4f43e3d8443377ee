"""A Compose project: its name, and its services as Compose would start them.

Read from its files here. Where the docker command has the compose plugin, that one is asked instead (``engine.compose_command``); both
give the same ``Project``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from chaos.core.errors import BadInput, Place
from chaos.core.plugins import suggest
from chaos.experiment.compose.files import Sources, interpolated, parsed, sources
from chaos.experiment.compose.merging import merged, pairs, settled
from chaos.experiment.compose.variables import filled

PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
VARIABLE: Final = "COMPOSE_PROJECT_NAME"
PROFILES: Final = "COMPOSE_PROFILES"
OUT: Final = "write the project's name instead of the file: attach: {compose: shop, services: [web]}; docker compose ls shows the names"
_MOST_EXTENDS: Final = 20
_PATHS: Final = ("build", "env_file", "volumes")


class Service(msgspec.Struct, frozen=True):
    """One service, with all its keys in ``keys``, texts as they are written."""

    name: str
    keys: dict[str, Any]

    @property
    def replicas(self) -> int:
        """How many containers it says that it has."""
        deploy = self.keys.get("deploy") or {}
        given = self.keys.get("scale") or deploy.get("replicas")
        return int(given) if given is not None and str(given).isdecimal() else 1

    @property
    def restart(self) -> str:
        """The restart policy, empty for none."""
        condition = ((self.keys.get("deploy") or {}).get("restart_policy") or {}).get("condition", "")
        policy = str(self.keys.get("restart") or {"any": "always"}.get(condition, condition) or "")
        return "" if policy in ("no", "none", "False", "false") else policy

    @property
    def needs(self) -> list[str]:
        """The services that it says it depends on."""
        return list(self.keys.get("depends_on") or ())

    @property
    def networks(self) -> list[str]:
        """Names in the file; ``default`` for a service that names none, none for one without a network of its own."""
        if self.keys.get("network_mode"):
            return []
        return list(self.keys.get("networks") or ("default",))

    @property
    def environment(self) -> dict[str, str | None]:
        """What its processes are given."""
        return pairs(self.keys.get("environment"))


class Project(msgspec.Struct, frozen=True):
    """What the files come to. ``services`` are those of the active profiles; ``idle`` the names of the others."""

    name: str
    folder: Path
    files: tuple[Path, ...]
    services: dict[str, Service]
    networks: dict[str, dict[str, Any]]
    volumes: dict[str, dict[str, Any]]
    idle: tuple[str, ...] = ()
    values: dict[str, str] = {}
    others: tuple[str, ...] = ()
    """Further keys of the top level."""

    def service(self, name: str) -> Service:
        """By its name; ``BadInput`` for one that is not there."""
        if name not in self.services:
            of_profile = name in self.idle
            right = "--profile NAME" if of_profile else suggest(name, list(self.services))
            what = f"the service '{name}' belongs to a profile that is not active" if of_profile else f"there is no service '{name}'"
            raise BadInput(f"{what} in {', '.join(map(str, self.files))}", right=right)
        return self.services[name]


def compose_project(path: Path, environ: Mapping[str, str]) -> str:
    """The name of the project of the compose file at that path. ``BadInput`` without a place where it cannot be told."""
    found = sources([path], environ)
    try:
        return _name([parsed(file) for file in found.files], found, environ)
    except BadInput as refusal:
        raise BadInput(refusal.message, right=refusal.right) from None


def read_project(
    given: Sequence[Path], environ: Mapping[str, str], *, profiles: Collection[str] = (), name: str = "", folder: str = ""
) -> Project:
    """The project of these files; of none given, the one that Compose finds from here. ``folder``: what its folder is called elsewhere."""
    found = sources(given, environ)
    documents = [parsed(file) for file in found.files]
    whole: dict[str, Any] = {}
    for file, document in zip(found.files, documents, strict=True):
        whole = merged(whole, _expanded(file, document, found.values, file.parent), ())
    whole = settled(whole)
    active = {*profiles, *_listed(found.values.get(PROFILES, ""))}
    services = {key: Service(key, body) for key, body in (whole.get("services") or {}).items() if body is not None}
    started = {key: each for key, each in services.items() if _is_active(each, active)}
    return Project(
        name=name or _name(documents, found, environ, folder),
        folder=found.folder,
        files=found.files,
        services=started,
        networks={key: body or {} for key, body in (whole.get("networks") or {}).items()},
        volumes={key: body or {} for key, body in (whole.get("volumes") or {}).items()},
        idle=tuple(key for key in services if key not in started),
        values=found.values,
        others=tuple(key for key in whole if key not in ("services", "networks", "volumes", "name", "version")),
    )


# --- its name ----------------------------------------------------------------------------------------------------------


def _name(documents: Sequence[dict[str, Any]], found: Sources, environ: Mapping[str, str], folder: str = "") -> str:
    """The environment's word, that of .env, the last one of a file, else that of the folder."""
    given = environ.get(VARIABLE) or found.values.get(VARIABLE) or ""
    if not given:
        for document in documents:
            own = document.get("name")
            if own is not None:
                if not isinstance(own, str) or not own.strip():
                    raise BadInput(f"the 'name' of {found.files[0]} is no text", right=OUT)
                given = _plain(_own(own, found.values))
    name = given or _plain(folder or found.folder.resolve().name)
    if not PROJECT.fullmatch(name):
        raise BadInput(f"the project's name comes out as '{name}', which Compose does not allow", right=OUT)
    return name


def _own(text: str, values: Mapping[str, str]) -> str:
    try:
        return filled(text, values)
    except BadInput as refusal:
        raise BadInput(f"the name {refusal.message}", right=OUT) from None


def _plain(name: str) -> str:
    """As Compose makes a project's name of what stands in the file, and of a folder's name; the variable it takes as it is."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")


# --- its services ------------------------------------------------------------------------------------------------------


def _listed(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _is_active(service: Service, active: Collection[str]) -> bool:
    own = service.keys.get("profiles") or ()
    return not own or "*" in active or bool(set(own) & set(active))


def _expanded(file: Path, document: dict[str, Any], values: Mapping[str, str], folder: Path, depth: int = 0) -> dict[str, Any]:
    """The file with its variables filled in, with what it includes below it, and with what its services extend."""
    body = {key: value for key, value in document.items() if not str(key).startswith("x-")}
    body = interpolated(body, values, Place(str(file)))
    result: dict[str, Any] = {}
    for entry in body.pop("include", None) or ():
        for path in _included(entry, file):
            if depth >= _MOST_EXTENDS:
                raise BadInput(f"{file} includes itself, or too deep", right="leave one 'include' out")
            result = merged(result, _expanded(path, parsed(path), values, path.parent, depth + 1), ())
    services = body.get("services") or {}
    if not isinstance(services, dict):
        raise BadInput("the services are no table", place=Place(str(file), None, "services"), right="services: {web: {image: ...}}")
    body["services"] = {name: _extended(file, str(name), body_of, services, values, folder) for name, body_of in services.items()}
    return dict(merged(result, body, ())) if result else body


def _included(entry: Any, file: Path) -> list[Path]:  # noqa: ANN401 - as YAML is
    if isinstance(entry, dict):
        unknown = sorted(set(entry) - {"path"})
        if unknown:
            raise BadInput(f"'include' with '{unknown[0]}' is not read here", place=Place(str(file), None, "include"), right="path alone, "
                           "or install the compose plugin of docker")  # fmt: skip
        entry = entry.get("path")
    return [file.parent / path for path in ([entry] if isinstance(entry, str) else entry or ())]


def _extended(
    file: Path,
    name: str,
    body: Any,  # noqa: ANN401 - as YAML is
    among: Mapping[str, Any],
    values: Mapping[str, str],
    folder: Path,
    depth: int = 0,
) -> Any:  # noqa: ANN401
    """A service over the one that it extends; paths of another file are of that file's folder."""
    if body is not None and not isinstance(body, dict):
        return body  # a tag, for the merge
    own = {key: value for key, value in (body or {}).items() if not str(key).startswith("x-")}
    own = _rooted(own, folder)
    extends = own.pop("extends", None)
    if extends is None:
        return own
    place = Place(str(file), None, f"services.{name}.extends")
    if depth >= _MOST_EXTENDS:
        raise BadInput(f"the service '{name}' extends itself, or too deep", place=place, right="leave one 'extends' out")
    wanted = extends if isinstance(extends, str) else str(extends.get("service") or "")
    other = file.parent / extends["file"] if isinstance(extends, dict) and extends.get("file") else file
    if other != file:
        document = interpolated(parsed(other), values, Place(str(other)))
        among, folder = document.get("services") or {}, other.parent
    if wanted not in among:
        raise BadInput(f"there is no service '{wanted}' in {other}", place=place, right=suggest(wanted, list(among)))
    base = _extended(other, wanted, among[wanted], among, values, folder, depth + 1)
    return merged({"services": {name: base}}, {"services": {name: own}}, ())["services"][name]


def _rooted(service: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths as absolute ones."""
    found = dict(service)
    build = found.get("build")
    if isinstance(build, str):
        found["build"] = {"context": _path(build, folder)}
    elif isinstance(build, dict):
        found["build"] = build | {"context": _path(str(build.get("context") or "."), folder)}
    env_file = found.get("env_file")
    if isinstance(env_file, str):
        found["env_file"] = [_path(env_file, folder)]
    elif isinstance(env_file, list):
        found["env_file"] = [
            _path(each, folder) if isinstance(each, str) else each | {"path": _path(str(each.get("path")), folder)} for each in env_file
        ]
    if isinstance(found.get("volumes"), list):
        found["volumes"] = [_mount(each, folder) for each in found["volumes"]]
    return found


def _mount(written: Any, folder: Path) -> Any:  # noqa: ANN401 - as YAML is
    if isinstance(written, dict):
        return written | {"source": _path(str(written["source"]), folder)} if written.get("type") == "bind" else written
    source, colon, rest = str(written).partition(":")
    return f"{_path(source, folder)}:{rest}" if colon and source.startswith((".", "~")) else written


def _path(text: str, folder: Path) -> str:
    if "://" in text or text.startswith("git@"):
        return text
    return str((folder / Path(text).expanduser()).resolve())
