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

import msgspec

from chaos.core.errors import NotHealed
from chaos.net.several import raise_first, several
from chaos.net.toxiproxy.client import path
from chaos.net.toxiproxy.errors import AlreadyThere, NotThere, ToxiproxyError
from chaos.net.toxiproxy.proxies import Proxies
from chaos.net.toxiproxy.state import BOTH, DOWNSTREAM, UPSTREAM, ProxyState, ProxyToxic, toxics_for

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
    """A toxic is gone, read back. ``at_ns``: the middle of the call that removed it."""

    at_ns: int
    how: HowRemoved


class ToxiproxyServer(Proxies):
    """One running server: its proxies, and the toxics on them. A removal ends within a few times ``timeout_s``."""

    def add_toxics(self, additions: Sequence[ToxicOn], *, existing: str = "keep") -> int:
        """Put all in force and read them back; the time when the last one was. If one fails, those before it are taken out again.

        Connections that are open get them too. ``existing="cut"`` closes these first, for toxics that must meet every connection.
        """
        by_proxy: dict[str, list[ToxicOn]] = {}
        for addition in additions:
            by_proxy.setdefault(addition.proxy, []).append(addition)
        done: list[ToxicOn] = []
        closed: list[str] = []
        at_ns: list[int] = []
        try:
            if existing == "cut":
                closed = [name for name in by_proxy if self._known(name).enabled]
                raise_first(several(closed, lambda name: self._patch_enabled(name, False)))
            raise_first(several(by_proxy, lambda name: self._put(by_proxy[name], done, at_ns)))
            if closed:
                raise_first(several(closed, lambda name: self._patch_enabled(name, True)))
                at_ns.append(self._clock.now_ns())
            self._compare([self._known(name) for name in by_proxy], self.proxies())
        except ToxiproxyError:
            self.remove_toxics(done)
            for name in closed:
                self._open_again(name)
            raise
        return max(at_ns, default=self._clock.now_ns())

    # --- removal --------------------------------------------------------------------------------------------------------

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

    def _put(self, additions: Sequence[ToxicOn], done: list[ToxicOn], at_ns: list[int]) -> None:
        """Those of one proxy, one after the other; ``done`` holds all that may be in force, and ours to take away, ``at_ns`` since when."""
        for addition in additions:
            done.append(addition)
            asked_ns = self._clock.now_ns()
            try:
                self._add(addition.proxy, addition.toxic)
            except AlreadyThere:
                done.remove(addition)
                raise
            at_ns.append(self._middle_ns(asked_ns))
            self._remember(addition.proxy, add=addition.toxic)

    def _try_delete(self, key: tuple[str, str]) -> int:
        """The time when it was gone."""
        asked_ns = self._clock.now_ns()
        self._delete_toxic(*key)
        return self._middle_ns(asked_ns)

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

    def _forget_toxic(self, proxy: str, name: str) -> None:
        if proxy in self._wanted:
            self._remember(proxy, remove=name)

    def _open_again(self, name: str) -> None:
        try:
            self._patch_enabled(name, True)
        except ToxiproxyError as error:
            raise NotHealed(f"proxy {name} may still be closed: {error}") from error
