"""Following a redirect within one attempt: to the node that the answer names, by the way on which clients reach that node.

Only nodes of the cluster are followed to, by their address or name, so that credentials go nowhere else. The request keeps its method and
body after 307 and 308; after 303, and as clients do it after 301 and 302 for a POST, it becomes a GET (RFC 9110, section 15.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urljoin, urlsplit

from chaos.core.http1 import Answer
from chaos.traffic.http_client import Judge, Pool
from chaos.traffic.probe import Setup, Slot

if TYPE_CHECKING:
    from chaos.traffic.tls_client import Client

STATUSES: Final = frozenset({301, 302, 303, 307, 308})
_USUAL: Final = {"http": 80, "https": 443}


class Sent(NamedTuple):
    """What went out last for a slot, to which port, and after how many redirects."""

    request: bytes
    port: int
    hops: int


class Redirects:
    """Of one operation; ``most`` of them are followed in one attempt, the next one is an answer like any other."""

    def __init__(self, setup: Setup, judge: Judge, client: Client | None, *, bodiless: bool, looks: bool, own_host: bool) -> None:
        """``own_host``: the request has a ``Host`` header of its own, which stays as it is."""
        self._most = setup.client.redirects
        self._ways = setup.ways
        self._loop = setup.loop
        self._judge = judge
        self._client = client
        self._bodiless = bodiless
        self._looks = looks
        self._own_host = own_host
        self._sent: dict[Slot, Sent] = {}
        """Of slots that were sent on."""
        self._pools: dict[int, Pool] = {}

    def first(self, slot: Slot, status: int, answer: bytes | Answer, request: bytes, port: int) -> bool:
        """Whether an attempt goes on whose ``request`` went to the slot's own address, at this port."""
        self._sent.pop(slot, None)
        return status in STATUSES and self._on(slot, status, answer, Sent(request, port, 0))

    def _next(self, slot: Slot, status: int, answer: bytes | Answer) -> bool:
        before = self._sent.pop(slot, None)
        return before is not None and status in STATUSES and self._on(slot, status, answer, before)

    def _on(self, slot: Slot, status: int, answer: bytes | Answer, before: Sent) -> bool:
        where = self._where(slot.address, before.port, _location(answer), before.request)
        if where is None or before.hops >= self._most:
            return False
        slot.address, port, path, shown = where
        sent = Sent(_redirected(before.request, status, path, None if self._own_host else shown), port, before.hops + 1)
        self._sent[slot] = sent
        pool = self._pools.get(port)
        if pool is None:
            pool = self._pools[port] = Pool(
                self._loop, port, lambda _: b"", self._judge, bodiless=self._bodiless, looks=self._looks, client=self._client
            )
            pool.follow = self._next
        pool.put(slot, sent.request)
        return True

    def close(self) -> None:
        """Reset all connections."""
        for pool in self._pools.values():
            pool.close()

    def _where(self, address: str, port: int, location: str, request: bytes) -> tuple[str, int, str, str] | None:
        """Address, port, path and host as shown; None where clients do not know the way."""
        scheme = "http" if self._client is None else "https"
        asked = request.split(b" ", 2)[1].decode("ascii", "replace")
        try:
            url = urlsplit(urljoin(f"{scheme}://{address}:{port}{asked}", location))
            to_port = url.port or _USUAL[scheme]
        except ValueError:
            return None
        if not location or url.scheme != scheme or url.hostname is None:
            return None
        to = address if url.hostname == address else self._ways.get(url.hostname)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        if to is None or not path.isascii() or not path.isprintable() or " " in path:
            return None
        shown = url.hostname if to_port == _USUAL[scheme] else f"{url.hostname}:{to_port}"
        return to, to_port, path, shown


def _location(answer: bytes | Answer) -> str:
    if isinstance(answer, Answer):
        return answer.header(b"location")
    read = Answer()
    read.feed(answer)
    return read.header(b"location")


def _redirected(request: bytes, status: int, path: str, host: str | None) -> bytes:
    """The request anew, for another path and host."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method = first.split(b" ", 1)[0]
    bare = status == 303 or (status in (301, 302) and method == b"POST")
    method = b"GET" if bare and method != b"HEAD" else method
    kept = []
    for line in lines:
        name = line.partition(b":")[0].lower()
        if bare and name in (b"content-length", b"content-type"):
            continue
        kept.append(b"Host: " + host.encode() if name == b"host" and host is not None else line)
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, path.encode()), *kept]) + b"\r\n\r\n" + (b"" if bare else body)
