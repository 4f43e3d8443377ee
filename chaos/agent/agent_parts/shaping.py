"""Queues in front of this namespace's links, by ``tc``; and whether packets leave one by one.

shaping.ways      which interface leads to each of these addresses
shaping.put       lines of a batch for ``tc``, and all that it has on these interfaces afterwards
shaping.clear     remove our queue from these interfaces, whatever stands in it
shaping.single    hand on packets one by one, not several as one large one: else what is lost is lost by the dozen

Where the namespace outlives us, what we switched off is noted in it first, for whoever comes after us.
"""

from __future__ import annotations

import array
import fcntl
import json
import socket
import struct
import subprocess
import threading
import time
from typing import Any, Final

ROOT: Final = "4e53:"
"""The handle of our queue, by which it is known: one that nobody else would think of, since what has it is ours to take away."""
TC_WITHIN_S: Final = 5.0
RTMGRP_TC: Final = 8
NOTHING_MORE_S: Final = 0.005
SIOCETHTOOL: Final = 0x8946
GET_TSO, SET_TSO, GET_GSO, SET_GSO = 0x1E, 0x1F, 0x23, 0x24

NOTES: Final = ("inet", "nines_offloads")
"""A table without rules, with a chain for each note: ``was.1.0.eth0``."""
_offloads: dict[str, tuple[int, int]] = {}
"""Interface -> what was on (TSO, GSO) before we switched it off."""


def _run(*argv: str, said: str = "") -> str:
    try:
        done = subprocess.run(argv, input=said, capture_output=True, text=True, timeout=TC_WITHIN_S, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{' '.join(argv)} did not end within {TC_WITHIN_S:g} s") from None
    if done.returncode:
        raise ValueError(f"{' '.join(argv)}: {' '.join((done.stderr or done.stdout).split())[-400:]}")
    return done.stdout


def do_ways(_agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - agent.Agent, which is not importable here
    """Address -> interface."""
    return {"result": {each: json.loads(_run("ip", "-j", "route", "get", each))[0]["dev"] for each in command["addresses"]}}


class Changes:
    """Since when the last change of a queue, a class or a filter here is in force, by the kernel's own word (rtnetlink(7), RTMGRP_TC).

    ``tc`` itself ends milliseconds after what it did, and starts milliseconds before.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._last_ns = 0
        self._told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._told.bind((0, RTMGRP_TC))
        self._told.settimeout(NOTHING_MORE_S)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while True:
            try:
                self._told.recv(65536)
                self._last_ns = time.monotonic_ns()
            except TimeoutError:
                if self._ended.is_set():
                    return
            except OSError:
                continue  # more than it could hold: those that follow are heard

    def end(self) -> int:
        """No more will come; when the last one was, now if there was none."""
        self._ended.set()
        self._listener.join()
        self._told.close()
        return self._last_ns or time.monotonic_ns()


def do_put(_agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Carry out the lines in their order; what is there then, as ``tc -j`` says it."""
    changes = Changes()
    try:
        if command["lines"]:
            _run("tc", "-batch", "-", said="\n".join(command["lines"]) + "\n")
    finally:
        at_ns = changes.end()
    return {"at_ns": at_ns, "result": {device: json.dumps(_seen(device)) for device in command["devices"]}}


def _seen(device: str) -> dict[str, Any]:
    there = {what: json.loads(_run("tc", "-j", what, "show", "dev", device) or "[]") for what in ("qdisc", "filter")}
    return there | {"offloads": _offload(device)}


def do_clear(_agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Our queue is gone from all of these."""
    for device in command["devices"]:
        _clear(device)
    return {"result": {}}


def _clear(device: str) -> None:
    qdiscs = json.loads(_run("tc", "-j", "qdisc", "show", "dev", device) or "[]")
    if any(each.get("root") and each["handle"] == ROOT for each in qdiscs):
        _run("tc", "qdisc", "del", "dev", device, "root")


def do_single(agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Switch it ``on``, or back to what it was; what is so then (1: packets leave one by one)."""
    for device in command["devices"]:
        if command["on"] and _outlived(agent) and device not in _offloads:
            _note(device, *_offload(device))
        _single(device, on=command["on"])
    if _outlived(agent) and not _offloads:
        _forget()
    return {"result": {device: int(_offload(device) == (0, 0)) for device in command["devices"]}}


def _single(device: str, *, on: bool) -> None:
    if on:
        _offloads.setdefault(device, _offload(device))
        tso, gso = 0, 0
    else:
        tso, gso = _offloads.pop(device, _offload(device))
    _ethtool(device, SET_GSO, gso)
    _ethtool(device, SET_TSO, tso)


def _offload(device: str) -> tuple[int, int]:
    return _ethtool(device, GET_TSO), _ethtool(device, GET_GSO)


def _ethtool(device: str, command: int, value: int = 0) -> int:
    order = array.array("I", [command, value])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP", device.encode(), order.buffer_info()[0]))
    return order[1]


def _outlived(agent: Any) -> bool:  # noqa: ANN401
    return getattr(agent, "outlived", False)  # a guest's is


def _note(device: str, tso: int, gso: int) -> None:
    _run("nft", f"add table {' '.join(NOTES)}; add chain {' '.join(NOTES)} was.{tso}.{gso}.{device}")


def _noted() -> dict[str, tuple[int, int]]:
    """What an agent before us had switched off."""
    if " ".join(NOTES) not in _run("nft", "list", "tables"):
        return {}
    words = [line.split() for line in _run("nft", "list", "table", *NOTES).splitlines()]
    notes = [line[1].split(".", 3)[1:] for line in words if line[:1] == ["chain"]]
    return {device: (int(tso), int(gso)) for tso, gso, device in notes}


def _forget() -> None:
    _run("nft", f"add table {' '.join(NOTES)}; delete table {' '.join(NOTES)}")


def heal(agent: Any) -> list[str]:  # noqa: ANN401
    """No queue of ours on any interface, and packets leave as they did."""
    problems = []
    try:
        if _outlived(agent):
            _offloads.update(_noted())
        for device in {each["dev"] for each in json.loads(_run("tc", "-j", "qdisc", "show") or "[]")}:
            _clear(device)
        for device in list(_offloads):
            _single(device, on=False)
        if _outlived(agent):
            _forget()
    except (ValueError, OSError) as error:
        problems.append(f"queues: {error}")
    return problems
