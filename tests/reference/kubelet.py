"""Kubelet's own loop for one container that died, event by event: an oracle of the models, which knows nothing of them.

From the source of v1.34.4: the relist of pleg/generic.go (1 s apart), the sync loop of kubelet.go (looks at its queue at each tick of 1 s),
``completeWork`` of pod_workers.go (a sync that failed is due 10 s to 15 s later; a sync takes nothing that was listed before the last one
ended), ``doProbe`` of prober/worker.go (a probe that meets a container that does not run says so once, and that is a sync).
"""

from __future__ import annotations

import random

RELIST_S = TICK_S = 1.0
DUE_S = (10.0, 15.0)


def starts_after(owed_s: float, probe_s: float, generator: random.Random) -> float:
    """From the death, at 0, to the sync that starts the container: ``probe_s`` apart are its readiness probes, 0 without any."""
    relist_s = generator.uniform(0.0, RELIST_S)
    tick_s = generator.uniform(0.0, TICK_S)
    probes_at_s = generator.uniform(0.0, probe_s) if probe_s else float("inf")
    known_dead = said_by_probe = False
    due_s, asked, listed_s, ended_s = float("inf"), False, 0.0, -1.0
    while True:
        now_s = min(relist_s, tick_s, probes_at_s)
        if now_s == relist_s:
            relist_s += RELIST_S
            listed_s = now_s
            asked = asked or not known_dead
            known_dead = True
        elif now_s == tick_s:
            tick_s += TICK_S
            if due_s < now_s:
                due_s, asked = float("inf"), True
        else:
            probes_at_s += probe_s
            if ended_s >= 0.0 and not said_by_probe:
                said_by_probe = asked = True
        if asked and listed_s > ended_s:
            if now_s >= owed_s:
                return now_s
            asked, ended_s = False, now_s
            due_s = now_s + generator.uniform(*DUE_S)
