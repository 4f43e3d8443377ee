"""How questions end, in words: what was asked from inside a node and from elsewhere is told alike. Standard library only."""

from __future__ import annotations

from typing import Final

CLOSED: Final = "closed without an answer"
NOT_EXPECTED: Final = "answers something else"
NOT_HTTP: Final = "not an HTTP reply"
MOST_BYTES: Final = 65_536
"""A text that does not come within so many bytes of an answer is not in it."""
LARGEST_BODY_BYTES: Final = 8 * 1024 * 1024
"""A node's status is small; anything above this is refused rather than gathered in memory."""
