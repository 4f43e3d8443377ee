"""Ends runs at random instants, in every way and in every fault kind, and looks whether anything is left behind.

    python -m tools.soak [--runtime both] [--count 40] [--seed 1] [--ways kill,int,...] [--kinds kill,pause,...] [--keep]

    kill       SIGKILL: what is left is listed, a next run refuses (5), heal removes it; then all is as before
    int, term  SIGINT, SIGTERM: the run heals, is judged and leaves nothing (130, 143)
    twice      both, in quick succession: the second changes nothing
    frozen     Toxiproxy is stopped (SIGSTOP) while a fault may be in its hands: healed all the same, or told as 6, never silent
    restarted, removed
               somebody else restarts or removes a node or its agent during the fault (on local: ends its process); in two of three
               the harness is then ended by SIGKILL
    engine     the Docker engine is stopped (SIGSTOP) during the fault: leftovers and heal say so (5, 6); once it goes on, all is healed

Two instants in three lie within the fault, one anywhere in the run. What is looked at is the kernel's word (``/proc``) and, for
docker, all that is on an engine of the soak's own, which needs root: containers, networks, volumes, images, shims, mounts, bridges; and
the machine's packet rules and clock. Each run has a state folder of its own. Kinds and their fields come from the table of faults and
the examples in docs/ and experiments/; what this machine cannot do (a kernel without netem, say) is told at the end. Exit 1 if anything
was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from chaos.core import plugins as tables
from tools.soak.course import carry_out
from tools.soak.engine import OwnEngine, own_engine
from tools.soak.kinds import Example, examples
from tools.soak.trial import Trial

WAYS = ("kill", "kill", "int", "kill", "term", "removed", "kill", "twice", "frozen", "kill", "restarted", "engine")
"""In this order, again and again: SIGKILL is the hardest, so it comes most often."""
DOCKER_ONLY = {"restarted", "engine"}


class Soak:
    """The trials, one after the other, and their count."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path, engine: OwnEngine | None) -> None:
        self.ways = arguments.ways.split(",")
        self.keep = arguments.keep
        self.scratch = scratch
        self.engine = engine
        self.draw = random.Random(arguments.seed)  # noqa: S311 - instants, no secrets
        self.runtimes = ["local", "docker"] if arguments.runtime == "both" else [arguments.runtime]
        wanted = arguments.kinds.split(",") if arguments.kinds else tables.names("faults")
        self.able: dict[str, dict[str, list[Example]]] = {}
        self.left_out: dict[tuple[str, str], str] = {}
        for runtime in self.runtimes:
            self.able[runtime], cannot = examples(runtime, wanted)
            self.left_out |= {(runtime, kind): why for kind, why in cannot.items()}
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.used: Counter[tuple[str, str]] = Counter()

    def pick(self, runtime: str, way: str) -> Example | None:
        """One of the kinds that had the fewest turns so far, in one of its ways."""
        able = self.able[runtime]
        if way == "frozen":
            able = {kind: ways for kind, ways in able.items() if ways[0].by_proxy}
        if not able:
            return None
        least = min(self.used[runtime, kind] for kind in able)
        return self.draw.choice(able[self.draw.choice([kind for kind in able if self.used[runtime, kind] == least])])

    def one(self, number: int, runtime: str, way: str) -> bool | None:
        """Whether it ended as it should, None if there was nothing to do.

        What this machine cannot do (its kernel has no netem, say) is refused by the run itself before it starts anything; such an
        example is left out from then on, with the run's own words for it, and another one takes its turn.
        """
        while True:
            example = self.pick(runtime, way)
            if example is None:
                print(f"{number:3} {runtime:6} {way:9} no kind that it could be done to", flush=True)
                return None
            self.used[runtime, example.kind] += 1
            folder = self.scratch / f"trial-{number}-{self.used[runtime, example.kind]}-{example.kind}"
            trial = Trial(way, example, runtime, folder, self.engine if runtime == "docker" else None)
            began_s = time.monotonic()
            carry_out(trial, self.draw)
            if not trial.refused or trial.troubles:
                break
            self.able[runtime][example.kind].remove(example)
            self.left_out[runtime, str(example)] = trial.refused
            if not self.able[runtime][example.kind]:
                del self.able[runtime][example.kind]
        said = "; ".join(trial.troubles) or "ok"
        took_s = time.monotonic() - began_s
        print(
            f"{number:3} {runtime:6} {way:9} {example.kind:11} {trial.instant:40} exit {trial.status!s:4} {took_s:3.0f} s  {said}",
            flush=True,
        )
        if trial.troubles:
            print(f"      {example}", flush=True)
        elif not self.keep:
            shutil.rmtree(trial.folder)
        self.counts[runtime, way, "ok" if not trial.troubles else "wrong"] += 1
        return not trial.troubles

    def summary(self) -> str:
        """A table of ways and runtimes, and the kinds."""
        rows = []
        for way in dict.fromkeys(self.ways):
            row = [way]
            for runtime in self.runtimes:
                good, wrong = self.counts[runtime, way, "ok"], self.counts[runtime, way, "wrong"]
                row.append(f"{good} of {good + wrong}" if good + wrong else "")
            rows.append(row)
        lines = [tabulate(rows, headers=["", *self.runtimes], tablefmt="simple", disable_numparse=True)]
        for runtime in self.runtimes:
            lines.append(f"{runtime}: " + ", ".join(f"{kind} {self.used[runtime, kind]}" for kind in sorted(self.able[runtime])))
        lines += [f"not on {runtime}: {kind}: {why}" for (runtime, kind), why in self.left_out.items()]
        return "\n".join(lines)


def main() -> int:
    """Prints a line for each trial and a table; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", choices=("local", "docker", "both"), default="local")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1, help="of the instants; the runs themselves are as fast as the machine")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--kinds", default="", help="of: those in chaos/core/plugins.py; all that the runtime can do unless told")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all trials, not only of failed ones")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="nines-soak-"))
    with contextlib.ExitStack() as stack:
        engine = None
        if arguments.runtime != "local":
            engine = stack.enter_context(own_engine())
        soak = Soak(arguments, scratch, engine)
        good = done = 0
        for number in range(1, arguments.count + 1):
            runtime = soak.runtimes[number % len(soak.runtimes)]
            way = soak.ways[(number - 1) // len(soak.runtimes) % len(soak.ways)]
            if runtime == "local" and way in DOCKER_ONLY:
                way = "kill"
            ended = soak.one(number, runtime, way)
            if ended is not None:
                good += ended
                done += 1
        print(soak.summary())
    if good == done and not arguments.keep:
        shutil.rmtree(scratch)
    else:
        print(f"the folders are in {scratch}", file=sys.stderr)
    print(f"{good} of {done} ended as they should")
    return 0 if good == done else 1


if __name__ == "__main__":
    raise SystemExit(main())
