"""One question to one name server, as a client without a cache puts it: the proof of faults in the name service.

With EDNS, so that an answer of some sixty addresses fits a datagram, and by TCP where it still does not (RFC 6891, RFC 7766).
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from chaos.core.clock import Clock, to_s
from chaos.core.values import LookUp

if TYPE_CHECKING:
    import dns.message

TIMED_OUT: Final = "timed out"
REFUSED: Final = "refused"

EDNS_BYTES: Final = 1232
"""What fits every path without fragments (DNS flag day 2020)."""


def exchange(name: str, server: str, port: int, timeout_s: float) -> dns.message.Message:
    """The answer to one question for the A records of a name; ``dns.exception.DNSException`` or ``OSError`` if there is none.

    Its socket is connected: the kernel tells no other one that the port is closed (udp(7)).
    """
    import dns.message
    import dns.query

    query = dns.message.make_query(name, "A", use_edns=0, payload=EDNS_BYTES)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
        asks.setblocking(False)
        asks.connect((server, port))
        return dns.query.udp_with_fallback(query, server, timeout=timeout_s, port=port, udp_sock=asks)[0]


def look_up(name: str, server: str, port: int, timeout_s: float, clock: Clock) -> LookUp:
    """The A records of the name; what goes wrong is an answer, never an exception."""
    import dns.exception
    import dns.rcode
    import dns.rdatatype

    sent_ns = clock.now_ns()
    try:
        reply = exchange(name, server, port, timeout_s)
    except dns.exception.Timeout:
        return LookUp(None, error=TIMED_OUT)
    except ConnectionRefusedError:
        return LookUp(None, error=REFUSED)
    except (dns.exception.DNSException, OSError) as error:
        return LookUp(None, error=str(error) or type(error).__name__)
    rtt_s = to_s(clock.now_ns() - sent_ns)
    sets = [each for each in reply.answer if each.rdtype == dns.rdatatype.A]
    addresses = tuple(sorted(str(record) for each in sets for record in each))
    return LookUp(dns.rcode.to_text(reply.rcode()), addresses, sets[0].ttl if sets else None, rtt_s)
