"""The proxies of one Toxiproxy server: read, made, opened, closed and removed, each change read back; and what we want of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.core.clock import Clock, MonotonicClock, to_ns
from chaos.core.errors import EnvironmentUnusable
from chaos.net.toxiproxy.client import Body, Wire, path
from chaos.net.toxiproxy.errors import NoAnswer, NotAsAsked, NotThere, ToxiproxyError
from chaos.net.toxiproxy.state import OLDEST, ProxyState, ProxyToxic, difference, version_numbers, whole

HOW_TO_UPDATE: Final = "install a newer one: github.com/Shopify/toxiproxy (2.12.0 is tested), or set NINES_TOXIPROXY to its path"
_READY_POLL_S: Final = 0.01


class _Version(msgspec.Struct, frozen=True):
    version: str


class Proxies:
    """Those of one running server. Calls raise ``ToxiproxyError``; each ends within ``timeout_s``."""

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
        asked_ns = self._clock.now_ns()
        self._patch_enabled(name, enabled)
        at_ns = self._middle_ns(asked_ns)
        self._read_back(self._remember(name, enabled=enabled))
        return at_ns

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

    def _middle_ns(self, asked_ns: int) -> int:
        """Of a call that has just returned: what it did is at most half its length away, whichever side was slow."""
        return (asked_ns + self._clock.now_ns()) // 2

    def _patch_enabled(self, name: str, enabled: bool) -> None:
        self._wire.patch(path("proxies", name), {"enabled": enabled}, ProxyState)

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
