"""The words of Nines and of the field, each with one meaning: what ``nines explain`` says and docs/glossary.md holds."""

from __future__ import annotations

from typing import Final

EXPERIMENT: Final = {
    "experiment": "A YAML file with one question, a cluster, traffic, faults, and what must hold.",
    "steady state": "The measurable normal behaviour of a service, and the hypothesis that it holds under a fault. Here the baseline "
    "shows it and the objectives state it.",
    "plan": "An experiment with a seed: every time and every random draw is fixed. Only roles, such as the leader, are resolved when a "
    "fault is injected, and recorded then. `nines plan` shows the plan.",
    "target": "A kind of system under test, described by a folder with a target.yaml. `nines targets` lists those known by name.",
    "cluster": "What runs during an experiment: the nodes of all parts, behind one DNS name.",
    "part": "A group of like nodes of a cluster, for example data nodes and sentinels.",
    "node": "One running copy of a part: n1, n2... Its address never changes within a run.",
    "link": "A directed pair of nodes or endpoints: the connections that the first opens to the second. `clients` and `dns` are endpoints.",
    "runtime": "Where nodes run: local (plain processes on loopback addresses), docker (containers), fake (virtual time, for fast "
    "tests), or auto: docker where an engine answers, else local.",
    "operation": "One kind of request to the service, such as a write or a read, sent at a fixed rate.",
    "service": "An operation as clients see it. Each has its own requests, timeline and outages.",
    "primary service": "The service that objectives and top-level figures speak of: `traffic: judge`.",
    "baseline": "The quiet time before the first fault. A failed request in it means that the set-up is not sound: the verdict is unknown.",
    "runbook": "A page for a game day: the question, the steps with their times, the expected effects, and how to roll back by hand.",
    "game day": "An exercise in which people break a system together, on a plan, and practise noticing and fixing it.",
}
FAULTS: Final = {
    "fault": "What is injected to break something: kill, pause, partition, latency and others. A fault has no duration; its schedule has.",
    "injection": "One fault taking effect on its victims, from the request to the proof that it is gone.",
    "schedule": "When a fault is injected and for how long: at, every, poisson, renewal; for; times.",
    "selector": "Which nodes or links a fault hits: leader, followers, any, minority, a name, a link.",
    "sequence": "Several faults, one after the other: each begins when the one before is over. Without time to settle between them they "
    "count as one attempt, of a class of its own.",
    "parallel": "Several faults that begin together: a planned overlap, and a fault class of its own.",
    "when": "What a fault waits for from its time on: another fault, a role change, a service or a node. `within` limits the wait; "
    "`otherwise` says what happens if the condition is not met: skip, inject or abort.",
    "fault class": "The kind of a fault and the role it hit, such as kill/leader. Classes behave differently, so they are never pooled.",
    "blast radius": "How much of a system an experiment may harm. Here `limits`: the most nodes down at once, and the nodes never touched.",
    "abort condition": "What ends a run early to protect the system: `abort_if`. All faults are rolled back first.",
    "roll back": "To undo a fault: the process starts, the link is restored, the disk is emptied. Each is verified from outside.",
    "settle": "Waiting until nodes vote and clients succeed again before the next fault. When the time is over, that fault is skipped.",
    "toxic": "Harm to a stream of bytes on a link, with the names that Toxiproxy gives it.",
    "orphaned resources": "Processes, containers, rules or files that a crashed run left behind. `nines leftovers` lists them, "
    "`nines heal` removes them.",
}
MEASURING: Final = {
    "open loop": "A load generator that sends each request at its planned time, whether earlier ones were answered or not. Nines is one.",
    "closed loop": "A load generator that waits for an answer before it sends the next request. It slows down with the system, and so "
    "hides outages.",
    "coordinated omission": "The error of a closed loop: requests that should have been sent during a stall never are, so latency and "
    "outages look far better than clients would find them.",
    "slot": "One scheduled request of one operation: slot i is due at start + i / rate, whatever happened before. Each slot ends as "
    "exactly one record.",
    "observation": "What became of one slot: due, sent and done times, outcome, address, number of attempts.",
    "history": "All events of a run, on disk, as they happened. Judging reads the history and nothing else.",
    "timeline": "The states of services, nodes, roles and DNS as intervals.",
    "outage": "One down interval of a service. It opens after a number of failed slots in a row and closes after a number of successful "
    "ones. Both ends are back-dated, midway between the two due times around the change.",
    "phase": "A part of an outage with a cause: detection, election, restart, resume, heal, resync, dns, client, or unnamed.",
    "recovery": "Of a fault: the time from its effect to the end of the last outage it caused; 0 if clients did not notice it.",
    "availability": "The share of the observed time in which a service was not in an outage; the baseline is left out.",
    "success ratio": "The share of requests that succeeded.",
    "nines": "Minus the decimal logarithm of the unavailability: 99.9 % is three nines.",
    "MTTR": "Mean time to recover: the downtime of a service divided by its completed outages. It is what clients felt.",
    "MTTF": "Mean time to failure: the up time of a service divided by the outages begun.",
    "MTBF": "Mean time between failures, from one to the next: MTTF + MTTR. Where the experiment injects the faults it is the schedule's.",
    "MTTD": "Mean time to detect: from the start of a failure until somebody or something notices it. In an outage it is the phase "
    "detection; on a game day, when people noticed.",
    "lost seconds": "Failed slots times their width: the seconds of full outage that all of them are worth.",
    "censored": "An outage whose start or end was not seen. Its downtime counts; its duration does not go into a mean.",
    "maintainability": "M(t): the share of outages that are over within t. Reports give its median, its 95th percentile, and M at the "
    "limit that the experiment sets on a repair.",
    "estimate": "A measured figure with its interval, the number of independent observations behind it, and the method.",
}
OBJECTIVES: Final = {
    "SLI": "Service level indicator: the figure that is measured, such as the success ratio.",
    "SLO": "Service level objective: the value an indicator must reach in a window, such as 99.9 % over 30 days. `slo` and `objectives` "
    "state it.",
    "SLA": "Service level agreement: a contract that names an objective and what is owed if it is missed.",
    "error budget": "What an objective allows to fail: at 99.9 % over 30 days, 43 min 12 s of downtime.",
    "burn rate": "How fast an error budget is used: at 1 it is just used up at the end of the window. At 14.4 over an hour "
    "2 % of a 30-day budget is gone.",
    "RTO": "Recovery time objective: the longest time a service may take to recover. Here `expect: {recovery: ...}` or `mttr`.",
    "RPO": "Recovery point objective: how much of the newest data may be lost. Here `lost_writes`.",
    "confidence-level objective": "An objective with `basis: claim`: its whole interval must lie on the right side of the bound. Too few "
    "faults leave it undecided.",
    "verdict": "pass: the objectives are met. fail: one is missed. unknown: a check failed, or too few faults decide.",
    "validity check": "An assumption that every figure rests on, such as that requests were sent on time. A failed check makes the "
    "run invalid.",
    "report": "All figures of a run as one value. Each form (text, json, junit, markdown, html) shows the same numbers.",
}
MODELS: Final = {
    "prediction": "What a model expects of a run like this one, from the cluster's own parameters and with its assumptions.",
    "agreement": "The prediction held against the observation: consistent (shown to be within the margin), inconsistent, or inconclusive "
    "(too few faults to tell; it says how many would decide).",
    "power": "The probability that an experiment decides what it asks, if the truth is as supposed. `nines plan` shows it before a run.",
    "sequential test": "A test that may stop early: it is evaluated after each round of faults, and its error rate is controlled over all "
    "evaluations. `nines run --until-decided` does this.",
    "interim analysis": "A moment between rounds of faults at which a sequential test may stop. Alpha spending divides the error rate over "
    "all of them.",
    "calibration": "Parameters of the models measured in runs, each with its uncertainty. A prediction is never tested on the runs it was "
    "calibrated with.",
    "knee": "Of a sweep: the cheapest level whose downtime is at most twice the least of all levels. Beyond it more buys little.",
    "single point of failure": "A part whose failure alone takes the service down.",
    "common cause": "One event that takes down several nodes at once, such as a zone without power. Redundancy does not help against it.",
}
SYSTEMS: Final = {
    "quorum": "The number of nodes that must agree, usually a majority: 2 of 3, 3 of 5.",
    "leader": "The node that orders writes. In a system of primary and replicas it is the primary.",
    "election": "How the remaining nodes agree on a new leader after they lost the old one.",
    "pre-vote": "A round before an election in which a node asks whether it could win. It keeps a node that was cut off from deposing a "
    "healthy leader when it returns.",
    "lease": "A promise for a limited time, such as being the only leader. It relies on clocks that run at about the same rate.",
    "fencing": "Shutting out a deposed leader, for example by a token that grows with each term, so that its late writes are refused.",
    "split brain": "Two nodes act as leader at once, and accept writes that contradict each other.",
    "gray failure": "A node that is neither up nor down: it answers health checks, and its clients still fail or wait.",
    "failover": "The move of a service from a failed node to another one.",
    "health check": "A request that asks a node whether it can serve. The name server uses its answers to balance.",
    "linearizability": "Each operation seems to happen at one moment between its start and its end, in one order for all clients.",
    "replication lag": "How far a replica is behind its primary. What is not yet replicated dies with the primary.",
    "tail latency": "The latency of the slowest requests, such as the 99th percentile.",
    "retry storm": "Clients that repeat failed requests and so keep an overloaded service down.",
}
GROUPS: Final = {
    "Experiments": EXPERIMENT,
    "Faults": FAULTS,
    "Measuring": MEASURING,
    "Objectives": OBJECTIVES,
    "Predicting and testing": MODELS,
    "Systems": SYSTEMS,
}
"""Heading -> word -> meaning."""
SYNONYMS: Final = {
    "anatomy": "phase", "breakdown": "phase", "bad slot": "slot", "budget": "error budget", "claim": "confidence-level objective",
    "look": "interim analysis", "heal": "roll back", "rollback": "roll back", "undo": "roll back", "judged service": "primary service",
    "leftovers": "orphaned resources", "abort_if": "abort condition", "stop condition": "abort condition", "limits": "blast radius",
    "check": "validity check", "scheduled request": "slot", "objective": "SLO", "service level objective": "SLO", "downtime": "outage",
    "mean time to recover": "MTTR", "mean time to repair": "MTTR", "mean time to failure": "MTTF", "mean time between failures": "MTBF",
    "mean time to detect": "MTTD", "time to detect": "MTTD", "recovery time objective": "RTO", "recovery point objective": "RPO",
    "primary": "leader", "master": "leader", "brownout": "gray failure", "grey failure": "gray failure", "prevote": "pre-vote",
    "open model": "open loop", "closed model": "closed loop", "spof": "single point of failure", "alpha spending": "interim analysis",
    "linearizable": "linearizability", "majority": "quorum", "victim": "selector", "gameday": "game day",
    "replica": "node",
}  # fmt: skip
"""Another word -> the word that has the meaning."""
