"""Toxiproxy servers that nobody sees: each in the network namespace of the node whose connections it harms.

    system of n1 --connect n2:7000--> [redirect] 127.0.0.1:21001 --proxy of uid 60001, not redirected--> n2:7000

The system dials its peer's real address, and the peer sees the real address of the node: nothing is configured anew. One server
a source, one proxy for each port of each destination that a toxic may come to harm; driven from the host over the node's address.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor, wait
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, NinesError, NotHealed
from chaos.core.values import Link, Passage
from chaos.net.addresses import Addresses
from chaos.net.nft import PROXY_UID
from chaos.net.packets import Redirect
from chaos.net.toxiproxy.errors import ToxiproxyError
from chaos.net.toxiproxy.toxics import ProxyState, Removed, ToxicOn, ToxiproxyServer
from chaos.net.transfer import ProxyGauge

if TYPE_CHECKING:
    from chaos.experiment.target.spec import Ask
    from chaos.query.question import Answer as Asked
    from chaos.runtimes.base.agents.link import Answer

CONTROL_PORT: Final = 8474
FIRST_PORT: Final = 21001
"""Proxies listen from here on: below the ports that Linux gives to outgoing connections (32768 and up)."""
READY_WITHIN_S: Final = 10.0
CHILD: Final = "toxiproxy"
"""What the agent calls it when it dies."""
LOG: Final = "/tmp/toxiproxy.log"  # noqa: S108 - in a container of our own

Key = TypeVar("Key")
Result = TypeVar("Result")


class Agent(Protocol):
    """What is needed of ``link.AgentLink``."""

    def call(self, do: str, timeout_s: float = ..., **fields: object) -> Answer:
        """Have it done inside the namespace."""
        ...

    def ask(self, question: Ask, timeout_s: float) -> Asked:
        """Put a question to somebody from inside the namespace."""
        ...


class Proxy(msgspec.Struct, frozen=True):
    """What stands in one port of one link."""

    name: str
    link: Link
    redirect: Redirect

    @property
    def listen(self) -> str:
        """Where the redirected connections arrive."""
        return f"127.0.0.1:{self.redirect.to}"

    @property
    def upstream(self) -> str:
        """Where it takes them to."""
        return f"{self.redirect.address}:{self.redirect.port}"


def planned_proxies(run: str, links: Iterable[Link], ports: Mapping[str, Mapping[str, int]], addresses: Addresses) -> tuple[Proxy, ...]:
    """A proxy for each port of each link's destination, where the link's traffic goes to, on ports that no part of the target uses."""
    taken = {port for some in ports.values() for port in some.values()} | {control_port(ports)}
    following: dict[str, int] = {}
    found = []
    for link in sorted(set(links)):
        for port_name, port in sorted(ports[link.destination].items()):
            to = following.get(link.source, FIRST_PORT)
            while to in taken:
                to += 1
            following[link.source] = to + 1
            name = f"{run}.{link.source}__{link.destination}.{port_name}"
            found.append(Proxy(name, link, Redirect(addresses.used(link), port, to)))
    return tuple(found)


def control_port(ports: Mapping[str, Mapping[str, int]]) -> int:
    """Toxiproxy's own, or the next one that no part of the target uses."""
    taken = {port for some in ports.values() for port in some.values()}
    return next(port for port in range(CONTROL_PORT, FIRST_PORT) if port not in taken)


def start(source: str, agent: Agent, address: str, port: int, proxies: Sequence[Proxy], program: str, clock: Clock) -> ToxiproxyServer:
    """Start the server of one namespace and make its proxies; what turns connections into them comes after.

    Under ``env``, since each connection is a line of its log at the level it has by itself.
    """
    argv = ["env", "LOG_LEVEL=warn", program, "-host", "0.0.0.0", "-port", str(port)]  # noqa: S104 - of a namespace of ours
    agent.call("spawn", name=CHILD, argv=argv, uid=PROXY_UID, log=LOG, toxiproxy_port=port)
    server = ToxiproxyServer(address, port, clock=clock)
    try:
        server.wait_ready(READY_WITHIN_S)
        server.check_version()
        server.create_all([ProxyState(proxy.name, proxy.listen, proxy.upstream, enabled=True) for proxy in proxies])
    except ToxiproxyError as error:
        raise EnvironmentUnusable(
            f"Toxiproxy does not do its work in the namespace of {source}: {error}", how=f"see {LOG} in the container of its agent"
        ) from error
    return server


class Servers:
    """``layers.Proxies`` over several servers: each call goes to those whose proxies it names, at the same time."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._server_of: dict[str, ToxiproxyServer] = {}
        self._gauge_of: dict[str, ProxyGauge] = {}
        self._lost: set[str] = set()
        """Proxies that went with the network that they stood in, and all toxics with them."""

    def add(self, server: ToxiproxyServer, proxies: Iterable[Proxy], gauge: ProxyGauge | None = None) -> None:
        """These proxies are there, and with a gauge can be measured."""
        names = [proxy.name for proxy in proxies]
        self._server_of |= dict.fromkeys(names, server)
        self._lost.difference_update(names)
        if gauge is not None:
            self._gauge_of |= dict.fromkeys(names, gauge)

    def lose(self, names: Iterable[str]) -> None:
        """The network of these proxies is no more, and all that was in force on them; until they are added anew."""
        self._lost.update(names)

    def passage(self, proxy: str, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Bytes of ours through what is in force on this proxy, in its own namespace."""
        return self._gauge_of[proxy].passage(proxy, stream, size_bytes, timeout_s)

    def add_toxics(self, additions: Sequence[ToxicOn], *, existing: str = "keep") -> int:
        """All in force, read back; the time when the last one was. If a server fails, those of the others are taken out again."""
        parts = self._by_server(additions)
        results = at_once(self._pool, list(parts), lambda server: server.add_toxics(parts[server], existing=existing))
        failures = [result for result in results.values() if isinstance(result, NinesError)]
        if failures:
            self.remove_toxics([toxic for server, result in results.items() if isinstance(result, int) for toxic in parts[server]])
            raise failures[0]
        return max(result for result in results.values() if isinstance(result, int))

    def remove_toxics(self, removals: Sequence[ToxicOn]) -> list[Removed]:
        """All gone, read back; each is tried before ``NotHealed``."""
        parts = self._by_server([removal for removal in removals if removal.proxy not in self._lost])
        results = at_once(self._pool, list(parts), lambda server: server.remove_toxics(parts[server]))
        failed = {server: str(result) for server, result in results.items() if isinstance(result, NinesError)}
        failures = [why for server, why in failed.items() if self._there(server, parts[server])]
        if failures:
            raise NotHealed("; ".join(failures))
        return [removed for result in results.values() if not isinstance(result, NinesError) for removed in result]

    def set_enabled(self, name: str, *, enabled: bool) -> int:
        """Open, or closed with all its connections; the time when it was. One that is lost is as good as open: nobody closes the way."""
        server = self._server_of[name]
        try:
            return server.set_enabled(name, enabled=enabled)
        except NinesError:
            if enabled and not self._there(server, [name]):
                return 0
            raise

    def _there(self, server: ToxiproxyServer, proxies: Iterable[str | ToxicOn]) -> bool:
        """Whether its network still is: it may have died while it was asked."""
        names = {each if isinstance(each, str) else each.proxy for each in proxies}
        return any(self._server_of[name] is server for name in names - self._lost)

    def _by_server(self, toxics: Sequence[ToxicOn]) -> dict[ToxiproxyServer, list[ToxicOn]]:
        parts: dict[ToxiproxyServer, list[ToxicOn]] = {}
        for toxic in toxics:
            parts.setdefault(self._server_of[toxic.proxy], []).append(toxic)
        return parts


def at_once(pool: Executor, keys: Collection[Key], call: Callable[[Key], Result]) -> dict[Key, Result | NinesError]:
    """The call for each, all at the same time and all to their end; a failure stands in the place of its result."""

    def one(key: Key) -> Result | NinesError:
        try:
            return call(key)
        except NinesError as error:
            return error

    if len(keys) < 2:
        return {key: one(key) for key in keys}
    futures = {key: pool.submit(one, key) for key in keys}
    wait(futures.values())
    return {key: future.result() for key, future in futures.items()}
