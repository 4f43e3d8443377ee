"""A project's services brought up by the engine's own calls, where Compose is not installed: the same names, labels and order.

networks, volumes -> images -> each service once those that it depends on are as it wants them (started, healthy, ended well)
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chaos.core.clock import Clock, to_ns
from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.engine.compose.translate import Translation, refuse_unread
from chaos.engine.connection import Engine
from chaos.engine.errors import translated
from chaos.engine.images.build import Note, pull, quiet
from chaos.experiment.compose.merging import pairs
from chaos.experiment.compose.project import Project, Service

if TYPE_CHECKING:
    from docker.api import APIClient

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
NUMBER: Final = "com.docker.compose.container-number"
ONEOFF: Final = "com.docker.compose.oneoff"
MADE_BY: Final = "nines.compose"
"""On all that is made here: it may be taken down again."""
WITHIN_S: Final = 180.0
AT_ONCE: Final = 8
LOOK_EVERY_S: Final = 0.05
STOP_S: Final = 10
IN_CONTAINER: Final = "NINES_IN_CONTAINER"
"""In the environment of Nines's own image."""


class Starter:
    """One project on one engine."""

    def __init__(self, engine: Engine, project: Project, clock: Clock, note: Note = quiet) -> None:
        refuse_unread(project)
        self._api: APIClient = engine.client.api
        self._engine = engine
        self._project = project
        self._clock = clock
        self._note = note
        self._mounts = own_mounts(self._api)
        self._translation = Translation(project, self._network, self._volume, self._outside)

    def up(self) -> None:
        """All services; ``EnvironmentUnusable`` for what does not come up. What was made by then is for ``down``."""
        self._make_networks()
        self._make_volumes()
        images = {service.name: self._image(service) for service in self._project.services.values()}
        for service in self._in_order():
            self._await_needs(service)
            with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="compose") as pool:
                started = [pool.submit(self._start, service, number, images[service.name]) for number in range(1, service.replicas + 1)]
            for each in started:
                each.result()

    def down(self) -> None:
        """Remove what ``up`` made: containers, networks, and the volumes that were not there before."""
        made = {"label": [f"{MADE_BY}={self._project.name}"]}
        with translated(f"taking the project '{self._project.name}' down"):
            for each in self._api.containers(all=True, filters=made):
                with contextlib.suppress(Exception):
                    self._api.stop(each["Id"], timeout=STOP_S)
                self._api.remove_container(each["Id"], force=True, v=True)
            for network in self._api.networks(filters=made):
                self._api.remove_network(network["Id"])
            for volume in self._api.volumes(filters=made)["Volumes"] or ():
                self._api.remove_volume(volume["Name"], force=True)

    # --- what containers stand on ----------------------------------------------------------------------------------------

    def _outside(self, path: str) -> str:
        return outside(path, self._mounts)

    def _network(self, name: str) -> str:
        own = self._project.networks.get(name) or {}
        external = own.get("external")
        if external and str(external) != "false":
            return str(own.get("name") or (external.get("name") if isinstance(external, dict) else "") or name)
        return str(own.get("name") or f"{self._project.name}_{name}")

    def _volume(self, name: str) -> str:
        if name not in self._project.volumes:
            raise BadInput(f"a service uses the volume '{name}', which is not at the top of the file", right=f"volumes: {{{name}: {{}}}}")
        own = self._project.volumes[name]
        external = own.get("external") and str(own.get("external")) != "false"
        return str(own.get("name") or (name if external else f"{self._project.name}_{name}"))

    def _make_networks(self) -> None:
        for name in dict.fromkeys(name for service in self._project.services.values() for name in service.networks):
            own = self._project.networks.get(name) or {}
            called = self._network(name)
            if name != "default" and name not in self._project.networks:
                raise BadInput(
                    f"a service uses the network '{name}', which is not at the top of the file", right=f"networks: {{{name}: {{}}}}"
                )
            with translated(f"making the network {called}"):
                if self._api.networks(names=[called]) and any(each["Name"] == called for each in self._api.networks(names=[called])):
                    continue
                if own.get("external") and str(own.get("external")) != "false":
                    raise EnvironmentUnusable(f"the external network '{called}' is not there", how=f"docker network create {called}")
                self._api.create_network(
                    called, driver=str(own.get("driver") or "bridge"), internal=str(own.get("internal")) == "true", ipam=_ipam(own),
                    enable_ipv6=str(own.get("enable_ipv6")) == "true", check_duplicate=True, options=own.get("driver_opts"),
                    labels={**_texts(own.get("labels")), **self._labels("com.docker.compose.network", name)},
                )  # fmt: skip

    def _make_volumes(self) -> None:
        for name, own in self._project.volumes.items():
            called = self._volume(name)
            with translated(f"making the volume {called}"):
                there = {each["Name"] for each in self._api.volumes()["Volumes"] or ()}
                if called not in there:
                    labels = {**_texts(own.get("labels")), **self._labels("com.docker.compose.volume", name)}
                    self._api.create_volume(called, driver="local", driver_opts=own.get("driver_opts"), labels=labels)

    def _labels(self, key: str, name: str) -> dict[str, str]:
        return {PROJECT: self._project.name, key: name, MADE_BY: self._project.name}

    def _image(self, service: Service) -> str:
        build, image = service.keys.get("build"), str(service.keys.get("image") or "")
        if not build:
            if not image:
                raise BadInput(f"the service '{service.name}' has neither 'image' nor 'build'", right="image: nginx:1.27")
            pull(self._engine, image, self._note)
            return image
        from chaos.engine.compose.building import build_context

        return build_context(self._engine, build, image or f"{self._project.name}-{service.name}", service.name, self._note)

    # --- containers ------------------------------------------------------------------------------------------------------

    def _in_order(self) -> list[Service]:
        """Each after those that it depends on."""
        left, found = dict(self._project.services), list[Service]()
        while left:
            ready = [each for each in left.values() if not set(each.needs) & left.keys()]
            if not ready:
                raise BadInput(f"the services {', '.join(left)} depend on one another", right="leave one 'depends_on' out")
            found += ready
            for each in ready:
                del left[each.name]
        return found

    def _start(self, service: Service, number: int, image: str) -> None:
        name = str(service.keys.get("container_name") or f"{self._project.name}-{service.name}-{number}")
        labels = {**self._labels(SERVICE, service.name), NUMBER: str(number), ONEOFF: "False"}
        config = self._translation.config(service, number, image, labels)
        with translated(f"starting {name}"):
            made = str(self._api.create_container_from_config(config, name)["Id"])
            for network in service.networks[1:]:
                self._join(made, self._network(network), self._translation.endpoint(service, network, number))
            self._api.start(made)

    def _join(self, container: str, network: str, endpoint: Mapping[str, Any]) -> None:
        fixed = endpoint.get("IPAMConfig") or {}
        self._api.connect_container_to_network(
            container,
            network,
            aliases=list(endpoint["Aliases"]),
            ipv4_address=fixed.get("IPv4Address"),
            ipv6_address=fixed.get("IPv6Address"),
        )

    def _await_needs(self, service: Service) -> None:
        given = service.keys.get("depends_on")
        conditions = given if isinstance(given, dict) else {}
        for name, wanted in conditions.items():
            condition = str((wanted or {}).get("condition") or "service_started")
            if condition == "service_started" or name not in self._project.services:
                continue
            self._note(f"{service.name} waits for {name} ({condition.removeprefix('service_').replace('_', ' ')})")
            until_ns = self._clock.now_ns() + to_ns(WITHIN_S)
            while not all(self._is_so(state, condition, name, service.name) for state in self._states(name)):
                if self._clock.now_ns() >= until_ns:
                    raise EnvironmentUnusable(
                        f"'{name}', on which '{service.name}' waits, is not {condition.removeprefix('service_')} after {WITHIN_S:g} s",
                        how=f"docker logs {self._project.name}-{name}-1",
                    )
                self._clock.wait_until_ns(self._clock.now_ns() + to_ns(LOOK_EVERY_S))

    def _states(self, service: str) -> list[dict[str, Any]]:
        with translated(f"looking at {service}"):
            listed = self._api.containers(all=True, filters={"label": [f"{PROJECT}={self._project.name}", f"{SERVICE}={service}"]})
            return [self._api.inspect_container(each["Id"])["State"] for each in listed]

    def _is_so(self, state: Mapping[str, Any], condition: str, name: str, waiting: str) -> bool:
        ended = state["Status"] in ("exited", "dead")
        if condition == "service_completed_successfully":
            if ended and state["ExitCode"] != 0:
                raise EnvironmentUnusable(f"'{name}' ended with status {state['ExitCode']}, and '{waiting}' waits for its success",
                                          how=f"docker logs {self._project.name}-{name}-1")  # fmt: skip
            return ended
        if ended:
            raise EnvironmentUnusable(
                f"'{name}' ended, and '{waiting}' waits for its health", how=f"docker logs {self._project.name}-{name}-1"
            )
        return str((state.get("Health") or {}).get("Status")) == "healthy"


def outside(path: str, mounts: Mapping[str, str]) -> str:
    """Where a folder of ours is on the engine's machine, if Nines runs in a container of it."""
    for inside, there in mounts.items():
        if Path(path).is_relative_to(inside):
            return str(Path(there) / Path(path).relative_to(inside))
    return path


def own_mounts(api: APIClient) -> dict[str, str]:
    """Folder here -> folder on the engine's machine, the longest first; empty unless Nines runs in a container of that engine."""
    if os.environ.get(IN_CONTAINER) != "1":
        return {}
    from docker.errors import NotFound

    with translated("asking where the folders of this container are"):
        try:
            mounts = api.inspect_container(socket.gethostname())["Mounts"]
        except NotFound:
            return {}
    return {each["Destination"]: each["Source"] for each in sorted(mounts, key=lambda each: -len(each["Destination"]))}


def _texts(written: object) -> dict[str, str]:
    return {name: value or "" for name, value in pairs(written).items()}


def _ipam(own: Mapping[str, Any]) -> dict[str, Any] | None:
    given = (own.get("ipam") or {}).get("config") or ()
    names = {"subnet": "Subnet", "gateway": "Gateway", "ip_range": "IPRange"}
    pools = [{names[key]: value for key, value in each.items() if key in names} for each in given]
    return {"Driver": "default", "Config": pools} if pools else None
