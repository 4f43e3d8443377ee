"""What crashed runs left on a Docker engine, found by label, and its removal.

    nines.run=<run>   nines.node=<name>   nines.role=agent|system|dns|prober|network|volume
    nines.state=<state folder>            nines.harness=<pid:start:boot>
    nines.pids=<pid namespace>            nines.by=<user>

Labels are all that is needed: containers are found by them whatever became of the node meanwhile (restarted, dead, removed), and
rules, frozen processes and toxics live in a container's namespace and go with it. A thing whose harness lives, or whose state
folder is another one, is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chaos.core import system
from chaos.core.errors import EnvironmentUnusable
from chaos.engine.errors import translated
from chaos.registry import processes as proc
from chaos.registry import runs as registry

if TYPE_CHECKING:
    from docker.api import APIClient

    from chaos.engine.connection import Engine
    from chaos.registry.runs import Claim

RUN: Final = "nines.run"
NODE: Final = "nines.node"
ROLE: Final = "nines.role"
STATE: Final = "nines.state"
HARNESS: Final = "nines.harness"
PIDS: Final = "nines.pids"
BY: Final = "nines.by"

SYSTEM: Final = "system"
CONTAINER: Final = "container"
NETWORK: Final = "network"
VOLUME: Final = "volume"
ORDER: Final = (CONTAINER, NETWORK, VOLUME)
"""Of removal: a network or volume in use cannot go."""
REMOVE_WITHIN_S: Final = 30.0
LATE_S: Final = 0.4
AGAIN_S: Final = 0.05
AT_ONCE: Final = 16


Reason = tuple[str, str, str]
"""Kind and name of a thing that is still there, and why."""


class Thing(msgspec.Struct, frozen=True):
    """One container, network or volume with our labels."""

    kind: str
    id: str
    name: str
    run: str
    node: str
    role: str
    state: str
    harness: str
    pids: str
    by: str
    made: str = ""
    """When the engine made it, as the engine writes it; empty where it does not say."""

    @property
    def orphan(self) -> bool:
        """The harness that made it is gone. One in another pid namespace cannot be seen from here, and counts as alive."""
        who = proc.Identity.parse(self.harness)
        if who is not None and self.pids and self.pids != proc.pid_namespace() and who.boot == proc.boot_id():
            return False
        return who is None or not proc.alive(who)


def labels(claim: Claim) -> dict[str, str]:
    """What everything of a run carries beside its own name."""
    ours = claim.labels("")
    return owner_words(ours[proc.STATE_LABEL], ours[proc.HARNESS_LABEL])


def owner(harness: proc.Identity, state: Path) -> dict[str, str]:
    """The same for what belongs to no claim."""
    return owner_words(str(state), str(harness))


def owner_words(state: str, harness: str) -> dict[str, str]:
    """Who made it, so that it can be told without a record whether its harness lives."""
    return {STATE: state, HARNESS: harness, PIDS: proc.pid_namespace(), BY: system.user_name()}


def things(api: APIClient, run: str | None = None) -> list[Thing]:
    """Everything with our label, of one run or of all, in the order of removal."""
    label = {"label": RUN if run is None else f"{RUN}={run}"}
    with translated("listing what carries the label of Nines"):
        containers = [_thing(CONTAINER, each["Id"], each["Names"][0].lstrip("/"), each) for each in api.containers(all=True, filters=label)]
        networks = [_thing(NETWORK, each["Id"], each["Name"], each) for each in api.networks(filters=label)]
        volumes = [_thing(VOLUME, each["Name"], each["Name"], each) for each in api.volumes(filters=label)["Volumes"] or ()]
    return sorted(containers + networks + volumes, key=lambda thing: (ORDER.index(thing.kind), thing.name))


def _thing(kind: str, identity: str, name: str, listed: dict[str, Any]) -> Thing:
    found = listed.get("Labels") or {}
    made = listed.get("Created") or listed.get("CreatedAt") or ""
    if isinstance(made, int):
        made = datetime.fromtimestamp(made, UTC).isoformat()
    run, node, role, state, harness, pids, by = (found.get(label, "") for label in (RUN, NODE, ROLE, STATE, HARNESS, PIDS, BY))
    return Thing(kind, identity, name, run, node, role, state, harness, pids, by, made=str(made)[:19].replace("T", " "))


def left(host: str, state: Path, stale: Collection[str], *, must_answer: bool) -> list[Thing]:
    """Of runs of this state folder whose harness is gone, or that are known to be ``stale``; nothing of an engine that need not answer."""
    from chaos.engine.connection import answers, connect

    if not must_answer and not answers({"DOCKER_HOST": host}):
        return []
    with connect(host, checked=False) as engine:
        return _left(engine, state, stale)


def _left(engine: Engine, state: Path, stale: Collection[str]) -> list[Thing]:
    # A harness that was sent has its state folder where it stood; the record here is then of the command that had sent it.
    return [thing for thing in things(engine.client.api) if thing.run in stale or (thing.state == str(state) and thing.orphan)]


class Unrecorded(msgspec.Struct, frozen=True):
    """A run that has things on an engine, and no record in any state folder that could be read: its home is gone, or another user's."""

    run: str
    host: str
    things: tuple[Thing, ...]
    alive: bool
    """Its harness lives, or cannot be seen from here: then it is left alone."""

    def __str__(self) -> str:
        first = min(thing.made for thing in self.things)
        state = "alive" if self.alive else "dead"
        return f"started {first}, by {self.things[0].by or 'an unknown user'}, harness {state}"


def unrecorded(host: str, state: Path) -> list[Unrecorded]:
    """Runs of other state folders that no record there accounts for; empty where no engine answers, or one elsewhere."""
    from chaos.engine.connection import answers, connect

    if not answers({"DOCKER_HOST": host}):
        return []
    with connect(host, checked=False) as engine:
        if engine.facts.elsewhere:
            return []  # whether a harness there lives can be told only there
        found = things(engine.client.api)
    by_run: dict[str, list[Thing]] = {}
    for thing in found:
        if thing.state != str(state) and not _recorded(thing):
            by_run.setdefault(thing.run, []).append(thing)
    return [Unrecorded(run, host, tuple(mine), any(not thing.orphan for thing in mine)) for run, mine in sorted(by_run.items())]


def _recorded(thing: Thing) -> bool:
    """Whether the run's own state folder still knows it: then it is healed from there."""
    return bool(thing.state) and registry.record_file(Path(thing.state), thing.run).exists()


def remove_unrecorded(found: Unrecorded) -> list[Reason]:
    """All that a dead harness left; nothing of one that lives. What is still there, and why."""
    from chaos.engine.connection import connect

    assert not found.alive, "a living run is never touched"
    with connect(found.host, checked=False) as engine:
        return remove(engine.client.api, found.run, frozenset(thing.id for thing in found.things))


def refuse(engine: Engine, state: Path | None = None) -> None:
    """``EnvironmentUnusable`` (exit 5) if there are any: nothing may be measured on top of them."""
    where = state or registry.state_dir()
    found = _left(engine, where, {record.run for record in registry.stale(where)})
    if found:
        runs = ", ".join(sorted({thing.run for thing in found}))
        raise EnvironmentUnusable(
            f"an earlier run did not clean up: {len(found)} things of {runs} are left on the engine at {engine.facts.host}",
            how="'nines leftovers' lists them, 'nines heal' removes them",
        )


def heal(host: str, run: str, logs: Path | None) -> list[Reason]:
    """Keep what its nodes said, then remove everything of a run; what is still there."""
    from chaos.engine.connection import connect

    with connect(host, checked=False) as engine:
        if logs is not None and logs.is_dir():
            _keep_logs(engine.client.api, run, logs)
        remove(engine.client.api, run)
        # A call that the harness had under way when it died may still be carried out by the engine.
        time.sleep(LATE_S)
        return remove(engine.client.api, run)


def _keep_logs(api: APIClient, run: str, logs: Path) -> None:
    """Whole, in place of the part that the harness had followed before it died."""
    from docker.errors import APIError

    for thing in things(api, run):
        if thing.kind == CONTAINER and thing.role == SYSTEM:
            try:
                said: bytes = api.logs(thing.id)
            except APIError:
                continue  # an engine that cannot give them must not keep us from healing
            (logs / f"{thing.node}.log").write_bytes(said)


def remove(api: APIClient, run: str, only: frozenset[str] | None = None) -> list[Reason]:
    """Remove everything of a run (or only those of these ids) and look again; what is still there, and why."""
    reasons: dict[str, str] = {}

    def mine() -> list[Thing]:
        return [thing for thing in things(api, run) if only is None or thing.id in only]

    found = mine()
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="docker") as pool:
        # The network and the volumes need not wait for each other, only for the containers that use them.
        for kinds in ((CONTAINER,), (NETWORK, VOLUME)):
            these = [thing for thing in found if thing.kind in kinds]
            for thing, why in zip(these, pool.map(lambda thing: _remove(api, thing), these), strict=True):
                if why:
                    reasons[thing.id] = why
    return [(thing.kind, thing.name, reasons.get(thing.id, "it is there again")) for thing in mine()]


def _phantom(api: APIClient, thing: Thing) -> str:
    """What helps where the engine has lost count: it keeps a network for a container that it does not itself list there (seen on 20.10)."""
    from docker.errors import APIError

    if thing.kind != NETWORK:
        return ""
    try:
        nobody = not api.inspect_network(thing.id).get("Containers")
    except APIError:
        return ""
    return "; nobody is on it, the engine has lost count: restart it (systemctl restart docker), then 'nines heal'" if nobody else ""


def _remove(api: APIClient, thing: Thing) -> str:
    """Empty when it is gone; else why it is not. The engine may be busy with it: then it is asked again for a while."""
    from docker.errors import APIError, NotFound
    from requests.exceptions import RequestException

    calls: dict[str, Callable[[], object]] = {
        CONTAINER: lambda: api.remove_container(thing.id, force=True, v=True),
        NETWORK: lambda: api.remove_network(thing.id),
        VOLUME: lambda: api.remove_volume(thing.id, force=True),
    }
    until_s = time.monotonic() + REMOVE_WITHIN_S
    while True:
        try:
            calls[thing.kind]()
        except NotFound:
            return ""
        except APIError as error:
            # 409: "removal is already in progress", or a container that is just going still holds it.
            # Podman refuses (500) to remove one whose namespaces others share, until they are gone: they are being removed as well.
            said = str(error.explanation or error)
            busy = error.status_code in (409, 403) or "dependent containers" in said
            if not busy or time.monotonic() > until_s:
                return f"{error.explanation or error}{_phantom(api, thing)}"
        except RequestException as error:
            # On a busy machine the engine may answer too late, and have removed it by the next time it is asked.
            if time.monotonic() > until_s:
                return str(error)
        else:
            return ""
        time.sleep(AGAIN_S)
