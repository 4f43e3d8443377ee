"""How the tests are spread over the cores: file by file, and those that start real systems alone at the end.

A file stays on one worker, since what its tests share is made once there. Tests of real processes judge times that another test's
load would spoil, so that they run one after the other when every other test is done. Those files whose tests judge no time
(``JUDGE_NO_TIME``) are spread like all others, just before.
"""

from __future__ import annotations

from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

ALONE: Final = "alone"
FOLDERS_ALONE: Final = ("tests/contract/", "tests/docker/", "tests/e2e/")
"""Their tests start clusters."""
JUDGE_NO_TIME: Final = (
    "tests/contract/test_toxiproxy_adapter.py::",
    "tests/e2e/test_data_local.py::",
    "tests/e2e/test_disk_local.py::",
    "tests/e2e/test_docs_target.py::",
    "tests/e2e/test_example_plugin.py::",
    "tests/e2e/test_inject_local.py::",
    "tests/e2e/test_kill_serving.py::",
    "tests/e2e/test_ledger.py::",
    "tests/e2e/test_ledger.py::",
    "tests/e2e/test_local_crash.py::",
    "tests/e2e/test_netem_kernel.py::",
    "tests/e2e/test_replicated_kv_disks.py::",
    "tests/e2e/test_replicated_kv_members.py::",
    "tests/e2e/test_replicated_kv_modes.py::",
    "tests/e2e/test_replicated_kv_supervisor.py::",
    "tests/e2e/test_replicated_kv_wrong.py::",
    "tests/e2e/test_run_ends_local.py::",
    "tests/e2e/test_soak.py::",
    "tests/e2e/test_targets_etcd.py::",
    "tests/e2e/test_targets_metronome.py::",
    "tests/e2e/test_targets_systems.py::",
)
"""What they expect holds on a busy machine too."""
ENOUGH: Final = 2
"""A worker with so few tests before it is given its next file: xdist runs a test only once it knows the one after it."""


def is_alone(nodeid: str) -> bool:
    """Whether this test needs the machine for itself."""
    return nodeid.startswith(FOLDERS_ALONE) and not nodeid.startswith(JUDGE_NO_TIME)


def rank(nodeid: str) -> int:
    """The order of folders: the longest tests first, those that wait rather than compute later, those that run alone last."""
    if is_alone(nodeid):
        return 3
    return 2 if nodeid.startswith(JUDGE_NO_TIME) else 0 if nodeid.startswith("tests/property/") else 1


class Spread(LoadFileScheduling):
    """Files to whoever is free; when only the tests that run alone are left, all workers but one go home."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return ALONE if is_alone(nodeid) else super()._split_scope(nodeid)

    def _reschedule(self, node: WorkerController) -> None:
        if node.shutting_down:
            return
        others = [other for other in self.nodes if other is not node and not other.shutting_down]
        if list(self.workqueue) == [ALONE] and others and self._pending_of(self.assigned_work[node]) <= ENOUGH:
            node.shutdown()
            return
        super()._reschedule(node)
