"""Compose files laid over one another, by the rules of the Compose Specification (13, merge).

Tables are joined, lists appended, other values replaced. Lists that name their items (``environment``, ``labels``, ``volumes`` by the
place inside) are joined by these names; ``command``, ``entrypoint`` and ``healthcheck.test`` are replaced. ``!reset`` forgets,
``!override`` replaces.
"""

from __future__ import annotations

from typing import Any, Final

from chaos.experiment.compose.files import Override, Reset

_REPLACED: Final = ("command", "entrypoint", "test")
_PAIRS: Final = ("environment", "labels", "args", "sysctls", "annotations", "extra_hosts")
_SETS: Final = ("networks", "depends_on")
"""Lists of names that stand for tables."""
_BY_PLACE: Final = ("volumes", "secrets", "configs", "devices", "tmpfs")


def merged(below: Any, above: Any, path: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - as YAML is
    """``above`` over ``below``, both of them what stands at ``path``."""
    key = path[-1] if path else ""
    in_service = len(path) >= 3 and path[0] == "services"
    match above:
        case Reset():
            return None
        case Override(value=inside):
            return inside
        case None:
            return below
    if below is None or isinstance(below, Reset):
        return above
    if in_service and key in _REPLACED:
        return above
    if in_service and key in _PAIRS:
        return pairs(below) | pairs(above)
    if in_service and key in _SETS and (isinstance(below, list) or isinstance(above, list)):
        below, above = _table(below), _table(above)
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            name: merged(below.get(name), above[name], (*path, str(name))) if name in above else below[name] for name in [*below, *above]
        }
    if isinstance(below, list) and isinstance(above, list):
        if in_service and key in _BY_PLACE:
            return list(({_place(item): item for item in below} | {_place(item): item for item in above}).values())
        return [*below, *(item for item in above if item not in below)]
    return above


def settled(value: Any) -> Any:  # noqa: ANN401 - as YAML is
    """Without the tags that no earlier file gave a meaning to, and without the keys that were reset."""
    match value:
        case Override(value=inside):
            return settled(inside)
        case dict():
            return {key: settled(item) for key, item in value.items() if not isinstance(item, Reset)}
        case list():
            return [settled(item) for item in value if not isinstance(item, Reset)]
        case _:
            return value


def pairs(value: Any) -> dict[str, str | None]:  # noqa: ANN401 - as YAML is
    """``[NAME=value, NAME]`` or ``{NAME: value}``; None for a name without a value."""
    if isinstance(value, dict):
        return {str(name): item for name, item in value.items()}
    found: dict[str, str | None] = {}
    for item in value or ():
        name, equals, rest = str(item).partition("=")
        found[name] = rest if equals else None
    return found


def _table(value: Any) -> dict[str, Any]:  # noqa: ANN401 - as YAML is
    return value if isinstance(value, dict) else {str(name): None for name in value or ()}


def _place(item: Any) -> str:  # noqa: ANN401 - as YAML is
    """Where inside the container something stands."""
    if isinstance(item, dict):
        return str(item.get("target") or item.get("source") or item)
    parts = str(item).split(":")
    return parts[1] if len(parts) > 1 else parts[0]
