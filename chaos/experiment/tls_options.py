"""The options of a probe that say how its connections are encrypted, read before anything starts and again in the prober.

    ca: ca.pem                  who is believed; without it, the authorities that the system trusts
    cert: client.pem            what is shown to a server that asks for it
    cert_key: client.key        its key, if that is not in the same file
    server_name: web.example    whom the certificate must be for, and what SNI says; without it, the host of the URL
    verify: false               anybody's certificate will do

A file lies beside the file that names it. Its contents reach a prober elsewhere by its environment, as secrets do: no file of a run holds
a key.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from chaos.core import tls

if TYPE_CHECKING:
    from chaos.experiment.probe_options import Written

OPTIONS: Final = {
    "ca": "A file of certificates in PEM form: who is believed", "cert": "A certificate in PEM form that is shown to the server",
    "cert_key": "A file with its key", "server_name": "Whom the server's certificate must be for",
    "verify": "false: any certificate will do",
}  # fmt: skip
FILES: Final = ("ca", "cert", "cert_key")
_MOST_BYTES: Final = 1_000_000


def trust(written: Written, host: str | None) -> tls.Trust:
    """What they come to; ``host`` is whom the certificate must be for where nobody says it, None: whoever is connected to."""
    verify = written.flag("verify", default=True)
    if not verify and "ca" in written.options:
        raise written.wrong("ca", "'verify: false' believes anybody, with or without 'ca'", "one of them")
    if "cert_key" in written.options and "cert" not in written.options:
        raise written.wrong("cert_key", "'cert_key' is the key of a certificate that is not given", "cert: client.pem")
    name = written.template(written.options.get("server_name", host or ""), "server_name").constant()
    texts = {option: _text(written, option) for option in FILES if option in written.options}
    found = tls.Trust(verify, texts.get("ca", ""), texts.get("cert", ""), texts.get("cert_key", ""), name)
    for option in [each for each in ("ca", "cert") if each in texts]:
        try:
            tls.context(tls.Trust(ca=found.ca) if option == "ca" else found)
        except tls.NotTls as error:
            raise written.wrong(
                option, f"'{written.options[option]}' {error}", "a file that begins with -----BEGIN CERTIFICATE-----"
            ) from None
    return found


class Kind(Protocol):
    """An operation as it is planned, see ``target.operation``."""

    @property
    def options(self) -> Mapping[str, str]:
        """As written."""
        ...


def is_encrypted(kind: Kind) -> bool:
    """Whether its connections are."""
    return kind.options.get("tls") == "true" or "https://" in kind.options.get("what", "").partition("?")[0]


def unverified(operations: Mapping[str, Kind]) -> list[str]:
    """Those whose servers may show any certificate."""
    return [name for name, kind in operations.items() if is_encrypted(kind) and kind.options.get("verify", "").strip().lower() == "false"]


def refuse(written: Written, why: str) -> None:
    """For a probe whose connections are not encrypted: none of the options makes sense."""
    for option in OPTIONS:
        if option in written.options:
            raise written.wrong(option, f"'{option}' is for encrypted connections", why)


def carried(options: Mapping[str, str], folder: str) -> dict[str, str]:
    """The contents of the files that an operation names, by the variable that carries each to a prober elsewhere."""
    found = {}
    for option in FILES:
        named = options.get(option)
        if named:
            content = os.environ.get(_variable(named)) or _read(_path(named, folder))
            if content is not None:
                found[_variable(named)] = content
    return found


def _text(written: Written, option: str) -> str:
    named = written.options[option]
    content = os.environ.get(_variable(named))
    if content is None:
        path = _path(named, written.folder)
        content = _read(path)
        if content is None:
            raise written.wrong(option, f"the file '{path}' cannot be read", "a path beside the file that names it")
    return content


def _variable(named: str) -> str:
    return f"NINES_PEM_{hashlib.sha256(named.encode()).hexdigest()[:16]}"


def _path(named: str, folder: str) -> Path:
    return Path(folder) / named.removeprefix("{target}/")


def _read(path: Path) -> str | None:
    try:
        data = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    except (OSError, ValueError):
        return None
    return data.decode("utf-8", "replace")
