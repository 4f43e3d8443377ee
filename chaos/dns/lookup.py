"""One question to one name server, as a client without a cache puts it: the proof of faults in the name service."""

from __future__ import annotations

from chaos.clock import Clock, to_s
from chaos.kinds import LookUp


def look_up(name: str, server: str, port: int, timeout_s: float, clock: Clock) -> LookUp:
    """The A records of the name, by UDP; what goes wrong is an answer, never an exception."""
    import dns.exception
    import dns.message
    import dns.query
    import dns.rcode
    import dns.rdatatype

    query = dns.message.make_query(name, "A")
    sent_ns = clock.now_ns()
    try:
        reply = dns.query.udp(query, server, timeout=timeout_s, port=port)
    except dns.exception.Timeout:
        return LookUp(None, error="timed out")
    except ConnectionRefusedError:
        return LookUp(None, error="refused")
    except (dns.exception.DNSException, OSError) as error:
        return LookUp(None, error=str(error) or type(error).__name__)
    rtt_s = to_s(clock.now_ns() - sent_ns)
    sets = [each for each in reply.answer if each.rdtype == dns.rdatatype.A]
    addresses = tuple(sorted(str(record) for each in sets for record in each))
    return LookUp(dns.rcode.to_text(reply.rcode()), addresses, sets[0].ttl if sets else None, rtt_s)
