"""``http``: one HTTP/1.1 request, its answer judged by status and, if asked, by its body.

    http: "PUT http://{address}:{client}/kv/{key}"     method (GET if left out) and URL; a host other than {address} is resolved
    body: "{value}"                                    the default for PUT, POST and PATCH; else none
    headers: ["Cookie: a=1; b=2", "X-Who: {slot}"]     further headers, one an item (or a line of a text, or a table of them); a Host
                                                       takes the place of ours; ${env:TOKEN} is filled in from the environment
    basic: "me:${env:PASSWORD}"                        an Authorization header of user and password; the password comes from the environment
    bearer: "${env:TOKEN}"                             the same of a token
    ok: "200,404"                                      statuses that are a success; 2xx is the default, and a word like 4xx is a class

An ``https://`` URL is spoken over TLS; who is believed is said by the options of ``tls_options``: ca, cert, cert_key, server_name, verify.

What the body of a success must be, else it is ``wrong``; nothing is looked at unless it is asked for:

    expect: "pong"                                     it holds this text
    expect_not: "error"                                it does not hold this text
    not_empty: true                                    it holds at least one byte
    pattern: "token-[0-9]+"                            this regular expression is found in it
    json: tokens                                       the expression holds for it, as for a question: path, path=value, path != value

Another status is a *no* (``fail``, ``error``): the request was refused, and the operation not done. Except 408 and all from 500 on: a
server or gateway that says so may have done it, or do it later (``unknown``, ``error``). A target that knows better says which
statuses mean that it was surely not done:

    not_done: "503"                                    statuses, or a word like 5xx, after which the operation is never done

What a read was answered with, where an experiment checks the data (``data:``): the body of the answer, or

    answer: value                                      what stands at this dotted path of a JSON body

A good status that is not 2xx (``ok: "200,404"``), or 204, says that there is nothing under that key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Final

import msgspec

from chaos.core import plugins as tables
from chaos.core import tls
from chaos.core.errors import BadInput
from chaos.core.http1 import Answer
from chaos.experiment import tls_options
from chaos.experiment.probe_options import ENVIRONMENT, SAMPLE, Template, checked_host, secret_words, worded
from chaos.history.observations import Outcome, Why
from chaos.query import question as asking
from chaos.traffic.http_client import encrypted, pool_of
from chaos.traffic.probe import Probe, Setup, Slot, Written, reads
from chaos.traffic.redirects import Redirects

LOOKS: Final = {
    "expect": "A text that the body of a success holds", "expect_not": "A text that it does not hold",
    "not_empty": "true: it holds at least one byte", "pattern": "A regular expression that is found in it",
    "json": "An expression that holds for it: path, path=value, path != value",
}  # fmt: skip
"""Options that look at the body."""
OPTIONS: Final = {
    "what": "Method and URL", "body": "What is sent; {value} for PUT, POST and PATCH", "headers": "Further headers",
    "basic": "user:${env:PASSWORD}, sent as HTTP basic authentication", "bearer": "${env:TOKEN}, sent as a bearer token",
    "ok": "Statuses that are a success: 200,404 or 2xx", "not_done": "Statuses after which the operation is surely not done: 503",
    "answer": "Dotted path of the value in a JSON answer", **LOOKS, **tls_options.OPTIONS,
}  # fmt: skip
_WHAT: Final = re.compile(r"(?:(?P<method>\S+)\s+)?(?P<scheme>[A-Za-z]+)://(?P<where>[^/?#\s]*)(?P<path>[/?#]\S*)?")
_WHERE: Final = re.compile(r"(?P<host>\{address\}|(?:\{\w+\}|[A-Za-z0-9._-])+)(?::(?P<port>[^:]+))?")
_METHODS: Final = (
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY", "PURGE", "LINK", "UNLINK", "COPY", "MOVE", "LOCK",
    "UNLOCK", "MKCOL", "PROPFIND", "PROPPATCH", "REPORT", "SEARCH",
)  # fmt: skip
_WITH_BODY: Final = ("PUT", "POST", "PATCH")
_LIKE: Final = "write it like PUT http://{address}:{client}/kv/{key}"
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)", re.DOTALL)
_SECOND: Final = re.compile(r";\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]")
"""After a semicolon something that begins like a header: a semicolon used to part headers, and in a value it hardly ever stands so."""
_OURS: Final = {
    "content-length": "leave it out: the prober counts the body", "transfer-encoding": "leave it out: the body is sent with its length",
    "connection": "leave it out: the prober keeps connections open", "upgrade": "leave it out: only HTTP/1.1 is spoken",
    "expect": "leave it out: the whole request is sent at once", "trailer": "leave it out", "te": "leave it out",
}  # fmt: skip
_TIMED_OUT: Final = 408
_SERVER_ERRORS: Final = 500
"""From here on a status says nothing about what was done."""
_GOOD: Final = (Outcome.OK, Why.NONE)
_NO: Final = (Outcome.FAIL, Why.ERROR)
_PERHAPS: Final = (Outcome.UNKNOWN, Why.ERROR)
_WRONG: Final = (Outcome.UNKNOWN, Why.WRONG)

Look = Callable[[bytes], bool]
"""Whether a body is as it must be."""


def good_statuses(text: str) -> frozenset[int]:
    """``"200,4xx"`` -> {200, 400..499}."""
    found: set[int] = set()
    for word in (piece.strip() for piece in text.split(",")):
        if re.fullmatch(r"[1-5]xx", word):
            found.update(range(int(word[0]) * 100, int(word[0]) * 100 + 100))
        elif re.fullmatch(r"[1-5][0-9]{2}", word):
            found.add(int(word))
        else:
            raise BadInput(f"'{word[:40]}' is not an HTTP status", right="write it like 200,404 or 2xx")
    return frozenset(found)


class Request:
    """What the options of one operation say, checked."""

    def __init__(self, written: Written, *, keep_alive: bool = True) -> None:
        written.allow(OPTIONS)
        what = written.option("what").strip()
        self.method, scheme, where, path = _line(written, what)
        if "@" in where:
            right = 'basic: "user:${env:PASSWORD}"'
            raise written.wrong("what", "a user or password stands in the URL, which is never sent", right)
        place = _WHERE.fullmatch(where)
        if place is None:
            far = "[" in where or where.count(":") > 1
            raise written.wrong(
                "what", f"'{where}' is not a host with a port", "an IPv4 address or a name: IPv6 is not spoken" if far else _LIKE
            )
        written.template(path)
        self.host: str | None = None if place["host"] == "{address}" else checked_host(written, place["host"])
        usual = 443 if scheme == "https" else 80
        self.port = written.port(place["port"] or str(usual))
        shown = f"{place['host']}:{self.port}" if self.port != usual else place["host"]
        self.trust: tls.Trust | None = None
        if scheme == "https":
            self.trust = tls_options.trust(written, self.host)
        else:
            tls_options.refuse(written, "https:// in place of http://")
        given = _headers(written) | _credentials(written)
        self.own_host = "host" in given
        own = {"host": f"Host: {shown}", "user-agent": "User-Agent: nines"} | ({} if keep_alive else {"connection": "Connection: close"})
        lines = [f"{self.method} {path} HTTP/1.1", *(line for name, line in own.items() if name not in given), *given.values()]
        words = {**written.words, **secret_words(written, "headers"), **secret_words(written, "bearer")}
        self.head = Template("\r\n".join(lines), words, written.operation)
        sent = self.head.render(SAMPLE)
        if not re.fullmatch(r"[!-~]+ [!-~]+ HTTP/1\.1", sent.partition("\r\n")[0]) or sent.count("\r\n") != len(lines) - 1:
            raise written.wrong("what", f"'{path}' with its words filled in is not a path", "no blanks in what is filled in")
        body = written.options.get("body", "{value}" if self.method in _WITH_BODY else "")
        self.body: Template = written.template(body, "body")
        self.has_body = bool(body) or self.method in _WITH_BODY
        self.good = _statuses(written, "ok", "2xx")
        self.not_done = _statuses(written, "not_done", "") if "not_done" in written.options else frozenset[int]()
        if both := sorted(self.good & self.not_done):
            raise written.wrong("not_done", f"{both[0]} is a success as well", "a status that is not in 'ok'")
        self.answer = _path(written)
        self.looks = _looks(written)
        if self.looks and self.method == "HEAD":
            looked = next(name for name in LOOKS if name in written.options)
            raise written.wrong(looked, "the answer to HEAD has no body", "leave it out, or GET")


def _statuses(written: Written, option: str, usual: str) -> frozenset[int]:
    try:
        return good_statuses(written.options.get(option, usual))
    except BadInput as refusal:
        raise written.wrong(option, refusal.message, refusal.right) from None


def _path(written: Written) -> str:
    """Where the value stands in a JSON answer; empty: the body is the value."""
    path = written.options.get("answer", "")
    if "answer" in written.options and (not path or any(not step for step in path.split("."))):
        raise written.wrong("answer", f"'{path[:60]}' is not a dotted path", "answer: value, or answer: node.value")
    if path and written.does != "read":
        raise written.wrong("answer", f"an operation that does '{written.does}' answers no value", "leave it out")
    return path


def _line(written: Written, what: str) -> tuple[str, str, str, str]:
    """Method, scheme, host with port, and path."""
    match = _WHAT.fullmatch(what)
    if match is None:
        spaced = re.fullmatch(r"(\S+\s+)?[A-Za-z]+://.*\s.*", what, re.DOTALL)
        raise written.wrong("what", f"'{what}' is not a request", "write %20 for a blank in a URL" if spaced else _LIKE)
    method, scheme, path = match["method"] or "GET", match["scheme"], match["path"] or "/"
    if scheme not in ("http", "https"):
        raise written.wrong("what", f"'{what}' is not a request", "only http:// and https:// are spoken")
    if method not in _METHODS:
        right = f"did you mean '{method.upper()}'?" if method.upper() in _METHODS else tables.suggest(method.upper(), list(_METHODS))
        raise written.wrong("what", f"'{what}' is not a request: '{method}' is not a method", right)
    if "#" in path:
        raise written.wrong("what", f"'{what}' has a fragment, which is never sent", "leave out what begins with '#'")
    if not path.isascii() or not path.isprintable():
        raise written.wrong("what", f"'{what}' holds characters that no URL may hold", "percent-encode them, as in %C3%BC")
    return method, scheme, match["where"], path if path.startswith("/") else f"/{path}"


def _headers(written: Written) -> dict[str, str]:
    """Name in small letters -> the line, in the order given; one header a line, whatever its value holds."""
    found: dict[str, str] = {}
    secrets = secret_words(written, "headers")
    given = written.options.get("headers", "")
    if "\n" not in given and (second := _SECOND.search(given)) is not None:
        right = f'one header an item: headers: ["{given[: second.start()].strip()}", "{given[second.start() + 1 :].strip()}"]'
        raise written.wrong("headers", f"'{given[:60]}' looks like two headers in one", right)
    for line in (piece.strip() for piece in given.split("\n")):
        if not line:
            continue
        match = _HEADER.fullmatch(line)
        if match is None or any(sign in line for sign in "\r\n\0"):
            raise written.wrong("headers", f"'{line[:60]}' is not a header", 'write it like "Accept: text/plain"')
        name = match[1].lower()
        if name in _OURS:
            raise written.wrong("headers", f"'{match[1]}' is the prober's own header", _OURS[name])
        if name in found:
            raise written.wrong("headers", f"the header '{match[1]}' stands there twice", "once, its values parted by commas")
        found[name] = worded(line)
        Template(found[name], {**written.words, **secrets}, written.operation, "headers")
    return found


def _credentials(written: Written) -> dict[str, str]:
    """The ``Authorization`` header of ``basic`` or ``bearer``; the secret itself comes from the environment, so that no file holds it."""
    given = [option for option in ("basic", "bearer") if option in written.options]
    if not given:
        return {}
    option, text = given[0], written.options[given[0]].strip()
    if len(given) > 1 or re.search(r"(?im)^authorization:", written.options.get("headers", "")):
        raise written.wrong(option, "two things say who asks", "one of: basic, bearer, and an Authorization header")
    user, sign, password = text.partition(":") if option == "basic" else ("", ":", text)
    if not sign or not ENVIRONMENT.search(password):
        right = 'basic: "user:${env:PASSWORD}"' if option == "basic" else 'bearer: "${env:TOKEN}"'
        raise written.wrong(option, f"'{option}' holds no secret from the environment, and none may stand in a file", right)
    secrets = secret_words(written, option)
    if option == "bearer":
        Template(worded(text), secrets, written.operation, option).constant()
        return {"authorization": f"Authorization: Bearer {worded(text)}"}
    filled = Template(worded(f"{user}:{password}"), {**written.words, **secrets}, written.operation, option).constant()
    return {"authorization": f"Authorization: Basic {base64.b64encode(filled.encode()).decode()}"}


def _looks(written: Written) -> tuple[Look, ...]:
    """What the body must be, cheapest first; empty: nobody looks at it."""
    found: list[Look] = []
    if written.flag("not_empty"):
        found.append(bool)
    wanted, unwanted = written.options.get("expect", "").encode(), written.options.get("expect_not", "").encode()
    if wanted:
        found.append(lambda body: wanted in body)
    if "expect_not" in written.options:
        if not unwanted:
            raise written.wrong("expect_not", "every body holds the empty text", "not_empty: true, or a text")
        found.append(lambda body: unwanted not in body)
    if "pattern" in written.options:
        found.append(_pattern(written, written.options["pattern"]))
    if "json" in written.options:
        found.append(_json(written, written.options["json"]))
    return tuple(found)


def _pattern(written: Written, text: str) -> Look:
    try:
        search = re.compile(text.encode()).search
    except (re.error, OverflowError, RecursionError) as error:
        raise written.wrong("pattern", f"'{text[:60]}' is not a regular expression: {error}", "as Python's re reads it") from None
    if search(b"") is not None:
        raise written.wrong("pattern", f"'{text[:60]}' is found in every body, the empty one too", "a pattern that asks for something")
    return lambda body: search(body) is not None


def _json(written: Written, text: str) -> Look:
    try:
        expression = asking.parse(text)
    except BadInput as refusal:
        raise written.wrong("json", refusal.message, refusal.right) from None

    def holds(body: bytes) -> bool:
        try:
            return asking.why_not(expression, asking.read_json(body)) is None
        except asking.NotJson:
            return False

    return holds


@reads(Request, OPTIONS, says_value=True)
def build(setup: Setup) -> Probe:
    """The sender of one HTTP operation."""
    return HttpProbe(setup)


class HttpProbe:
    """See the module."""

    def __init__(self, setup: Setup) -> None:
        asked = Request(setup, keep_alive=setup.client.keep_alive)
        self.host = asked.host
        self._head = asked.head
        self._body = asked.body
        self._has_body = asked.has_body
        self._few_heads = self._head.uses <= {"address", "key"}
        self._heads: dict[tuple[str, str], bytes] = {}
        """Rendered heads by address and key, of which there are few."""
        self._good = asked.good
        self._not_done = asked.not_done
        self._looks = asked.looks
        self._answer = asked.answer
        bodiless, looks = asked.method == "HEAD", bool(asked.looks) or setup.keeps
        client = None if asked.trust is None else encrypted(asked.trust, setup.operation)
        self._port = asked.port
        self._pool = pool_of(setup, asked.port, self.request, self.judge, bodiless=bodiless, looks=looks, client=client)
        self.send = self._pool.send
        self.reuse = self._pool.reuse
        self._redirects: Redirects | None = None
        if setup.client.redirects:
            self._redirects = Redirects(setup, self.judge, client, bodiless=bodiless, looks=looks, own_host=asked.own_host)
            self._pool.follow = self._follow

    def close(self) -> None:
        """Reset every connection."""
        self._pool.close()
        if self._redirects is not None:
            self._redirects.close()

    def _follow(self, slot: Slot, status: int, answer: bytes | Answer) -> bool:
        assert self._redirects is not None
        return self._redirects.first(slot, status, answer, self.request(slot), self._port)

    def request(self, slot: Slot) -> bytes:
        """The bytes of one attempt."""
        head = self._heads.get((slot.address, slot.key)) if self._few_heads else None
        if head is None:
            head = self._head.render(slot).encode()
            if self._few_heads:
                self._heads[slot.address, slot.key] = head
        if not self._has_body:
            return head + b"\r\n\r\n"
        body = self._body.render(slot).encode()
        return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)

    def judge(self, status: int, body: bytes) -> tuple[Outcome, Why]:
        """What an answer means."""
        if status in self._good:
            for look in self._looks:
                if not look(body):
                    return _WRONG
            return _GOOD
        may_be_done = (status >= _SERVER_ERRORS or status == _TIMED_OUT) and status not in self._not_done
        return _PERHAPS if may_be_done else _NO

    def value(self, slot: Slot) -> str | None:
        """See ``SaysValue``."""
        if not 200 <= slot.status < 300 or slot.status == 204:
            return None
        if not self._answer:
            return slot.answer.decode("utf-8", "surrogateescape")
        found = asking.look_up(asking.read_json(slot.answer), self._answer)
        if found is None:
            raise ValueError(f"the answer to a read has no '{self._answer}'")
        return found if isinstance(found, str) else msgspec.json.encode(found).decode()
