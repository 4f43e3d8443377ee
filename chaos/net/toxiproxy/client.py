"""One Toxiproxy server's HTTP interface, through the toxiproxy-python client with what it lacks.

The client keeps host and port as attributes of one class, ``APIConsumer``, so that a process could speak to one server only.
Here every server has a *subclass* with attributes of its own: nothing global is ever changed, calls to several servers run
at the same time, and a frozen one delays no other. Each call has a time-out, goes past any proxy of the environment, follows
no redirect, and every answer that is not a plain yes becomes an error (the client lets 5xx pass). PATCH, which it does not
know, is sent beside it; where a server has none (before 2.6), POST does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast
from urllib.parse import quote

import msgspec

from chaos.net.toxiproxy import errors

if TYPE_CHECKING:
    import requests

Decoded = TypeVar("Decoded")
Body = dict[str, object]


class _Consumer(Protocol):
    """The client's ``APIConsumer``, which has no types; options are those of the requests package."""

    def get(self, url: str, **options: object) -> requests.Response: ...

    def post(self, url: str, *, json: Body | Sequence[Body], **options: object) -> requests.Response: ...

    def delete(self, url: str, **options: object) -> requests.Response: ...


SILENT_TIMEOUT_S: Final = 0.25
"""How long a call may take after one that had no answer in time, until one has: a removal asks many times, and a frozen server must
not hold up the whole run for each of them."""

_NO_PROXY = {"http": "", "https": "", "all": ""}


def path(*parts: str) -> str:
    """``/proxies/NAME/toxics``: every part quoted."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


class Wire:
    """Calls to one server. Safe to use from several threads."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        from toxiproxy.api import APIConsumer

        self.server = f"{host}:{port}"
        self._timeout_s = timeout_s
        self._is_silent = False
        self._consumer = cast("_Consumer", type("Consumer", (APIConsumer,), {"host": host, "port": port}))

    @property
    def timeout_s(self) -> float:
        """Of the next call: short while the server does not answer."""
        return min(self._timeout_s, SILENT_TIMEOUT_S) if self._is_silent else self._timeout_s

    def get(self, url: str, kind: type[Decoded]) -> Decoded:
        """Fetch and decode."""
        return self._decode(self._call(lambda: self._consumer.get(url, **self._options())), kind)

    def post(self, url: str, body: Body, kind: type[Decoded]) -> Decoded:
        """Create, and decode what was made."""
        return self._decode(self._call(lambda: self._consumer.post(url, json=body, **self._options())), kind)

    def post_list(self, url: str, bodies: Sequence[Body]) -> None:
        """Create several by one call; the answer's form differs between versions, and is not looked at."""
        self._call(lambda: self._consumer.post(url, json=bodies, **self._options()))

    def delete(self, url: str) -> None:
        """Remove."""
        self._call(lambda: self._consumer.delete(url, **self._options()))

    def patch(self, url: str, body: Body, kind: type[Decoded]) -> Decoded:
        """Change, and decode what it is now."""
        try:
            answer = self._call(lambda: self._send_patch(url, body))
        except errors.Refused as error:
            if error.status != 405:
                raise
            return self.post(url, body, kind)
        return self._decode(answer, kind)

    def knows_patch(self) -> bool:
        """Is PATCH understood? Asked of a proxy that is not there, so that nothing can change."""
        try:
            self._call(lambda: self._send_patch(path("proxies", "nines.no-such-proxy"), {}))
        except errors.NotThere as error:
            return "proxy not found" in error.what
        except errors.Refused:
            return False
        return False

    def _send_patch(self, url: str, body: Body) -> requests.Response:
        import requests

        data, headers = msgspec.json.encode(body), {"Content-Type": "application/json"}
        where = f"http://{self.server}{url}"
        return requests.patch(where, data=data, headers=headers, timeout=self.timeout_s, proxies=_NO_PROXY, allow_redirects=False)

    def _options(self) -> dict[str, object]:
        return {"timeout": self.timeout_s, "proxies": _NO_PROXY, "allow_redirects": False}

    def _call(self, send: Callable[[], requests.Response]) -> requests.Response:
        import requests
        from toxiproxy import exceptions

        timeout_s = self.timeout_s
        try:
            answer = send()
        except exceptions.ProxyExists as error:
            raise errors.of_status(409, _content(error), self.server) from None
        except exceptions.NotFound as error:
            raise errors.of_status(404, _content(error), self.server) from None
        except exceptions.InvalidToxic as error:
            raise errors.of_status(400, _content(error), self.server) from None
        except requests.Timeout:
            self._is_silent = True
            raise errors.NoAnswer(f"no answer within {timeout_s:g} s", server=self.server) from None
        except requests.RequestException as error:
            raise errors.NoAnswer(f"cannot be reached ({type(error).__name__})", server=self.server) from error
        self._is_silent = False
        if not 200 <= answer.status_code < 300:
            raise errors.of_status(answer.status_code, answer.content, self.server)
        return answer

    def _decode(self, answer: requests.Response, kind: type[Decoded]) -> Decoded:
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError):
            said = errors.words(answer.content)
            raise errors.Broken(f"an answer that cannot be read: {said}", server=self.server, status=answer.status_code) from None


def _content(error: Exception) -> bytes:
    content = error.args[0] if error.args else b""
    return content if isinstance(content, bytes) else str(content).encode()
