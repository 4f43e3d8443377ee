"""An HTTP server for Prometheus: ``/metrics`` of a run, in the format that the scraper asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIServer

from prometheus_client.exposition import start_http_server
from prometheus_client.registry import Collector, CollectorRegistry

from chaos.core.errors import EnvironmentUnusable
from chaos.core.escaping import terminal

if TYPE_CHECKING:
    from prometheus_client.core import Metric

HERE: Final = "127.0.0.1"


class _Asked(Collector):
    """Whatever is so when somebody asks."""

    def __init__(self, now: Callable[[], Collector]) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        yield from self._now().collect()


@contextmanager
def served(now: Callable[[], Collector], port: int, address: str = HERE) -> Iterator[int]:
    """Serve ``/metrics`` until left; yields the port (0 chooses a free one). ``EnvironmentUnusable`` where the port is taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Asked(now))
    server, thread = _start(registry, port, address)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _start(registry: CollectorRegistry, port: int, address: str) -> tuple[WSGIServer, threading.Thread]:
    try:
        return start_http_server(port, address, registry)
    except OSError as error:
        raise EnvironmentUnusable(
            f"cannot serve metrics on {address}:{port}: {terminal(error.strerror or str(error))}", how="choose another --metrics-port"
        ) from error
