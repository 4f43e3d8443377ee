"""A system under test that talks to its peers by every kind of socket, and watches what arrives: ``talker.py NAME``.

Told what to do by one JSON object a line on TCP port 9000. Peers send it one word a message on TCP and UDP port 9001, HTTP asks
port 9002. A packet socket counts every IP packet as it comes off the wire, before any filter.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAME = sys.argv[1]
CONTROL, TALK, WEB, TICK = 9000, 9001, 9002, 9003
# Ports of sockets without a past: the kernel knows a flow of datagrams for minutes, and may give a port of its own choice twice meanwhile.
fresh_ports = itertools.count(10_000)
CONNECT_S = 0.4
DNS_S = 3.0
IP_RECVERR, IPV6_RECVERR = 11, 25
received: set[str] = set()
arrived: dict[str, int] = {}
questions = itertools.count(100)
stopped = threading.Event()
ticks: list[int] = []
pings: list[tuple[int, int]] = []
old_tcp: dict[str, socket.socket] = {}
old_udp: dict[str, socket.socket] = {}


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sniff(sniffer: socket.socket) -> None:
    """Counts what comes off the wire, by sender."""
    while True:
        packet, where = sniffer.recvfrom(2048)
        # What was spoiled where it left is no IP packet any more.
        if where[2] != socket.PACKET_OUTGOING and where[0] != "lo" and packet[0] >> 4 == 4:
            sender = socket.inet_ntoa(packet[12:16])
            arrived[sender] = arrived.get(sender, 0) + 1


def serve_udp(server: socket.socket) -> None:
    while True:
        data, where = server.recvfrom(2048)
        received.add(f"{data.decode()} {where[0]}")
        with contextlib.suppress(OSError):
            server.sendto(b"yes", where)


def serve(server: socket.socket, each: Callable[[socket.socket, str], None]) -> None:
    while True:
        connection, where = server.accept()
        threading.Thread(target=each, args=(connection, where[0]), daemon=True).start()


def take(connection: socket.socket, sender: str) -> None:
    with connection, contextlib.suppress(OSError):
        for line in connection.makefile("r"):
            received.add(f"{line.strip()} {sender}")
            if line.startswith("hello"):
                connection.sendall(line.split()[1].encode() + b"!")


def speak(address: str, word: str) -> None:
    """One word by each kind of socket that there is; what fails is seen at the other end."""
    with contextlib.suppress(OSError):
        if address in old_udp:
            old_udp[address].send(f"old-udp {word}".encode())
    with contextlib.suppress(OSError), socket.socket(family(address), socket.SOCK_DGRAM) as fresh:
        fresh.bind(("", next(fresh_ports)))
        fresh.sendto(f"new-udp {word}".encode(), (address, TALK))
    with contextlib.suppress(OSError):
        if address in old_tcp:
            old_tcp[address].sendall(f"old-tcp {word}\n".encode())
    with contextlib.suppress(OSError), socket.create_connection((address, TALK), timeout=CONNECT_S) as fresh:
        fresh.sendall(f"new-tcp {word}\n".encode())


def at_once(addresses: list[str], do: Callable[..., None], *more: str) -> None:
    with ThreadPoolExecutor(len(addresses)) as pool:
        for done in [pool.submit(do, address, *more) for address in addresses]:
            done.result()


def open_to(address: str) -> None:
    for kept in (old_tcp, old_udp):
        if address in kept:
            # Closed by a reset: an orderly close would go on sending after the sockets are forgotten.
            if kept is old_tcp:
                kept[address].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            kept[address].close()
    old_tcp[address] = socket.create_connection((address, TALK), timeout=5)
    old_tcp[address].settimeout(None)
    old_udp[address] = socket.socket(family(address), socket.SOCK_DGRAM)
    old_udp[address].connect((address, TALK))


def tick(address: str, every_s: float, size: int) -> None:
    """Datagrams that carry the time they were sent at, until told to stop."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ticking:
        while not stopped.wait(every_s):
            with contextlib.suppress(OSError):
                ticking.sendto((b"%d" % time.monotonic_ns()).ljust(size), (address, TICK))


def serve_ticks(server: socket.socket) -> None:
    while True:
        ticks.append(int(server.recv(2048)))


def ping(address: str, every_s: float) -> None:
    """Questions on one connection, one after the other: when each was sent, and how long its answer took."""
    with socket.create_connection((address, TALK)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not stopped.wait(every_s):
            sent_ns = time.monotonic_ns()
            connection.sendall(b"hello 1\n")
            received_bytes = connection.recv(64)
            pings.append((sent_ns, time.monotonic_ns() - sent_ns))
            if not received_bytes:
                return


def take_all(found: list[Any]) -> list[Any]:
    taken = found[:]
    del found[: len(taken)]
    return taken


def state_of(address: str, what: str) -> str:
    """What the old TCP connection, or a new one, comes to: ``open``, or the name of an error."""
    try:
        if what == "old":
            old_tcp[address].settimeout(CONNECT_S)
            asked = b"%d" % next(questions)
            old_tcp[address].sendall(b"hello %s\n" % asked)
            said = b""
            while not said.endswith(asked + b"!"):  # answers to earlier questions may come first
                more = old_tcp[address].recv(64)
                if not more:
                    return "closed"
                said += more
            return "open"
        with socket.create_connection((address, TALK), timeout=CONNECT_S):
            return "open"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return type(error).__name__


def told(address: str) -> dict[str, object]:
    """What a sender is told: errors of every call, on old sockets and new ones, and what TCP then thinks of a line that it sent."""
    errors: set[str] = set()

    def send(call: Callable[[], object], kind: str) -> None:
        try:
            call()
        except OSError as error:
            errors.add(f"{kind}: {errno.errorcode[error.errno or 0]}")

    with socket.socket(family(address), socket.SOCK_DGRAM) as fresh:
        for each in (fresh, old_udp[address]):  # what a program asks for that wants to be told more
            each.setsockopt(*((socket.IPPROTO_IPV6, IPV6_RECVERR) if ":" in address else (socket.IPPROTO_IP, IP_RECVERR)), 1)
        for _ in range(20):
            send(lambda: fresh.sendto(b"told", (address, TALK)), "new-udp")
            send(lambda: old_udp[address].send(b"told"), "old-udp")
            time.sleep(0.002)
    connection = old_tcp[address]
    send(lambda: connection.sendall(b"told\n"), "old-tcp")
    time.sleep(0.6)
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 148)
    figures = {"probes": info[3], "unacked": info[24], "retransmitted": info[100], "unsent_bytes": info[144]}  # linux/tcp.h
    send(lambda: connection.sendall(b"told again\n"), "old-tcp")
    return {"errors": sorted(errors), **figures}


def lookup(name: str) -> str:
    """Asks whoever /etc/resolv.conf names, as the system's own resolver would."""
    query = (
        b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    )
    lines = Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines()
    server = next(line.split()[1] for line in lines if line.startswith("nameserver"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(DNS_S)
        asking.sendto(query, (server, 53))
        return socket.inet_ntoa(asking.recv(512)[-4:])


def obey(order: dict[str, object]) -> object:
    addresses = [str(address) for address in order.get("addresses", ())]  # type: ignore[attr-defined]
    match order["do"]:
        case "open":
            at_once(addresses, open_to)
        case "speak":
            at_once(addresses, speak, str(order["word"]))
        case "heard":
            return sorted(received)
        case "arrived":
            counts = dict(arrived)
            arrived.clear()
            return counts
        case "told":
            with ThreadPoolExecutor(len(addresses)) as pool:
                return dict(zip(addresses, pool.map(told, addresses), strict=True))
        case "state":
            return state_of(addresses[0], str(order["what"]))
        case "lookup":
            return lookup(str(order["name"]))
        case "tick" | "ping" as what:
            stopped.clear()
            every_s = float(str(order["every_s"]))
            how = (addresses[0], every_s) if what == "ping" else (addresses[0], every_s, int(str(order.get("size", 0))))
            threading.Thread(target=tick if what == "tick" else ping, args=how, daemon=True).start()
        case "stop":
            stopped.set()
        case "ticks":
            return take_all(ticks)
        case "pings":
            return take_all(pings)
        case "pid":
            return os.getpid()
    return None


def control(connection: socket.socket, _sender: str) -> None:
    with connection, contextlib.suppress(ConnectionError):
        for line in connection.makefile("r"):
            try:
                said = {"said": obey(json.loads(line))}
            except OSError as error:
                said = {"failed": repr(error)}
            connection.sendall((json.dumps(said) + "\n").encode())


class Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"name": NAME, "from": self.client_address[0]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def main() -> None:
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", TALK))
    ticking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ticking.bind(("0.0.0.0", TICK))
    tcp = socket.create_server(("0.0.0.0", TALK), backlog=64)
    web = ThreadingHTTPServer(("0.0.0.0", WEB), Web)
    for work in (lambda: sniff(sniffer), lambda: serve_udp(udp), lambda: serve_ticks(ticking), lambda: serve(tcp, take), web.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    with contextlib.suppress(OSError):  # where there is no IPv6
        udp6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        udp6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp6.bind(("::", TALK))
        tcp6 = socket.create_server(("::", TALK), family=socket.AF_INET6, backlog=64)
        for work in (lambda: serve_udp(udp6), lambda: serve(tcp6, take)):
            threading.Thread(target=work, daemon=True).start()
    # Last, so that who reaches it reaches all.
    serve(socket.create_server(("0.0.0.0", CONTROL), backlog=16), control)


main()
