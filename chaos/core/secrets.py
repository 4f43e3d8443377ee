"""Secrets are not written into a run folder: values of variables that are named like secrets, and passwords within addresses.

A CI system uploads run folders, and people send reports. Whatever way a secret got into a plan (``${API_TOKEN}`` in an address, a
setting, a command), its variable's name stands there instead. ``${env:NAME}`` in headers and credentials is never filled in at all.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Mapping
from typing import Final

NAMED: Final = re.compile(r"TOKEN|SECRET|PASSW|PASSPHRASE|API_?KEY|CREDENTIAL|PRIVATE_?KEY|AUTH(?!OR)", re.IGNORECASE)
"""Parts of names that people give to variables with secrets."""
SHORTEST: Final = 6
"""A shorter value (``on``, ``1234``) stands in too many places by chance to be hidden."""
_IN_ADDRESS: Final = re.compile(rb"(://[^/\s\"'@:]*:)([^/\s\"'@{}]+)(@)")
HIDDEN: Final = b"***"


@functools.cache
def _hides(name: str) -> bool:
    """Whether a variable is named like a secret. Asked at each row of a history, of each variable."""
    return NAMED.search(name) is not None


def masked(written: bytes, environment: Mapping[str, str] | None = None) -> bytes:
    """UTF-8 text or JSON without secrets. A value is found as it is, and as JSON writes it."""
    environment = os.environ if environment is None else environment
    for name in filter(_hides, environment):
        value = environment.get(name, "")
        if len(value) < SHORTEST:
            continue
        for form in {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}:
            found = form.encode(errors="surrogateescape")
            if found in written:
                written = written.replace(found, f"${{{name}}}".encode())
    if b"://" not in written:
        return written
    return _IN_ADDRESS.sub(lambda match: match[1] + HIDDEN + match[3], written)
