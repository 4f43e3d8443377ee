"""A cluster, up for the length of a block, and a run folder that tells so: of a run, of ``nines up``, of a test's fixture.

plan.json, undo.jsonl; history: RunStarted -> starting -> (the block) -> stopping -> RunEnded, with what is left and why it ended
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from chaos.core.clock import Clock
from chaos.core.errors import Interrupted, NinesError, NotHealed
from chaos.core.version import VERSION
from chaos.experiment.target.spec import Target
from chaos.history.events import SCHEMA, PhaseBegun, RunEnded, RunStarted
from chaos.history.folder import RunFolder
from chaos.history.undo import UndoLog
from chaos.plan.plan import Plan
from chaos.plugin import Cluster, Deployment, Runtime, Sink
from chaos.run.signals import Interruption


@contextmanager
def cluster_into(
    folder: RunFolder, plan: Plan, target: Target, runtime: Runtime, clock: Clock, tell: Sink, interruption: Interruption,
    *, aborted: Callable[[], str] = lambda: "", failed: Callable[[NinesError], str] = str,
) -> Iterator[tuple[Cluster, UndoLog]]:  # fmt: skip
    """Bring it up, and take it down at the end; ``tell`` takes each row. Whatever is raised is in the history first, then raised on:
    what keeps it from coming up, ``NotHealed`` for what it left, ``Interrupted`` for a signal while it starts.

    Later signals are noted in ``interruption``. ``aborted``: the condition that ended the run. ``failed``: how an error of ours is told.
    """
    undo = UndoLog(folder.undo)
    tell(
        RunStarted(
            at_ns=clock.now_ns(), schema=SCHEMA, run=folder.run, started_at=datetime.now(UTC).astimezone().isoformat(),
            runtime=runtime.name, versions={"nines": VERSION},
        )
    )  # fmt: skip
    tell(PhaseBegun(at_ns=clock.now_ns(), phase="starting"))
    deployment = Deployment(run=folder.run, folder=folder.path.absolute(), plan=plan, target=target)
    left: list[str] = []
    bug = ""
    try:
        with runtime.up(deployment, tell, clock) as cluster:
            interruption.at_once = False
            yield cluster, undo
            tell(PhaseBegun(at_ns=clock.now_ns(), phase="stopping"))
    except Interrupted:
        raise  # noted in ``interruption``; the runtime has taken down what it had started
    except NotHealed as error:
        left = [str(error)]
        raise
    except NinesError as error:
        bug = failed(error)
        raise
    except BaseException as error:
        bug = f"{type(error).__name__}: {error}"
        raise
    finally:
        left = left or [str(entry) for entry in undo.pending()]
        ended = RunEnded(at_ns=clock.now_ns(), left=left, aborted=aborted(), signal=interruption.signal_number, bug=bug)
        undo.close()
        tell(ended)
