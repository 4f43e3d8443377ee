"""The API server's word of some pods, as it comes: a watch that is opened again whenever the server ends it."""

from __future__ import annotations

from collections.abc import Callable

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.api import Api, Stop, Thing

Take = Callable[[str, Thing], None]
"""What happened (``ADDED``, ``MODIFIED``, ``DELETED``) and to which pod."""


def version_of(api: Api, namespace: str, selector: str) -> str:
    """From which on nothing is missed."""
    return str(api.page("pods", namespace, selector)["metadata"]["resourceVersion"])


def follow(api: Api, namespace: str, selector: str, version: str, stop: Stop, over: Callable[[], bool], take: Take) -> str:
    """Until ``over``; why it ended before."""
    try:
        while not over():
            for kind, thing in api.watch("pods", namespace, selector, version, stop):
                if kind == "ERROR":
                    raise EnvironmentUnusable(f"the watch of pods ended: {thing.get('message', thing)}", how="see the API server")
                version = str(thing["metadata"]["resourceVersion"])
                take(kind, thing)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
