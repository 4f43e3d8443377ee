"""``nines explain``: every word that has one meaning here, and that meaning."""

from __future__ import annotations

import argparse
import difflib
from typing import Final

from chaos.cli.output import show
from chaos.core.errors import BadInput

WORDS: Final = {
    "experiment": "What a YAML file says: one question, a cluster, traffic, faults, and what must hold.",
    "plan": "An experiment with a seed: every time and every random draw is fixed. Only roles, such as the leader, are resolved when a "
    "fault is injected, and recorded then. `nines plan` shows it.",
    "cluster": "What runs during an experiment: the nodes of all parts, behind one DNS name.",
    "part": "A group of like nodes of a cluster, for example data nodes and sentinels.",
    "node": "One running copy of a part: n1, n2... Its address never changes within a run.",
    "link": "A directed pair of nodes or endpoints: the connections that the first opens to the second. `clients` and `dns` are endpoints.",
    "target": "A kind of system under test, described by a folder with a target.yaml. `nines targets` lists those known by name.",
    "runtime": "Where nodes run: local (plain processes on loopback addresses), docker (containers), fake (virtual time, for fast "
    "tests), or auto: docker where an engine answers, else local.",
    "fault": "What is done to break something: kill, power_off, pause, partition, latency. It has no duration: the schedule has.",
    "schedule": "When a fault is done and for how long: at, every, poisson, renewal; for; times.",
    "sequence": "An entry of several faults, one after the other: each begins when the one before is over. Each is a fault of its own, "
    "NAME.1, NAME.2... Unless the cluster settles between them they are one try, of a class of its own.",
    "parallel": "An entry of several faults that begin together: a planned overlap, and a fault class of its own.",
    "when": "What a fault waits for from its time on: another fault, a change of role, a service or a node. `within` limits the wait, "
    "`otherwise` says what is done if it does not come: skip, inject or abort.",
    "selector": "To whom a fault is done: leader, followers, any, minority, a name, a link.",
    "toxic": "Harm to a stream of bytes on a link, with the names of the Toxiproxy server that does it.",
    "operation": "One question to the service, such as a write or a read, asked at a fixed rate.",
    "service": "An operation as clients see it. Each has its own slots, timeline and outages.",
    "slot": "One due time of one operation: slot i is due at start + i / rate, whatever happened before. Each ends as exactly one row.",
    "observation": "What became of one slot: due, sent and done times, outcome, address, number of attempts.",
    "history": "All events of a run, on disk, as they happened. Judging reads it and nothing else.",
    "timeline": "The states of services, nodes, roles and the DNS set as intervals.",
    "outage": "One down interval of a service. It opens after so many bad slots in a row and closes after so many good ones, both "
    "back-dated: it starts midway between the last good and the first bad due time.",
    "phase": "A part of an outage that has a cause: detection, election, restart, resume, heal, resync, dns, client, or unnamed.",
    "estimate": "A measured figure with its interval, the number of independent pieces behind it, and the method.",
    "prediction": "What a model says a run like this should show, from the cluster's own parameters and with its assumptions.",
    "agreement": "The prediction held against the observation: consistent (shown to be within the margin), inconsistent, or inconclusive "
    "(too few faults to tell; it says how many would decide).",
    "verdict": "pass: the objectives are met. fail: one is missed. unknown: an assumption failed, or too few faults to claim it.",
    "report": "The frozen bundle of all figures of a run. Each form of it (text, json, junit, markdown, html) shows the same numbers.",
    "mttr": "Mean time to recover, of one service: its downtime divided by its completed outages. It is what clients felt.",
    "mttf": "Mean time to failure, of one service: its up time divided by the outages begun.",
    "mtbf": "Mean time between failures, from failure to failure: MTTF + MTTR. Where we injected the faults it is the schedule's.",
    "maintainability": "M(t): the share of outages that are over within t. Reports give its median, its 95th percentile, and M at the "
    "limit that the experiment sets on a repair.",
    "knee": "Of a sweep: the cheapest level whose downtime is at most twice the least of all levels. Beyond it more buys little.",
    "availability": "The share of the observed time a service was not in an outage; the quiet baseline is left out.",
    "recovery": "Of a fault: from its taking effect to the end of the last outage it caused; 0 if clients did not notice it.",
    "fault class": "The kind of a fault and the role it hit, such as kill/leader. Classes behave differently, so they are never pooled.",
    "nines": "Minus the logarithm of the unavailability: 99.9 % is three nines.",
    "baseline": "The quiet time before the first fault. A bad slot in it means that the set-up is not sound, and the run is unknown.",
    "settle": "Waiting until nodes vote and clients are well again before the next fault; at most so long, then that fault is skipped.",
    "calibration": "Parameters of the models measured in runs, with how sure their means are. Never held against the runs it comes from.",
    "claim": "The basis of an objective whose whole interval must lie on the right side of its bound; too few faults leave it unknown.",
    "power": "The chance that an experiment decides what it asks, if the truth is as supposed. `nines plan` shows it before anything runs.",
    "budget": "The downtime that a promised availability allows in its window. It burns at rate 1 if it is just used up at the end.",
    "look": "A moment between rounds of faults at which a run may stop because it is decided. The errors are spent over all looks.",
    "lost seconds": "Bad slots times their width: the seconds of full outage that all of them are worth.",
    "censored": "An outage whose start or end was not seen. Its downtime counts, its duration does not go into a mean.",
}


def explain(arguments: argparse.Namespace) -> int:
    """Print the meaning of a word, or the list of words."""
    if arguments.word is None:
        show("\n".join(WORDS))
        return 0
    word = arguments.word.lower().strip()
    meaning = WORDS.get(word) or WORDS.get(word.removesuffix("s")) or WORDS.get(f"{word}s")
    if meaning is None:
        near = difflib.get_close_matches(word, WORDS, n=1)
        raise BadInput(
            f"'{arguments.word}' is not one of our words", right=f"did you mean '{near[0]}'?" if near else "nines explain lists them"
        )
    show(meaning)
    return 0
