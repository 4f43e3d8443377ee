"""How the tests are spread over the cores: file by file, on one worker more than there are cores, since real systems mostly wait.

    the first worker    tests that judge times of real systems (``ALONE``), one after the other, and then what is left
    the second          real systems whose tests hold on a busy machine too (``WAITS``), and then what is left
    all others          what computes

A file stays on one worker, since what its tests share is made once there. All workers but the first run in the kernel's idle class: what
the first has started gets a core at once whenever it wants one, as if it had the machine for itself.

Where others use the machine already the idle class would hardly run, and an engine works for all workers in one class. There, in the
Docker suite, and with ``NINES_ALONE=1``, the tests that judge times run at the end instead, when all others are done.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

ALONE: Final = "alone"
FIRST: Final = "gw0"
SECOND: Final = "gw1"
DOCKER_SUITE: Final = "docker"
"""Its mark."""
STARTS_SYSTEMS: Final = ("tests/contract/", "tests/docker/", "tests/e2e/")
"""Their tests start clusters."""
WAITS: Final = (
    "tests/docker/test_docker_try.py::",
    "tests/docker/test_docker_pytest.py::",
    "tests/docker/test_leftovers_docker.py::",
    "tests/docker/test_docker_private_engine.py::",
    "tests/docker/test_docker_images.py::",
    "tests/docker/test_run_ends_docker.py::",
    "tests/docker/test_docker_kill_serving.py::",
    "tests/docker/test_docker_engine.py::",
    "tests/e2e/test_soak.py::",
    "tests/e2e/test_targets_systems.py::",
    "tests/e2e/test_netem_kernel.py::",
    "tests/e2e/test_example_plugin.py::",
    "tests/e2e/test_ledger.py::",
    "tests/e2e/test_targets_etcd.py::",
    "tests/e2e/test_targets_metronome.py::",
    "tests/contract/test_toxiproxy_adapter.py::",
    "tests/e2e/test_data_local.py::",
    "tests/e2e/test_disk_local.py::",
    "tests/e2e/test_docs_target.py::",
    "tests/e2e/test_inject_local.py::",
    "tests/e2e/test_kill_serving.py::",
    "tests/e2e/test_local_crash.py::",
    "tests/e2e/test_replicated_kv_disks.py::",
    "tests/e2e/test_replicated_kv_members.py::",
    "tests/e2e/test_replicated_kv_modes.py::",
    "tests/e2e/test_replicated_kv_supervisor.py::",
    "tests/e2e/test_replicated_kv_wrong.py::",
    "tests/e2e/test_run_ends_local.py::",
)
"""They start systems and judge no time; the longest first."""
ASKS_SCHEDULER: Final = "tests/unit/core/test_priority.py::"
"""What the idle class is refused, this file expects to be granted."""
LOOK_S: Final = 0.3
CONTENDED: Final = 0.5
"""The share of that time in which something waited for a core."""


def is_alone(nodeid: str) -> bool:
    """Whether this test needs the machine for itself."""
    return nodeid.startswith((*STARTS_SYSTEMS, ASKS_SCHEDULER)) and not nodeid.startswith(WAITS)


def rank(nodeid: str) -> int:
    """The order of tests: those that run alone, the longest that compute, what waits in the order of ``WAITS``, all others."""
    if is_alone(nodeid):
        return -1
    found = [number for number, start in enumerate(WAITS) if nodeid.startswith(start)]
    return found[0] + 1 if found else 0 if nodeid.startswith("tests/property/") else len(WAITS) + 1


def alone_last(config: pytest.Config) -> bool:
    """Whether the tests that judge times run when all others are done. Asked once, before the workers are started."""
    return config.option.markexpr == DOCKER_SUITE or os.environ.get("NINES_ALONE") == "1" or _contended()


def _contended() -> bool:
    before_us = _waited_us()
    time.sleep(LOOK_S)
    return (_waited_us() - before_us) / (LOOK_S * 1e6) > CONTENDED


def _waited_us() -> int:
    """How long something has waited for a core since the machine started, as the kernel tells (PSI); 0 where it does not."""
    try:
        some = Path("/proc/pressure/cpu").read_text(encoding="ascii").split("\n", 1)[0]
    except OSError:
        return 0
    return int(some.rpartition("total=")[2])


def step_back(worker: str) -> None:
    """To the idle class, unless this is the first worker: this process, and what it starts."""
    if worker != FIRST and hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


ENOUGH: Final = 2
"""A worker with so few tests before it is given its next file: xdist runs a test only once it knows the one after it."""


class Spread(LoadFileScheduling):
    """Files to whoever is free, to the first two workers what is theirs first."""

    def __init__(self, config: pytest.Config, log: Producer | None, last: bool) -> None:
        config.option.loadscopereorder = False
        self._alone_last = last
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return ALONE if is_alone(nodeid) else super()._split_scope(nodeid)

    def _reschedule(self, node: WorkerController) -> None:
        others = [other for other in self.nodes if other is not node and not other.shutting_down]
        if self._alone_last and list(self.workqueue) == [ALONE] and others and not node.shutting_down:
            if self._pending_of(self.assigned_work[node]) <= ENOUGH:
                node.shutdown()
            return
        super()._reschedule(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(choice(list(self.workqueue), SECOND if self._alone_last else node.gateway.id), last=False)
        super()._assign_work_unit(node)


def choice(scopes: list[str], worker: str) -> str:
    """Which of these files (or ``ALONE``) this worker takes next; there is one at least."""
    waits = [scope for scope in scopes if f"{scope}::".startswith(WAITS)]
    computes = [scope for scope in scopes if scope != ALONE and scope not in waits]
    alone = [scope for scope in scopes if scope == ALONE]
    order = {FIRST: [alone, computes, waits], SECOND: [waits, computes, alone]}.get(worker, [computes, waits, alone])
    return next(found[0] for found in order if found)
