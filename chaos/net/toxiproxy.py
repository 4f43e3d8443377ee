"""Proxies and toxics of one Toxiproxy server: typed, timed, and read back after each change.

What the server does, measured on 2.12.0 (tests/contract/test_toxiproxy_adapter.py holds it to these):

    ``enabled: false``               new connections are refused and open ones are closed: a *reject*
    ``timeout`` of 0, both streams   connections are accepted and nothing ever comes: a *drop* as far as a stream can show one; the
                                     handshake still completes. Removing it closes the connections it held.
    ``latency``                      delays bytes, not the handshake, in one direction each; removing it releases at once what it held
    attributes                       whole numbers only
    a call                           about 1 ms on loopback; changes of several proxies are made at the same time, so that a layer of
                                     many toxics takes effect, and ends, within a few

A removal that does not work is escalated, so that harm never stays because one call failed: delete the toxic; else close the
proxy, delete, open it; else delete the whole proxy and make it anew. What cannot be proven gone is ``NotHealed``.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from chaos.clock import Clock, MonotonicClock, to_ns
from chaos.errors import EnvironmentUnusable, NotHealed
from chaos.net.several import raise_first, several
from chaos.net.toxiproxy_errors import AlreadyThere, NoAnswer, NotAsAsked, NotThere, ToxiproxyError
from chaos.net.toxiproxy_state import (
    BOTH,
    DOWNSTREAM,
    OLDEST,
    UPSTREAM,
    ProxyState,
    ProxyToxic,
    difference,
    toxics_for,
    version_numbers,
    whole,
)
from chaos.net.toxiproxy_wire import Body, Wire, path

__all__ = [
    "BOTH",
    "DOWNSTREAM",
    "UPSTREAM",
    "HowRemoved",
    "ProxyState",
    "ProxyToxic",
    "Removed",
    "ToxicOn",
    "ToxiproxyServer",
    "toxics_for",
]

HOW_TO_UPDATE: Final = "install a newer one: github.com/Shopify/toxiproxy (2.12.0 is tested), or set NINES_TOXIPROXY to its path"
_READY_POLL_S: Final = 0.01


class ToxicOn(msgspec.Struct, frozen=True):
    """Which toxic on which proxy."""

    proxy: str
    toxic: ProxyToxic


class HowRemoved(enum.StrEnum):
    """How far a removal had to go."""

    DELETED = "deleted"
    CLOSED = "proxy closed and opened"
    RECREATED = "proxy made anew"


class Removed(msgspec.Struct, frozen=True):
    """A toxic is gone, read back. ``at_ns``: when the call returned that removed it."""

    at_ns: int
    how: HowRemoved


class _Version(msgspec.Struct, frozen=True):
    version: str


class ToxiproxyServer:
    """One running server. Calls raise ``ToxiproxyError``; each ends within ``timeout_s``, removals within a few times that."""

    def __init__(self, host: str, port: int = 8474, *, timeout_s: float = 3.0, clock: Clock | None = None) -> None:
        self._wire = Wire(host, port, timeout_s)
        self._clock = clock or MonotonicClock()
        self._wanted: dict[str, ProxyState] = {}
        """What each proxy should be, by our own orders: a restarted or stuck server cannot tell us."""

    @property
    def address(self) -> str:
        """``host:port`` of the control interface."""
        return self._wire.server

    # --- reading --------------------------------------------------------------------------------------------------------

    def version(self) -> str:
        """As the server says it; ``git`` where it was built by ``go install``."""
        return self._wire.get("/version", _Version).version

    def check_version(self) -> str:
        """The version, or ``EnvironmentUnusable`` below 2.6. One that does not say is asked for what 2.6 brought: PATCH."""
        version = self.version()
        numbers = version_numbers(version)
        if numbers is None:
            if self._wire.knows_patch():
                return f"{version} (2.6 or newer)"
        elif numbers >= OLDEST:
            return version
        raise EnvironmentUnusable(f"Toxiproxy {version} at {self.address} is older than {OLDEST[0]}.{OLDEST[1]}", how=HOW_TO_UPDATE)

    def wait_ready(self, within_s: float) -> str:
        """Wait until it answers; the version. ``NoAnswer`` when the time is over."""
        end_ns = self._clock.now_ns() + to_ns(within_s)
        while True:
            try:
                return self.version()
            except NoAnswer:
                now_ns = self._clock.now_ns()
                if now_ns >= end_ns:
                    raise
                self._clock.wait_until_ns(min(end_ns, now_ns + to_ns(_READY_POLL_S)))

    def proxies(self) -> dict[str, ProxyState]:
        """All of them, by name."""
        return self._wire.get("/proxies", dict[str, ProxyState])

    def proxy(self, name: str) -> ProxyState | None:
        """One, or None."""
        try:
            return self._wire.get(path("proxies", name), ProxyState)
        except NotThere:
            return None

    # --- proxies --------------------------------------------------------------------------------------------------------

    def create(self, name: str, listen: str, upstream: str, *, toxics: Sequence[ProxyToxic] = (), enabled: bool = True) -> ProxyState:
        """A new proxy, closed until its toxics are in place, so that no early connection escapes them; what it is, read back."""
        wanted = ProxyState(name, listen, upstream, enabled, tuple(toxics))
        body: Body = {"name": name, "listen": listen, "upstream": upstream, "enabled": enabled and not toxics}
        self._wire.post("/proxies", body, ProxyState)
        self._wanted[name] = wanted
        for toxic in toxics:
            self._add(name, toxic)
        if enabled and toxics:
            self._patch_enabled(name, enabled)
        return self._read_back(wanted)

    def create_all(self, wanted: Sequence[ProxyState]) -> None:
        """Many new proxies, without toxics, by one call and one look: hundreds take as long as one."""
        if not wanted:
            return
        for state in wanted:
            assert not state.toxics, "a proxy with toxics is made by itself"
        bodies = [{"name": state.name, "listen": state.listen, "upstream": state.upstream, "enabled": state.enabled} for state in wanted]
        self._wire.post_list("/populate", bodies)
        self._wanted |= {state.name: state for state in wanted}
        self._compare(wanted, self.proxies())

    def delete(self, name: str) -> None:
        """Remove a proxy, with its connections; one that is not there is as good."""
        try:
            self._wire.delete(path("proxies", name))
        except NotThere:
            pass  # what was wanted
        except ToxiproxyError:
            if self.proxy(name) is not None:
                raise
        self._wanted.pop(name, None)

    def set_enabled(self, name: str, *, enabled: bool) -> int:
        """Open a proxy, or close it with its connections, and read that back; the time when it was."""
        self._patch_enabled(name, enabled)
        at_ns = self._clock.now_ns()
        self._read_back(self._remember(name, enabled=enabled))
        return at_ns

    # --- toxics ---------------------------------------------------------------------------------------------------------

    def add_toxic(self, proxy: str, toxic: ProxyToxic) -> int:
        """Put one in force, on open connections too, and read it back; the time when it was."""
        return self.add_toxics([ToxicOn(proxy, toxic)])

    def add_toxics(self, additions: Sequence[ToxicOn], *, existing: str = "keep") -> int:
        """Put all in force and read them back; the time when the last one was. If one fails, those before it are taken out again.

        Connections that are open get them too. ``existing="cut"`` closes these first, for toxics that must meet every connection.
        """
        by_proxy: dict[str, list[ToxicOn]] = {}
        for addition in additions:
            by_proxy.setdefault(addition.proxy, []).append(addition)
        done: list[ToxicOn] = []
        closed: list[str] = []
        try:
            if existing == "cut":
                closed = [name for name in by_proxy if self._known(name).enabled]
                raise_first(several(closed, lambda name: self._patch_enabled(name, False)))
            raise_first(several(by_proxy, lambda name: self._put(by_proxy[name], done)))
            raise_first(several(closed, lambda name: self._patch_enabled(name, True)))
            at_ns = self._clock.now_ns()
            self._compare([self._known(name) for name in by_proxy], self.proxies())
        except ToxiproxyError:
            self.remove_toxics(done)
            for name in closed:
                self._open_again(name)
            raise
        return at_ns

    def update_toxic(self, proxy: str, toxic: ProxyToxic) -> ProxyToxic:
        """Change attributes and toxicity of a toxic that is in force (its type and stream cannot change); as read back."""
        body: Body = {"attributes": whole(toxic.attributes), "toxicity": toxic.toxicity}
        self._wire.patch(path("proxies", proxy, "toxics", toxic.name), body, ProxyToxic)
        wanted = self._remember(proxy, remove=toxic.name, add=toxic)
        found = self._read_back(wanted).toxic(toxic.name)
        assert found is not None
        return found

    def remove_toxic(self, proxy: str, name: str) -> Removed:
        """Take one out; ``NotHealed`` if all three ways fail. One that is not there is as good."""
        return self._remove([(proxy, name)])[0]

    def remove_toxics(self, removals: Sequence[ToxicOn]) -> list[Removed]:
        """Take them out, all at about the same time, each as far as it needs, and read that back.

        All are tried before ``NotHealed`` says which may be left.
        """
        return self._remove([(removal.proxy, removal.toxic.name) for removal in removals])

    def _remove(self, removals: Sequence[tuple[str, str]]) -> list[Removed]:
        """First one call each, so that they end together; then one look at all; then whatever it takes for those that are left."""
        ended = several(removals, self._try_delete)
        deleted_ns = {key: result for key, result in ended.items() if isinstance(result, int)}
        why = {key: result.what for key, result in ended.items() if isinstance(result, ToxiproxyError)}
        removed: list[Removed] = []
        left: list[str] = []
        seen = self._seen_gone(deleted_ns) if deleted_ns else frozenset()
        for key in removals:
            if key in seen:
                self._forget_toxic(*key)
                removed.append(Removed(deleted_ns[key], HowRemoved.DELETED))
                continue
            try:
                removed.append(self._escalate(*key, why.get(key, "still there")))
            except NotHealed as error:
                left.append(str(error))
        if left:
            raise NotHealed("; ".join(left))
        return removed

    def _seen_gone(self, wanted: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Those that the server shows to be gone; none if it does not say, so that each is then looked at by itself."""
        try:
            found = self.proxies()
        except ToxiproxyError:
            return frozenset()
        return frozenset((proxy, name) for proxy, name in wanted if proxy not in found or found[proxy].toxic(name) is None)

    def _escalate(self, proxy: str, name: str, why: str) -> Removed:
        tried = [f"{HowRemoved.DELETED}: {why}"]
        for how, attempt in ((HowRemoved.CLOSED, self._delete_while_closed), (HowRemoved.RECREATED, self._recreate_without)):
            try:
                attempt(proxy, name)
                at_ns = self._clock.now_ns()
                state = self.proxy(proxy)
                if state is None or state.toxic(name) is None:
                    self._forget_toxic(proxy, name)
                    return Removed(at_ns, how)
                tried.append(f"{how}: still there")
            except ToxiproxyError as error:
                tried.append(f"{how}: {error.what}")
        raise NotHealed(f"toxic {name} of proxy {proxy} at {self.address} may still be in force ({'; '.join(tried)})")

    # --- one call each --------------------------------------------------------------------------------------------------

    def _add(self, proxy: str, toxic: ProxyToxic) -> None:
        body: Body = {
            "name": toxic.name,
            "type": toxic.type,
            "stream": toxic.stream,
            "toxicity": toxic.toxicity,
            "attributes": whole(toxic.attributes),
        }
        self._wire.post(path("proxies", proxy, "toxics"), body, ProxyToxic)

    def _put(self, additions: Sequence[ToxicOn], done: list[ToxicOn]) -> None:
        """Those of one proxy, one after the other; ``done`` holds all that may be in force, and are ours to take away."""
        for addition in additions:
            done.append(addition)
            try:
                self._add(addition.proxy, addition.toxic)
            except AlreadyThere:
                done.remove(addition)
                raise
            self._remember(addition.proxy, add=addition.toxic)

    def _try_delete(self, key: tuple[str, str]) -> int:
        """The time when it was gone."""
        self._delete_toxic(*key)
        return self._clock.now_ns()

    def _patch_enabled(self, name: str, enabled: bool) -> None:
        self._wire.patch(path("proxies", name), {"enabled": enabled}, ProxyState)

    def _delete_toxic(self, proxy: str, name: str) -> None:
        try:
            self._wire.delete(path("proxies", proxy, "toxics", name))
        except NotThere:
            return  # what was wanted

    def _delete_while_closed(self, proxy: str, name: str) -> None:
        reopen = self._known(proxy).enabled
        self._patch_enabled(proxy, False)
        try:
            self._delete_toxic(proxy, name)
        finally:
            if reopen:
                self._patch_enabled(proxy, True)

    def _recreate_without(self, proxy: str, name: str) -> None:
        known = self._known(proxy)
        self.delete(proxy)
        keep = tuple(toxic for toxic in known.toxics if toxic.name != name)
        self.create(proxy, known.listen, known.upstream, toxics=keep, enabled=known.enabled)

    def _open_again(self, name: str) -> None:
        try:
            self._patch_enabled(name, True)
        except ToxiproxyError as error:
            raise NotHealed(f"proxy {name} may still be closed: {error}") from error

    # --- what should be -------------------------------------------------------------------------------------------------

    def _known(self, name: str) -> ProxyState:
        """What we want of a proxy; the server's word for one that another process made."""
        if name not in self._wanted:
            found = self.proxy(name)
            if found is None:
                raise NotThere(f"no proxy {name}", server=self.address, status=404)
            self._wanted[name] = found
        return self._wanted[name]

    def _remember(self, name: str, *, enabled: bool | None = None, remove: str | None = None, add: ProxyToxic | None = None) -> ProxyState:
        known = self._known(name)
        toxics = tuple(toxic for toxic in known.toxics if toxic.name not in {remove, add.name if add else None})
        toxics += (add,) if add is not None else ()
        wanted = msgspec.structs.replace(known, toxics=toxics, enabled=known.enabled if enabled is None else enabled)
        self._wanted[name] = wanted
        return wanted

    def _forget_toxic(self, proxy: str, name: str) -> None:
        if proxy in self._wanted:
            self._remember(proxy, remove=name)

    def _read_back(self, wanted: ProxyState) -> ProxyState:
        found = self.proxy(wanted.name)
        self._compare([wanted], {} if found is None else {wanted.name: found})
        assert found is not None
        return found

    def _compare(self, wanted: Sequence[ProxyState], found: dict[str, ProxyState]) -> None:
        for want in wanted:
            wrong = difference(want, found.get(want.name))
            if wrong:
                raise NotAsAsked(f"proxy {want.name}: {wrong}", server=self.address)
