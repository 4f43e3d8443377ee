"""The table of mechanisms: each claim, and the experiments that differ in that mechanism alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Tree = dict[str, Any]
"""A part of an experiment, as YAML has it."""

CHECK: Tree = {"what": "ready", "every": "100ms", "timeout": "200ms", "fall": 2, "rise": 2}
BASE: Tree = {
    "cluster": {
        "target": "replicated_kv",
        "nodes": 3,
        "runtime": "local",
        "dns": {"balancer": "health-checked", "ttl": "1s", "check": CHECK},
    },
    "traffic": {
        "operations": {"write": "50/s", "read": "50/s"},
        "client": {"timeout": "500ms", "attempts": 2, "other_address": True, "deadline": "1100ms", "resolve": "ttl"},
        "judge": "write",
    },
    "baseline": "3s",
    "settle": "5s",
    "limits": {"nodes_down": 1},
}
ONE_TRY: Tree = {
    "operations": {"read": "100/s"},
    "client": {"timeout": "500ms", "attempts": 1, "other_address": False, "deadline": "500ms", "resolve": "ttl"},
    "outage": {"open": 1, "close": 1},
    "judge": "read",
}
"""Clients that do not try again, each lost request counted."""
ALL: Tree = {"limits": {"nodes_down": 3}}


@dataclass(frozen=True)
class Variant:
    """One way to set a mechanism. ``changes``: what of ``BASE`` is otherwise."""

    name: str
    changes: Tree
    seeds: int = 1
    """So many runs, each with one fault, where a run can bear no more."""


@dataclass(frozen=True)
class Mechanism:
    """One claim. ``explains``: in words, where prediction and observation are not expected to agree, and why."""

    key: str
    title: str
    question: str
    variants: tuple[Variant, ...]
    fault: str = ""
    """The class of the faults that count, where a run has others to prepare them."""
    explains: str = ""
    loses_writes: bool = False
    """The figure is acknowledged writes, not time."""
    page: str = ""
    needs: tuple[str, ...] = field(default=())
    """``docker``, where plain processes will not do."""


def kills(target: object = "leader", times: int = 5, away: str = "2s", every: str = "5s", **fault: object) -> Tree:
    """The usual harm."""
    return {"faults": [{"name": "harm", "kill": fault, "target": target, "every": every, "for": away, "times": times}]}


def settings(**chosen: str) -> Tree:
    """Settings of the target."""
    return {"cluster": {"settings": chosen}}


def merged(*trees: Tree) -> Tree:
    """The later ones win, key by key."""
    found: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            found[key] = merged(found[key], value) if isinstance(value, dict) and isinstance(found.get(key), dict) else value
    return found


def _replicas(nodes: int) -> Variant:
    return Variant(
        f"{nodes} node{'s' if nodes > 1 else ''}", merged({"cluster": {"nodes": nodes}}, kills("any" if nodes == 1 else "leader"))
    )


def _timing(heartbeat: str, low: str, high: str) -> Variant:
    changes = settings(heartbeat=heartbeat, election_timeout_min=low, election_timeout_max=high)
    return Variant(f"beat {heartbeat}, time-out {low} to {high}", merged(changes, kills()))


def _checks(ttl: str, every: str, fall: int) -> Variant:
    dns = {"ttl": ttl, "check": {**CHECK, "every": every, "fall": fall}}
    changes: Tree = {"cluster": {"dns": dns, "settings": {"reads": "local"}}, "traffic": ONE_TRY, "settle": "7s"}
    # Far enough apart that none waits for the one before: else they begin when the cluster has settled, in step with the caches.
    gone = kills("any", times=6, away="6s", every="18s" if ttl == "5s" else "12s")
    return Variant(f"TTL {ttl}, {fall} checks, {every} apart", merged(changes, gone))


def _log(name: str, compact_after: str, restart: str = "70ms") -> Variant:
    """``restart``: 70 ms, and 15 us for each entry that is to be read (CPU time of ``Storage.recover`` over 12,000 entries: 0.16 s)."""
    filling = {"name": "fill", "load": {"rate": "1000/s"}, "at": "4s", "for": "12s"}
    harm = {"name": "harm", "kill": {}, "target": "any", "at": ["20s", "25s", "30s"], "for": "200ms"}
    alone = {"cluster": {"nodes": 1, "dns": {"balancer": "round-robin"}}}
    return Variant(
        name,
        merged(alone, settings(compact_after=compact_after), {"faults": [filling, harm], "predict": {"parameters": {"restart": restart}}}),
    )


def _loss(name: str, replication: str) -> Variant:
    data = {"keys": 20, "sessions": 16, "rate": "200/s", "once": "80%", "checks": ["lost_writes"]}
    lag = {"predict": {"parameters": {"replication_lag": "2ms"}}} if replication == "async" else {}
    cut = {"faults": [{"name": "harm", "partition": {}, "target": "leader", "every": "9s", "for": "3s", "times": 3}], "settle": "8s"}
    return Variant(name, merged(settings(replication=replication), {"data": data}, cut, lag))


def _stop(name: str, stopping: str) -> Variant:
    told = {"predict": {"parameters": {"stopping": stopping}}}
    asked = {"faults": [{"name": "harm", "stop": {}, "target": "leader", "every": "5s", "for": "2s", "times": 5}]}
    return Variant(name, merged(settings(stopping=stopping), told, asked))


def _disks(name: str, **chosen: str) -> Variant:
    data = {"keys": 50, "sessions": 8, "rate": "200/s", "checks": ["lost_writes"]}
    gone = {"faults": [{"name": "harm", "remove": {}, "target": {"any": 3}, "at": "8s", "for": "1s"}]}
    return Variant(name, merged(ALL, settings(**chosen), {"data": data}, gone), seeds=2)


def _networks(name: str, networks: str) -> Variant:
    cut = {"name": "harm", "partition": {"network": "back"}, "target": "leader", "every": "8s", "for": "3s", "times": 4}
    cluster = {"cluster": {"runtime": "docker", "networks": ["front", "back"], "settings": {"networks": networks}}}
    told = {"predict": {"parameters": {"other_way": "150ms..250ms"}}} if networks == "both" else {}
    return Variant(name, merged(cluster, told, {"faults": [cut]}))


_ZONES: Tree = {
    "cluster": {
        "nodes": 6,
        "zones": {"a": ["n1", "n2", "n3"], "b": ["n4", "n5", "n6"]},
        "settings": {"second_centre": "async"},
        "dns": {"order": ["a", "b"]},
    },
    "predict": {"parameters": {"promotion": "900ms..1s"}},
}
_OF_A: Tree = {"name": "harm", "kill": {}, "target": {"zone": "a"}, "at": "5s", "for": "8s"}
_LOST: Tree = {"faults": [{"name": "harm", "kill": {}, "target": {"any": 3}, "at": "5s", "for": "8s"}], "settle": "8s", **ALL}

MECHANISMS = (
    Mechanism(
        "replicas",
        "Replicas: 1, 3, 5",
        "The leader dies and is started again after 2 s. How long do writes fail?",
        (_replicas(1), _replicas(3), _replicas(5)),
        page="replicated-kv/election.md",
        explains="One node is away for as long as nobody starts it. Three or five elect another leader. "
        "Five are a little faster than three: the first of four time-outs is over sooner than the first of two.",
    ),
    Mechanism(
        "heartbeats",
        "Heartbeats: interval and misses",
        "The leader dies. How long do writes fail, by the time-out after which its followers give it up?",
        (_timing("50ms", "250ms", "500ms"), _timing("100ms", "500ms", "1000ms"), _timing("100ms", "1000ms", "2000ms"),
         _timing("200ms", "1000ms", "2000ms")),
        page="replicated-kv/monitoring.md",
        explains="What counts is the time-out, five to ten beats here. With the same time-out a longer interval saves half an interval, "
        "since the last beat is older when the leader dies.",
    ),
    Mechanism(
        "handover",
        "Handover before a planned stop",
        "The leader is stopped on purpose. How long do writes fail?",
        (_stop("it just ends", "crash"), _stop("it hands over", "handover")),
        explains="A handover takes two round trips, which is less than the time between two requests here: most are not noticed.",
        page="replicated-kv/election.md",
    ),
    Mechanism(
        "supervisor",
        "Supervisor",
        "The only node dies. How long do writes fail?",
        (
            Variant("somebody starts it after 5 s", merged({"cluster": {"nodes": 1}}, kills("any", 5, "5s", "8s"))),
            Variant(
                "its supervisor starts it",
                merged({"cluster": {"nodes": 1}}, settings(supervisor="on"), kills("any", 5, "1s", "12s", process="serving"),
                       {"predict": {"parameters": {"respawn": "100ms..150ms"}}}),
            ),
        ),
        page="replicated-kv/recovery.md",
        explains="The 5 s are ours: the time of somebody who is called. "
        "A busy machine starts the process later than the 70 ms that the target declares (detection): long enough for the health check to "
        "take the only node out of the name, and for clients to keep that answer for their TTL. "
        "The supervisor waits 100 ms, and longer for a node that dies again within 10 s.",
    ),
    Mechanism(
        "checkpoints",
        "Checkpoints: recovery time by the length of the log",
        "A node with some 12,000 entries behind it dies and is started again after 200 ms. How long do writes fail?",
        (_log("no checkpoint", "1000000", "250ms"), _log("a checkpoint every 1,000 entries", "1000")),
        fault="kill/leader",
        page="replicated-kv/checkpoints.md",
        explains="The model is told how long a restart takes: 70 ms, and 15 us of a processor for each entry that is to be read. "
        "A busy machine takes longer for both.",
    ),
    Mechanism(
        "dns",
        "Health checks of the name: TTL and interval",
        "A replica is away for 6 s, and clients do not try again. How long would requests have to fail all together to lose as many?",
        (_checks("1s", "100ms", 2), _checks("1s", "500ms", 3), _checks("5s", "100ms", 2)),
        page="from-mtbf-to-verdict.md",
        explains="Each failed request counts as the 10 ms until the next one. One of three addresses is dead, "
        "so a third of the requests are lost until the checks have failed and the caches are renewed.",
    ),
    Mechanism(
        "second-centre",
        "Second data centre",
        "A whole data centre is lost for 8 s. How long do writes fail?",
        (
            Variant("none", _LOST, seeds=3),
            Variant("an asynchronous one, in DNS order", merged(_ZONES, _LOST, {"faults": [_OF_A]}),
                    seeds=3),
        ),
        page="replicated-kv/data-centres.md",
    ),
    Mechanism(
        "second-network",
        "Second network between the nodes",
        "The leader's back network is cut for 3 s, while clients reach it on the front. How long do writes fail?",
        (_networks("peers use the back one alone", "one"), _networks("peers use both", "both")),
        page="replicated-kv/networks.md",
        needs=("docker",),
    ),
    Mechanism(
        "acknowledgement",
        "Whose acknowledgement: quorum against async",
        "The leader is cut off from its peers for 3 s, and clients still reach it. How many acknowledged writes are lost for each cut?",
        (_loss("the leader alone", "async"), _loss("more than half", "quorum")),
        loses_writes=True,
        page="replicated-kv/replication.md",
        explains="An asynchronous leader acknowledges until it fences itself, and none of that survives. What a quorum has survives.",
    ),
    Mechanism(
        "backup",
        "Backup",
        "Every node and every disk is lost. How many acknowledged writes are gone?",
        (_disks("none"), _disks("one every second", backup="../backup", backup_every="1s", restore="on")),
        loses_writes=True,
        page="replicated-kv/backup.md",
        explains="No model predicts what becomes of a cluster that lost the data of a majority.",
    ),
)  # fmt: skip


def experiment(mechanism: Mechanism, variant: Variant) -> Tree:
    """The whole experiment of one variant."""
    name = f"{mechanism.key}-{mechanism.variants.index(variant) + 1}"
    return merged(BASE, {"experiment": name, "question": "What does it cost with this?"}, variant.changes)
