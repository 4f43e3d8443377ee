"""What a failed call to the engine means to a user: the SDK's exceptions as ours, with what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from chaos.errors import EnvironmentUnusable

_MEANINGS: Final[tuple[tuple[str, str, str], ...]] = (
    (r"no space left on device", "the disk of the Docker engine is full", "docker system df; docker system prune"),
    (r"pool overlaps|overlaps with other one", "the subnet is taken by another Docker network", "docker network ls; or set NINES_SUBNETS"),
    (r"could not find an available.* ipv4", "the Docker engine has no free subnet left", "docker network prune; or set NINES_SUBNETS"),
    (r"toomanyrequests|rate limit", "the registry limits how often images are pulled", "docker login; or name an image you have"),
    (r"pull access denied|manifest unknown|not found: manifest|repository does not exist", "there is no such image", "check its name"),
    (
        r"no such host|connection refused|i/o timeout|network is unreachable|client\.timeout|tls handshake timeout|certificate|eof$",
        "the registry does not answer",
        "check the engine's network, or pull the image beforehand",
    ),
    (r"permission denied", "the Docker engine may not do that here", "see the engine's log: journalctl -u docker"),
)


def meaning(said: str) -> tuple[str, str] | None:
    """What went wrong and what to do, if the engine's words are known ones."""
    for pattern, what, how in _MEANINGS:
        if re.search(pattern, said, re.IGNORECASE):
            return what, how
    return None


def unusable(doing: str, said: str) -> EnvironmentUnusable:
    """The error for the engine's words."""
    known = meaning(said)
    if known is None:
        return EnvironmentUnusable(f"{doing}: {said}", how="see the engine's log (journalctl -u docker), and: nines doctor")
    return EnvironmentUnusable(f"{doing}: {known[0]} ({said})", how=known[1])


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Inside, whatever the SDK or its connection raises becomes ``EnvironmentUnusable`` that names what was being done.

    Callers that can do something about an answer (404, 409) catch the SDK's own exception inside.
    """
    import requests
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise unusable(doing, str(error.explanation or error).strip()) from error
    except requests.exceptions.Timeout as error:
        raise EnvironmentUnusable(f"{doing}: the Docker engine did not answer in time", how="it may be overloaded: docker info") from error
    except (DockerException, requests.exceptions.RequestException) as error:
        raise unusable(doing, str(error)) from error
