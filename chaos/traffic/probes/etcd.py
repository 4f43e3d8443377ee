"""``etcd``: put and get by etcd's JSON gateway (``/v3/kv/put``, ``/v3/kv/range``), which every member serves on its client port.

    etcd: put                          or get; get is linearizable: it goes through the quorum
    key: "nines/{key}"                 value: "{value}"                  port: "{client}"
    serializable: true                 of get: the member answers from what it has itself, which may be old
    tls: true                          encrypted; further options as in ``tls_options``: ca, cert, cert_key, server_name, verify

An error is a definite no only where etcd says so before it proposes anything (no leader, too many requests, no space, not
permitted...). ``request timed out`` and ``leader changed`` may have been done: unknown.
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec

from chaos.experiment import tls_options
from chaos.history.observations import Outcome, Why
from chaos.traffic.http_client import encrypted, pool_of
from chaos.traffic.probe import Probe, Setup, Slot, Template, Written, reads

OPTIONS: Final = {
    "what": "put or get", "key": "The key", "value": "What is put", "port": "Where etcd listens",
    "serializable": "true: a get that the member answers from what it has itself", "tls": "true: encrypted from the first byte",
    **tls_options.OPTIONS,
}  # fmt: skip
_DEFINITE: Final = (
    "etcdserver: no leader",
    "etcdserver: too many requests",
    "etcdserver: request is too large",
    "etcdserver: mvcc: database space exceeded",
    "etcdserver: permission denied",
    "etcdserver: invalid auth token",
    "etcdserver: not capable",
    "etcdserver: key is not provided",
    "etcdserver: rpc not supported for learner",
    "etcdserver: user name is empty",
)
"""Texts of ``rpctypes`` (etcd 3.4 to 3.6) that are given before a proposal is made."""
_PATHS: Final = {"put": "/v3/kv/put", "get": "/v3/kv/range"}


class GatewayError(msgspec.Struct):
    """What the gateway answers when it says no; 3.4 and later use one or both of the texts."""

    error: str = ""
    message: str = ""


class Pair(msgspec.Struct):
    """One key and its value, in base64."""

    value: str = ""


class Ranged(msgspec.Struct):
    """What the gateway answers to a get; no pair where there is no such key."""

    kvs: list[Pair] = []


_ERROR: Final = msgspec.json.Decoder(GatewayError)
_RANGED: Final = msgspec.json.Decoder(Ranged)


class Call:
    """What the options of one operation say, checked."""

    def __init__(self, written: Written) -> None:
        written.allow(OPTIONS)
        self.what = written.option("what")
        if self.what not in _PATHS:
            raise written.wrong("what", f"etcd does not know '{self.what}'", "one of: put, get")
        if self.what == "get" and "value" in written.options:
            raise written.wrong("value", "'get' has no value", "leave it out")
        if self.what == "put" and "serializable" in written.options:
            raise written.wrong("serializable", "'put' always goes through the quorum", "leave it out")
        self.serializable = written.flag("serializable")
        self.key: Template = written.template(written.options.get("key", "nines/{key}"), "key")
        self.value: Template = written.template(written.options.get("value", "{value}"), "value")
        self.port = written.port(written.options.get("port", "{client}"), "port")
        self.trust = tls_options.trust(written, None) if written.flag("tls") else None
        if self.trust is None:
            tls_options.refuse(written, "tls: true with it")


@reads(Call, OPTIONS, says_value=True)
def build(setup: Setup) -> Probe:
    """The sender of one etcd operation."""
    return EtcdProbe(setup)


class EtcdProbe:
    """See the module."""

    host: str | None = None

    def __init__(self, setup: Setup) -> None:
        asked = Call(setup)
        self._put = asked.what == "put"
        self._serializable = asked.serializable
        self._key = asked.key
        self._value = asked.value
        lines = (
            f"POST {_PATHS[asked.what]} HTTP/1.1",
            f"Host: %s:{asked.port}",
            "User-Agent: nines",
            "Content-Type: application/json",
            "Content-Length: %d",
        )
        self._head = "\r\n".join(lines) + "\r\n\r\n%s"
        client = None if asked.trust is None else encrypted(asked.trust, setup.operation)
        self._pool = pool_of(setup, asked.port, self._request, judge, client=client)
        self.send = self._pool.send
        self.reuse = self._pool.reuse
        self.close = self._pool.close

    def _request(self, slot: Slot) -> bytes:
        key = base64.b64encode(self._key.render(slot).encode()).decode()
        if self._put:
            body = f'{{"key":"{key}","value":"{base64.b64encode(self._value.render(slot).encode()).decode()}"}}'
        else:
            body = f'{{"key":"{key}","serializable":true}}' if self._serializable else f'{{"key":"{key}"}}'
        return (self._head % (slot.address, len(body), body)).encode()

    def value(self, slot: Slot) -> str | None:
        """See ``SaysValue``."""
        pairs = _RANGED.decode(slot.answer).kvs
        return base64.b64decode(pairs[0].value).decode("utf-8", "surrogateescape") if pairs else None


def judge(status: int, body: bytes) -> tuple[Outcome, Why]:
    """What a gateway's answer means; a missing key is a good answer to a read."""
    if status == 200:
        return Outcome.OK, Why.NONE
    try:
        error = _ERROR.decode(body)
    except msgspec.MsgspecError:
        return Outcome.UNKNOWN, Why.ERROR
    text = error.message or error.error
    definite = status in (400, 401, 403, 404, 405) or text.startswith(_DEFINITE)
    return Outcome.FAIL if definite else Outcome.UNKNOWN, Why.ERROR
