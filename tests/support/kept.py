"""Runs as a history keeps them, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.evidence.rows import KeptRun, KeptTrial


def kept(
    number: int,
    outages_s: Sequence[float] = (0.8, 0.9, 0.7, 0.8, 0.8),
    *,
    version: str = "v1",
    configuration: str = "c0ffee",
    experiment: str = "quick",
    state: str = "pass",
    fault_class: str = "kill/leader",
) -> tuple[KeptRun, list[KeptTrial]]:
    """The run of that number with a fault every 10 s; later numbers are later runs."""
    name = f"run-{number}"
    noticed = [each for each in outages_s if each > 0]
    run = KeptRun(
        run=name, experiment=experiment, configuration=configuration, version=version, target="replicated_kv", runtime="local", seed=1,
        started_at="2026-11-01T10:00:00+00:00", started_s=1.7e9 + 60 * number, folder=f"/nowhere/{name}", state=state, exit_code=0,
        duration_s=60.0, faults=len(outages_s), availability=0.92, mttr_s=sum(noticed) / len(noticed) if noticed else None, mttr_low_s=0.5,
        mttr_high_s=1.2, latency_p50_s=0.004, latency_p99_s=0.02, simulated=False, recorded_s=1.7e9 + 60 * number + 60,
    )  # fmt: skip
    trials = [
        KeptTrial(name, place, fault_class, 10.0 * place, each, each, False, 10.0, each, 0.004, 0.02 + 1e-4 * (place % 3))
        for place, each in enumerate(outages_s)
    ]
    return run, trials
