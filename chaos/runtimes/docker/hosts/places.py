"""Which engine has what of a run: a node's containers are on its host's, all else of ours on the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaos.runtimes.docker.containers import Containers


class Places:
    """``on``: the containers of each host, the first one's first; ``hosts``: the host of each node. A run on one engine has one host."""

    def __init__(self, on: Mapping[str, Containers], hosts: Mapping[str, str] | None = None) -> None:
        self.on = dict(on)
        self._hosts = dict(hosts or {})

    @classmethod
    def one(cls, containers: Containers) -> Places:
        """All on one engine."""
        return cls({"": containers})

    @property
    def first(self) -> Containers:
        """Where clients, name server and harness stand."""
        return next(iter(self.on.values()))

    def __iter__(self) -> Iterator[Containers]:
        return iter(self.on.values())

    def host(self, name: str) -> str:
        """Of a node; of clients and name server the first."""
        return self._hosts.get(name) or next(iter(self.on))

    def of(self, name: str) -> Containers:
        """Among these its containers are."""
        return self.on[self.host(name)]

    def nodes(self, host: str) -> list[str]:
        """Those that stand there."""
        return [name for name, each in self._hosts.items() if each == host]
