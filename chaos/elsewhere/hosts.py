"""A run on several Docker hosts whose first one is not this machine: how the harness there reaches the other engines, seen from here.

    each further host: a door (``engine.ways.door``) before its engine -> where, certificate, token -> ticket -> the harness dials
    a host's command: an errand of the harness, done here by a keeper; a host that is on has another door

Who may use an engine is known here alone: keys, certificates, agents and settings of ssh and of the docker command stay. The token is of
one run. From the harness to a door no packet comes by here, so a run goes to its end, or is rolled back, on all hosts without us.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chaos.core.errors import EnvironmentUnusable, NotHealed
from chaos.elsewhere.beside import SOCKET_INSIDE, identity
from chaos.elsewhere.container import ContainerTalk
from chaos.elsewhere.place import LABEL, sockets
from chaos.engine.connection import Engine, connect, require_age
from chaos.engine.errors import translated
from chaos.engine.ways.dial import Door
from chaos.experiment.hosts import HostSpec
from chaos.history.folder import RunFolder
from chaos.history.owed import POWER_ON
from chaos.runtimes.base.machines.errands import Errands
from chaos.runtimes.base.machines.orders import Obeyed, Order
from chaos.runtimes.docker.hosts.engines import address_of, copy_images
from chaos.runtimes.docker.hosts.hosts import terms_of
from chaos.runtimes.docker.hosts.power import await_engine

if TYPE_CHECKING:
    from docker.api import APIClient

PORTS: Final = tuple(range(4790, 4800))
"""TCP, beside the UDP 4790 of the network between the hosts; further ones for runs at the same time."""
QUIET_S: Final = 60.0
"""Nobody comes before the harness has started, and nobody after its end."""
ENDS_WITHIN_S: Final = 120.0
"""A harness whose command is gone rolls its faults back and removes what it started."""
_LOOK_S: Final = 0.1


class Hosts:
    """Of one run."""

    def __init__(self, specs: Mapping[str, HostSpec], folder: RunFolder) -> None:
        self._specs = dict(specs)
        self._folder = folder
        self._token = secrets.token_hex(32)
        self._engines: dict[str, Engine] = {}
        self._image = ""
        self._made: dict[str, str] = {}
        """Host -> its door's container."""
        self.errands = Errands(terms_of(folder.run, folder.path, specs))

    @contextmanager
    def open(self, first: Engine, image: str, note: Callable[[str], None]) -> Iterator[dict[str, Door]]:
        """All doors, for the block. ``first`` is where the harness will stand, and has that image."""
        self._image = image
        host, *others = self._specs
        with ExitStack() as stack:
            for other in others:
                engine = self._engines[other] = stack.enter_context(_connected(other, self._specs[other]))
                note(f"a door to the engine of host '{other}'")
                copy_images(first, [(engine, [image])])
            stack.callback(self._close)
            doors = {other: self._open(other) for other in others}
            yield {host: Door(self._specs[host].engine), **doors}

    # --- doors -----------------------------------------------------------------------------------------------------------

    def _open(self, host: str) -> Door:
        engine, spec, tried = self._engines[host], self._specs[host], []
        for path in sockets(engine):
            made, told = self._made_at(host, engine, path)
            if told.get("engine") == engine.facts.id:
                self._made[host] = made
                return Door(spec.engine, address_of(spec), int(told["port"]), str(told["certificate"]), self._token)
            tried.append(f"{path}: {told.get('why', 'another engine')}")
            _remove(engine.client.api, made)
        raise EnvironmentUnusable(
            f"host '{host}': no door could be opened to its engine ({'; '.join(tried)})",
            how=f"one free TCP port of {PORTS[0]} to {PORTS[-1]} there; NINES_ENGINE_SOCKET=the path of the engine's socket on its machine",
        )

    def _made_at(self, host: str, engine: Engine, path: str) -> tuple[str, dict[str, Any]]:
        """The container, and what it says of itself; ``why`` where it does not come to that."""
        from docker.errors import APIError

        api = engine.client.api
        with translated(f"opening a door on host '{host}'"):
            try:
                name = f"nines-door-{self._folder.run}-{secrets.token_hex(3)}"
                made = str(api.create_container_from_config(self._config(engine, path), name)["Id"])
            except APIError as error:
                if error.status_code == 400:
                    return "", {"why": str(error.explanation or error)}
                raise
            talk = ContainerTalk(api, made)
            try:
                api.start(made)
                return made, _told(talk)
            finally:
                talk.close()

    def _config(self, engine: Engine, path: str) -> dict[str, Any]:
        text = files("chaos.engine.ways").joinpath("door.py").read_text(encoding="utf-8")
        on: dict[str, Any] = {
            "AutoRemove": True,
            "NetworkMode": "host",
            "SecurityOpt": ["label=disable"],
            "Mounts": [{"Type": "bind", "Source": path, "Target": SOCKET_INSIDE}],
        }
        if engine.facts.own_users:
            on["UsernsMode"] = "host"
        return {
            "Image": self._image,
            "Cmd": ["python3", "-I", "-c", text, SOCKET_INSIDE, str(QUIET_S), ",".join(map(str, PORTS))],
            "Env": [f"NINES_DOOR_TOKEN={self._token}"],
            "Labels": {LABEL: "door", f"{LABEL}.run": self._folder.run},
            "HostConfig": on,
        }

    def _close(self) -> None:
        """Those that can be reached; any other is quiet from now on, and then gone."""
        for host, made in self._made.items():
            _remove(self._engines[host].client.api, made)

    # --- errands ---------------------------------------------------------------------------------------------------------

    def do(self, order: Order, tell: Callable[[Obeyed], None]) -> None:
        """As ``Errands.do``, by the experiment's own commands; of a host that is on again ``tell`` has its new door."""

        def done(obeyed: Obeyed) -> None:
            if order.do == POWER_ON and not obeyed.said and order.host in self._engines:
                # Beside what else is said meanwhile: a machine may take minutes to boot.
                threading.Thread(target=lambda: tell(self._again(order)), name="door", daemon=True).start()
            else:
                tell(obeyed)

        self.errands.do(order, done)

    def _again(self, order: Order) -> Obeyed:
        host = order.host
        try:
            await_engine(host, self._specs[host])
            self._engines[host].client.api.close()  # its connections are of before
            _remove(self._engines[host].client.api, self._made.pop(host, ""))
            return Obeyed(order.number, "", self._open(host))
        except (NotHealed, EnvironmentUnusable) as error:
            return Obeyed(order.number, str(error))


def _told(talk: ContainerTalk) -> dict[str, Any]:
    """Its first line, or why there is none."""
    said = {1: b"", 2: b""}
    for stream, piece in talk.pieces():
        said[stream] += piece
        if said[1].endswith(b"\n"):
            return dict(json.loads(said[1]))
    return {"why": said[2].decode(errors="replace").strip().rpartition("\n")[2] or "it ended at once"}


@contextmanager
def _connected(host: str, spec: HostSpec) -> Iterator[Engine]:
    try:
        engine = connect(spec.engine, checked=False)
        require_age(engine.facts)
    except EnvironmentUnusable as error:
        raise EnvironmentUnusable(f"host '{host}': {error.what}", how=error.how) from error
    with engine:
        yield engine


def _remove(api: APIClient, container: str) -> None:
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    if container:
        with contextlib.suppress(DockerException, RequestException):
            api.remove_container(container, force=True)


def close_doors(specs: Mapping[str, HostSpec], run: str) -> None:
    """Those of a command that is gone, before they are quiet for long enough to go by themselves."""
    for host, spec in list(specs.items())[1:]:
        with _connected(host, spec) as engine, translated(f"looking for the door on host '{host}'"):
            for door in engine.client.api.containers(all=True, filters={"label": [f"{LABEL}=door", f"{LABEL}.run={run}"]}):
                _remove(engine.client.api, door["Id"])


def await_ended(engine: Engine, run: str) -> None:
    """The harness beside that engine, which rolls back when its command is gone. ``EnvironmentUnusable`` if it goes on."""
    until_s = time.monotonic() + ENDS_WITHIN_S
    while True:
        with translated(f"looking for the harness of {run}"):
            there = engine.client.api.containers(filters={"label": [f"{LABEL}.run={run}", f"{LABEL}=run"]})
        if not there:
            return
        if time.monotonic() > until_s:
            raise EnvironmentUnusable(
                f"the harness of {run} still runs beside {identity(engine)}", how=f"docker rm -f {there[0]['Names'][0].lstrip('/')}"
            )
        time.sleep(_LOOK_S)


def filled(specs: Mapping[str, HostSpec], doors: Mapping[str, Door]) -> dict[str, HostSpec]:
    """With the addresses that the command knows by its own settings."""
    return {
        host: msgspec.structs.replace(spec, address=spec.address or (doors[host].address if host in doors else ""))
        for host, spec in specs.items()
    }
