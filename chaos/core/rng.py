"""Randomness as a parameter: one seed an experiment, a named stream for each use.

Streams are derived by name, so that adding a use never shifts the draws of another one, and the caller's global
generators are never touched.
"""

from __future__ import annotations

import hashlib
import random


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream of that name, stable over versions and machines."""
    text = "/".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> random.Random:
    """An own generator for the stream of that name."""
    return random.Random(derive(seed, *names))  # noqa: S311 - repeatable by design, nothing secret
