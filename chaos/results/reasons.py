"""Why a request was bad: the words of ``report.json``, and the sentence that people read. One place, so that every face says the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.history.observations import Why
from chaos.results.observed import BadRequests

ERROR: Final = "error"
LATE: Final = "late"
OTHER: Final = "not recorded"
OF: Final = {
    Why.NONE: OTHER, Why.DNS: "no address", Why.NO_DNS: "name server silent", Why.REFUSED: "refused", Why.TIMEOUT: "timed out",
    Why.RESET: "reset", Why.CLOSED: "closed", Why.ERROR: ERROR, Why.PROTOCOL: "protocol", Why.DEADLINE: LATE,
    Why.UNREACHABLE: "unreachable", Why.WRONG: "wrong answer",
    Why.TLS: "tls", Why.POOL: "no connection free",
}  # fmt: skip
"""What stands in ``report.json``, by what the prober recorded of the last attempt."""
_SAID: Final = {
    OTHER: "failed for a reason that was not recorded",
    "no address": "found no address in the name",
    "name server silent": "got no answer from the name server",
    "refused": "were refused a connection",
    "timed out": "timed out",
    "reset": "had their connection reset",
    "closed": "had their connection closed before an answer",
    ERROR: "answered with an error",
    "protocol": "got an answer that is not by the protocol",
    LATE: "had no answer by the deadline",
    "unreachable": "found their host unreachable",
    "wrong answer": "got an answer without the expected text",
    "no connection free": "found no connection of the client's pool free",
    "tls": "could not agree on encryption (the prober's log says why)",
}
_ANSWERED: Final = {"wrong answer": " without the expected text", "timed out": " too late", LATE: " too late"}
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
SHOWN: Final = 4
"""So many reasons, and nodes of one reason, are named in a sentence."""


def said(row: BadRequests) -> str:
    """What the requests of a row met: ``answered 307``, ``were refused a connection``."""
    if row.status:
        # the status is that of a whole answer: where the reason is time, the answer came after it
        return f"answered {row.status}" + _ANSWERED.get(row.reason, "")
    return _SAID.get(row.reason, row.reason)


def nodes(row: BadRequests) -> str:
    """``n2 53, n3 54``: where they went last; empty if they went nowhere."""
    ordered = sorted(row.nodes.items(), key=lambda each: (-each[1], each[0]))
    listed = [f"{name} {count}" for name, count in sorted(ordered[:SHOWN])]
    return ", ".join(listed) + (f" and {len(ordered) - SHOWN} more nodes" if len(ordered) > SHOWN else "")


def sentence(rows: Sequence[BadRequests]) -> str:
    """``107 answered 307 (n2 53, n3 54), 2 timed out (n1 2)``: the rows of one service, the most frequent reason first."""
    ordered = sorted(rows, key=lambda row: -row.count)
    listed = [f"{row.count} {said(row)}" + (f" ({where})" if (where := nodes(row)) else "") for row in ordered[:SHOWN]]
    more = sum(row.count for row in ordered[SHOWN:])
    return ", ".join([*listed, f"{more} for other reasons"] if more else listed)


def way_out(rows: Sequence[BadRequests]) -> str:
    """What to do about it, where the reason itself says so; empty otherwise."""
    if any(row.status in REDIRECTS for row in rows):
        return (
            "these clients follow no redirect, or not so many: traffic: {client: {redirects: 2}} follows those to nodes of the cluster; "
            'or let the name answer with the leader alone: cluster: {dns: {check: {what: "role:leader"}}}'
        )
    return ""
