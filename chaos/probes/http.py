"""``http``: one HTTP/1.1 request, its answer judged by status and, if asked, by its text.

    http: "PUT http://{address}:{client}/kv/{key}"     method (GET if left out) and URL; a host other than {address} is resolved
    body: "{value}"                                    the default for PUT, POST and PATCH; else none
    headers: "Accept: text/plain; X-Who: {slot}"       further headers, parted by semicolons
    ok: "200,404"                                      statuses that are a success; 2xx is the default, and a word like 4xx is a class
    expect: "pong"                                     what the body of a success must hold, else it is ``wrong``

Another status is a *no*: the operation was not done (``fail``, ``error``). Except 502 and 504: a gateway speaks there for a
server that may have done it (``unknown``, ``error``).
"""

from __future__ import annotations

import re
from typing import Final

from chaos.errors import BadInput
from chaos.observations import Outcome, Why
from chaos.prober_http import Pool
from chaos.prober_probe import Probe, Setup, Slot

OPTIONS: Final = ("what", "body", "headers", "ok", "expect")
_WHAT: Final = re.compile(r"(?:(?P<method>[A-Z]+)\s+)?http://(?P<host>[^/:]+)(?::(?P<port>[^/]+))?(?P<path>/\S*)?")
_WITH_BODY: Final = ("PUT", "POST", "PATCH")
_GATEWAY: Final = (502, 504)
_GOOD: Final = (Outcome.OK, Why.NONE)
_NO: Final = (Outcome.FAIL, Why.ERROR)
_PERHAPS: Final = (Outcome.UNKNOWN, Why.ERROR)
_WRONG: Final = (Outcome.UNKNOWN, Why.WRONG)


def good_statuses(text: str) -> frozenset[int]:
    """``"200,4xx"`` -> {200, 400..499}."""
    found: set[int] = set()
    for word in (piece.strip() for piece in text.split(",")):
        if re.fullmatch(r"[1-5]xx", word):
            found.update(range(int(word[0]) * 100, int(word[0]) * 100 + 100))
        elif re.fullmatch(r"[1-5]\d\d", word):
            found.add(int(word))
        else:
            raise BadInput(f"'{word}' is not an HTTP status", right="write it like 200,404 or 2xx")
    return frozenset(found)


def build(setup: Setup) -> Probe:
    """The sender of one HTTP operation."""
    return HttpProbe(setup)


class HttpProbe:
    """See the module."""

    def __init__(self, setup: Setup) -> None:
        setup.allow(OPTIONS)
        what = setup.option("what").strip()
        match = _WHAT.fullmatch(what)
        if match is None:
            hint = "only http:// is spoken" if "https://" in what else "write it like PUT http://{address}:{client}/kv/{key}"
            raise BadInput(f"operation '{setup.operation}': '{what}' is not a request", right=hint)
        self._method = match["method"] or "GET"
        host = match["host"]
        self.host: str | None = None if host == "{address}" else setup.template(host).constant()
        port = setup.template(match["port"] or "80").constant()
        if not port.isdigit() or not 0 < int(port) < 65_536:
            raise BadInput(f"operation '{setup.operation}': '{port}' is not a port")
        body = setup.options.get("body", "{value}" if self._method in _WITH_BODY else "")
        self._body = setup.template(body)
        shown = f"{host}:{port}" if port != "80" else host
        lines = [f"{self._method} {match['path'] or '/'} HTTP/1.1", f"Host: {shown}", "User-Agent: nines"]
        lines += [line.strip() for line in setup.options.get("headers", "").split(";") if line.strip()]
        self._head = setup.template("\r\n".join(lines))
        self._few_heads = self._head.uses <= {"address", "key"}
        self._heads: dict[tuple[str, str], bytes] = {}
        """Rendered heads by address and key, of which there are few."""
        self._has_body = bool(body) or self._method in _WITH_BODY
        self._good = good_statuses(setup.options.get("ok", "2xx"))
        self._expect = setup.options.get("expect", "").encode()
        self._pool = Pool(setup.loop, int(port), self._request, self._judge, bodiless=self._method == "HEAD")
        self.send = self._pool.send
        self.close = self._pool.close

    def _request(self, slot: Slot) -> bytes:
        head = self._heads.get((slot.address, slot.key)) if self._few_heads else None
        if head is None:
            head = self._head.render(slot).encode()
            if self._few_heads:
                self._heads[slot.address, slot.key] = head
        if not self._has_body:
            return head + b"\r\n\r\n"
        body = self._body.render(slot).encode()
        return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)

    def _judge(self, status: int, body: bytes) -> tuple[Outcome, Why]:
        if status in self._good:
            return _GOOD if not self._expect or self._expect in body else _WRONG
        return _PERHAPS if status in _GATEWAY else _NO
