"""A service of a Compose project as the engine's own words for a container; what cannot be said in them here is refused by its name.

The subset: what most published files use. Whoever needs more installs the compose plugin, which is used where it is there.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from chaos.core.errors import BadInput, CapabilityMissing, Place
from chaos.core.units import WrongUnit, duration_s
from chaos.experiment.compose.merging import pairs
from chaos.experiment.compose.project import Project, Service
from chaos.experiment.compose.variables import dotenv

PLUGIN: Final = "install the compose plugin of docker, or bring the project up by yourself: nines try then attaches to it"
READ: Final = frozenset(
    [
        "image",
        "build",
        "command",
        "entrypoint",
        "environment",
        "env_file",
        "expose",
        "ports",
        "networks",
        "network_mode",
        "depends_on",
        "healthcheck",
        "restart",
        "deploy",
        "scale",
        "container_name",
        "hostname",
        "volumes",
        "user",
        "working_dir",
        "read_only",
        "tmpfs",
        "cap_add",
        "cap_drop",
        "labels",
        "stop_signal",
        "stop_grace_period",
        "init",
        "privileged",
        "sysctls",
        "ulimits",
        "mem_limit",
        "cpus",
        "extra_hosts",
        "dns",
        "security_opt",
        "shm_size",
        "profiles",
        "logging",
        "tty",
        "stdin_open",
        "pull_policy",
        "annotations",
        "domainname",
        "links",
    ]
)
"""Keys of a service that are read here; others are refused."""
_DEPLOY: Final = frozenset({"replicas", "resources", "restart_policy", "mode", "update_config", "labels", "placement"})
_HEALTH_NS: Final = 1_000_000_000
_SIZES: Final = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def refuse_unread(project: Project) -> None:
    """``CapabilityMissing`` for the first thing of the project that is not read here."""
    files = ", ".join(map(str, project.files))
    for key in project.others:
        raise CapabilityMissing(f"'{key}' at the top of {files} is not read by Nines itself", how=PLUGIN)
    for service in project.services.values():
        for key in service.keys:
            if key not in READ:
                raise CapabilityMissing(f"'{key}' of the service '{service.name}' in {files} is not read by Nines itself", how=PLUGIN)
        for key in service.keys.get("deploy") or {}:
            if key not in _DEPLOY:
                what = f"'deploy.{key}' of the service '{service.name}' in {files} is not read by Nines itself"
                raise CapabilityMissing(what, how=PLUGIN)
        if service.keys.get("container_name") and service.replicas > 1:
            what = f"the service '{service.name}' has one container_name and {service.replicas} replicas"
            raise BadInput(what, place=Place(files, None, f"services.{service.name}.container_name"), right="leave container_name out")
    for name, volume in project.volumes.items():
        if (volume.get("driver") or "local") != "local":
            raise CapabilityMissing(f"the driver '{volume['driver']}' of the volume '{name}' is not used by Nines itself", how=PLUGIN)


class Translation:
    """Of one project. ``network`` and ``volume`` say their names on the engine, ``outside`` where a folder is to it."""

    def __init__(
        self, project: Project, network: Callable[[str], str], volume: Callable[[str], str], outside: Callable[[str], str] = str
    ) -> None:
        self._project = project
        self._network = network
        self._volume = volume
        self._outside = outside

    def config(self, service: Service, number: int, image: str, labels: Mapping[str, str]) -> dict[str, Any]:
        """What a container is made of, with its first network; ``further`` names the others."""
        keys = service.keys
        config: dict[str, Any] = {
            "Image": image,
            "Env": self._environment(service),
            "Labels": {**_labels(keys.get("labels")), **labels},
            "HostConfig": self._host(service),
            "Tty": _flag(keys.get("tty")),
            "OpenStdin": _flag(keys.get("stdin_open")),
        }
        for key, name in (("command", "Cmd"), ("entrypoint", "Entrypoint")):
            if keys.get(key) is not None:
                config[name] = _words(keys[key])
        for key, name in (("user", "User"), ("working_dir", "WorkingDir"), ("hostname", "Hostname"), ("domainname", "Domainname"),
                          ("stop_signal", "StopSignal")):  # fmt: skip
            if keys.get(key):
                config[name] = str(keys[key])
        if keys.get("stop_grace_period"):
            config["StopTimeout"] = round(self._seconds(service, "stop_grace_period", keys["stop_grace_period"]))
        ports = [_port(each) for each in keys.get("ports") or ()]
        exposed = [port for port, _ in ports] + [_proto(str(port)) for port in keys.get("expose") or ()]
        if exposed:
            config["ExposedPorts"] = {port: {} for port in exposed}
        published = [(port, binding) for port, binding in ports if binding is not None]
        if published:
            bindings: dict[str, list[dict[str, str]]] = {}
            for port, binding in published:
                bindings.setdefault(port, []).append(binding)
            config["HostConfig"]["PortBindings"] = bindings
        health = self._health(service)
        if health:
            config["Healthcheck"] = health
        networks = service.networks
        if networks:
            config["HostConfig"]["NetworkMode"] = self._network(networks[0])
            config["NetworkingConfig"] = {"EndpointsConfig": {self._network(networks[0]): self.endpoint(service, networks[0], number)}}
        else:
            config["HostConfig"]["NetworkMode"] = str(keys["network_mode"])
        return config

    def endpoint(self, service: Service, network: str, number: int) -> dict[str, Any]:
        """A service's place on one of its networks: found by its name there."""
        given = service.keys.get("networks")
        own = (given.get(network) or {}) if isinstance(given, dict) else {}
        name = service.keys.get("container_name") or f"{self._project.name}-{service.name}-{number}"
        endpoint: dict[str, Any] = {"Aliases": [service.name, name, *map(str, own.get("aliases") or ())]}
        addresses = {"IPv4Address": own.get("ipv4_address"), "IPv6Address": own.get("ipv6_address")}
        if any(addresses.values()):
            endpoint["IPAMConfig"] = {key: str(value) for key, value in addresses.items() if value}
        return endpoint

    def _environment(self, service: Service) -> list[str]:
        found: dict[str, str | None] = {}
        for each in service.keys.get("env_file") or ():
            path, required = (each, True) if isinstance(each, str) else (each["path"], _flag(each.get("required", "true")))
            if not Path(path).is_file():
                if required:
                    raise BadInput(
                        f"the service '{service.name}' wants the file {path}, which is not there", right="write it, or leave it out"
                    )
                continue
            found |= dotenv(Path(path), self._project.values)
        found |= service.environment
        known = {**self._project.values, **os.environ}
        given = {name: known.get(name) if value is None else value for name, value in found.items()}
        return [f"{name}={value}" for name, value in given.items() if value is not None]

    def _host(self, service: Service) -> dict[str, Any]:
        keys = service.keys
        policy, _, most = service.restart.partition(":")
        limits = ((keys.get("deploy") or {}).get("resources") or {}).get("limits") or {}
        host: dict[str, Any] = {
            "RestartPolicy": {"Name": policy or "no", "MaximumRetryCount": int(most) if most.isdecimal() else 0},
            "ReadonlyRootfs": _flag(keys.get("read_only")),
            "Privileged": _flag(keys.get("privileged")),
            "CapAdd": list(keys.get("cap_add") or ()),
            "CapDrop": list(keys.get("cap_drop") or ()),
            "SecurityOpt": list(keys.get("security_opt") or ()),
            "Dns": _several(keys.get("dns")),
            "ExtraHosts": [f"{name}:{value}" if value else str(name) for name, value in _hosts(keys.get("extra_hosts")).items()],
            "Sysctls": {name: str(value) for name, value in pairs(keys.get("sysctls")).items()},
            "Tmpfs": {path.partition(":")[0]: path.partition(":")[2] for path in _several(keys.get("tmpfs"))},
            "Ulimits": [_ulimit(name, value) for name, value in (keys.get("ulimits") or {}).items()],
            "Binds": [],
            "Mounts": [],
        }
        if _flag(keys.get("init")):
            host["Init"] = True
        if keys.get("shm_size"):
            host["ShmSize"] = self._bytes(service, "shm_size", keys["shm_size"])
        if memory := keys.get("mem_limit") or limits.get("memory"):
            host["Memory"] = self._bytes(service, "mem_limit", memory)
        if cpus := keys.get("cpus") or limits.get("cpus"):
            host["NanoCpus"] = round(float(cpus) * 1e9)
        if logging := keys.get("logging"):
            options = {name: str(value) for name, value in (logging.get("options") or {}).items()}
            host["LogConfig"] = {"Type": logging.get("driver") or "json-file", "Config": options}
        for mount in keys.get("volumes") or ():
            self._mount(service, mount, host)
        return host

    def _mount(self, service: Service, written: str | dict[str, Any], host: dict[str, Any]) -> None:
        if isinstance(written, dict):
            kind, source, target = str(written.get("type") or "volume"), str(written.get("source") or ""), str(written.get("target") or "")
            read_only = _flag(written.get("read_only"))
            if kind == "tmpfs":
                host["Tmpfs"][target] = ""
                return
            if kind not in ("bind", "volume"):
                raise CapabilityMissing(f"a mount of type '{kind}' (service '{service.name}') is not read by Nines itself", how=PLUGIN)
        else:
            parts = written.split(":")
            source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
            kind = "bind" if source.startswith(("/", ".", "~")) else "volume"
            read_only = len(parts) > 2 and "ro" in parts[2].split(",")
        if kind == "bind":
            host["Binds"].append(
                f"{self._outside(source)}:{target}{':ro' if read_only else ''}"
            )  # a missing folder is made, as Compose has it
        else:
            name = self._volume(source) if source else ""
            host["Mounts"].append({"Type": "volume", "Source": name, "Target": target, "ReadOnly": read_only})

    def _health(self, service: Service) -> dict[str, Any]:
        given = service.keys.get("healthcheck") or {}
        if _flag(given.get("disable")):
            return {"Test": ["NONE"]}
        if not given.get("test"):
            return {}
        test = given["test"]
        health: dict[str, Any] = {"Test": ["CMD-SHELL", test] if isinstance(test, str) else list(map(str, test))}
        for key, name in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod")):
            if given.get(key):
                health[name] = round(self._seconds(service, f"healthcheck.{key}", given[key]) * _HEALTH_NS)
        if given.get("retries"):
            health["Retries"] = int(given["retries"])
        return health

    def _seconds(self, service: Service, key: str, written: object) -> float:
        text = str(written)
        try:
            return duration_s(f"{text}s" if text.isdecimal() else text)
        except WrongUnit as error:
            raise self._wrong(service, key, str(error)) from None

    def _bytes(self, service: Service, key: str, written: object) -> int:
        text = str(written).strip().lower()
        number = text.rstrip("bkmgi")
        unit = text[len(number) :][:1] or "b"
        try:
            return round(float(number) * _SIZES[unit])
        except (ValueError, KeyError):
            raise self._wrong(service, key, f"'{written}' is no size") from None

    def _wrong(self, service: Service, key: str, what: str) -> BadInput:
        return BadInput(what, place=Place(str(self._project.files[0]), None, f"services.{service.name}.{key}"))


def _words(written: object) -> list[str]:
    return shlex.split(written) if isinstance(written, str) else [str(word) for word in written]  # type: ignore[attr-defined]


def _flag(written: object) -> bool:
    return str(written).lower() in ("true", "yes", "on", "y")


def _several(written: object) -> list[str]:
    return [written] if isinstance(written, str) else [str(each) for each in written or ()]  # type: ignore[attr-defined]


def _labels(written: object) -> dict[str, str]:
    return {name: value or "" for name, value in pairs(written).items()}


def _hosts(written: object) -> dict[str, str]:
    if isinstance(written, dict):
        return {str(name): str(value) for name, value in written.items()}
    return {str(each): "" for each in written or ()}  # type: ignore[attr-defined]


def _ulimit(name: str, written: object) -> dict[str, Any]:
    soft, hard = (written["soft"], written["hard"]) if isinstance(written, dict) else (written, written)
    return {"Name": name, "Soft": int(str(soft)), "Hard": int(str(hard))}


def _proto(port: str) -> str:
    return port if "/" in port else f"{port}/tcp"


def _port(written: str | dict[str, Any]) -> tuple[str, dict[str, str] | None]:
    """The port inside, and where it is published, if it is."""
    if isinstance(written, dict):
        inside = _proto(f"{written['target']}/{written.get('protocol') or 'tcp'}")
        published = str(written.get("published") or "")
        return inside, {"HostIp": str(written.get("host_ip") or ""), "HostPort": published}
    text, _, protocol = str(written).partition("/")
    host, _, inside = text.rpartition(":")
    address, _, outside = host.rpartition(":")
    if "-" in inside:
        raise CapabilityMissing(f"the range of ports '{written}' is not read by Nines itself", how=PLUGIN)
    return _proto(f"{inside}/{protocol or 'tcp'}"), {"HostIp": address.strip("[]"), "HostPort": outside}
