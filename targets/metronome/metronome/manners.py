"""How a replica is down. A request belongs to the state in force when it arrives: what had arrived before a switch is read before it.

refuse   nobody listens; open connections are reset          what a client meets when a process has crashed
reset    connections are accepted and reset                  a proxy without its upstream
hang     connections and requests are taken, never answered  a stuck process
error    every answer is 503                                 a process that knows that it cannot serve
late     the right answer, but ``late_by`` after the request  an overloaded one
silent   not even a SYN is answered; open connections hang   a machine that is gone, as far as plain sockets can show it
"""

from __future__ import annotations

REFUSE, RESET, HANG, ERROR, LATE, SILENT = "refuse", "reset", "hang", "error", "late", "silent"
MANNERS = (REFUSE, RESET, HANG, ERROR, LATE, SILENT)
CUTS_OPEN = (REFUSE, RESET)
"""Open connections are reset when it begins."""
OWES = (HANG, SILENT)
"""Whoever still waits when it ends gets a reset: an answer would come from another time."""
