"""What the nodes' containers said during a run, as kubelet keeps it, into ``logs/NODE.log``: every life, in a deleted pod up to its end.

Kubelet keeps the log of the present life of a container and of the one before. So that of a life that is over is taken as soon as the next
one is told, that of a pod that is being deleted at once, and that of the last life at the end of the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.api import Api, Refused
from chaos.kube.find import Pod

LINES: Final = 100_000
EARLIER_S: Final = 2
"""A log's times are whole seconds of its machine's clock; what was said this shortly before the run may come along."""


class PodLogs:
    """Of all nodes of a run. ``log_of``: where a node's goes."""

    def __init__(self, api: Api, namespace: str, log_of: Callable[[str], Path]) -> None:
        self._api = api
        self._namespace = namespace
        self._log_of = log_of
        self._began_s = time.monotonic()
        self._restarts: dict[str, int] = {}
        """Uid of a pod -> how often its container had been started again when it was last seen."""
        self._ending: set[str] = set()
        self._kept: set[tuple[str, int]] = set()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="logs")

    def seen(self, node: str, pod: Pod) -> None:
        """The API server's word of a node's pod: a life may be over by it. Returns at once."""
        before = self._restarts.setdefault(pod.uid, pod.restarts)
        if pod.restarts > before:
            self._restarts[pod.uid] = pod.restarts
            self._worker.submit(self._keep, node, pod, pod.restarts - 1, previous=True)
        if pod.ending and pod.uid not in self._ending:
            self._ending.add(pod.uid)
            self._worker.submit(self._keep, node, pod, pod.restarts, previous=False)

    def close(self, last: dict[str, Pod]) -> None:
        """Take the rest; complete when it returns."""
        self._worker.shutdown(wait=True)
        for node, pod in last.items():
            self._keep(node, pod, self._restarts.get(pod.uid, pod.restarts), previous=False)

    def _keep(self, node: str, pod: Pod, life: int, *, previous: bool) -> None:
        if (pod.uid, life) in self._kept:
            return
        self._kept.add((pod.uid, life))
        whole_s = int(time.monotonic() - self._began_s) + EARLIER_S
        try:
            said = self._api.log(self._namespace, pod.name, pod.container, whole_s, LINES, previous=previous)
        except Refused as refused:
            said = b"" if refused.missing else f"not kept: {refused.what}\n".encode()
        except EnvironmentUnusable as error:
            said = f"not kept: {error.what}\n".encode()
        path = self._log_of(node)
        with path.open("ab") as file:
            if life or path.stat().st_size:
                file.write(f"--- {pod.name}, container {pod.container}, after {life} restarts ---\n".encode())
            file.write(said)
