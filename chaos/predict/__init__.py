"""Models: what a cluster, a run, and production should show. They never see a measured outcome, and need none of the rest of Nines.

>>> from chaos import predict as models
>>> cluster = models.ClusterChain(nodes=3, quorum=2, crash_per_s=1 / 7200, restart_per_s=1 / 30, resync_per_s=1 / 20, failover_per_s=1 / 4)
>>> seen = models.long_run(models.solvable(cluster))
>>> f"unavailability {seen.unavailability:.3e}, mean up {seen.mean_up_s:.0f} s, mean down {seen.mean_down_s:.2f} s"
'unavailability 7.087e-04, mean up 7060 s, mean down 5.01 s'
>>> {name: round(value, 3) for name, value in models.elasticities(cluster).items()}
{'crash_per_s': 1.213, 'failover_per_s': -0.798, 'restart_per_s': -0.249, 'resync_per_s': -0.166}
>>> f"{models.client_view(models.solvable(cluster), hidden_s=2.0).visible_share:.2f} of the outages outlast two seconds of retries"
'0.62 of the outages outlast two seconds of retries'

    gth        long-run vector with full relative accuracy     blocks     delay blocks with their true shape
    chain      the cluster as a Markov chain                   client     what clients see of one fault
    measures   mean up, mean down, sensitivities, clients      slots      the outage rule on predicted slots
    classes    fault classes as scenarios                      predicting a plan and its faults -> what the run should show
    production at production rates, and what to improve        finite     windows with random faults (Takacs)
    transient  reliability and availability over a window      rbd        block diagrams for the parts around the cluster
    closed_forms  hot, warm and cold standby                   sparse     chains of many thousand states
    wide       zones, common causes, stages of small spread    explore    any chain, from a rule of where it can go
    maintenance   planned restarts on top of crashes           simulate   any chain by drawing, as a cross-check
    distributions of repairs, and sums of them                 scalability  throughput against nodes, fitted
    sweep      levels of redundancy (or of anything) compared
    article    the articles' formulas, as printed and corrected: import it by name
"""

from __future__ import annotations

from chaos.predict.distributions import Between, Constant, Empirical, Exponential, Gamma, Lognormal, Sum, Weibull
from chaos.predict.markov.chain import ClusterChain, majority, solvable
from chaos.predict.markov.explore import Explored, explore
from chaos.predict.markov.measures import (
    ClientView,
    LongRun,
    client_view,
    elasticities,
    first_failure_s,
    long_run,
    second_order,
    sensitivities,
)
from chaos.predict.markov.solve import birth_death, stationary
from chaos.predict.markov.standby import erlang_b, standby_mttf, standby_survival, standby_unavailability
from chaos.predict.markov.transient import expected_downtime_s, interval_availability, point_availability, reliability, unreliability
from chaos.predict.markov.wide import WideChain, stages_for
from chaos.predict.markov.window import FiniteRun, mean_uptime_s
from chaos.predict.scenarios.delays import (
    DnsWithdrawal,
    HeartbeatDetection,
    RandomisedElection,
    Uniform,
    all_dead,
    follower_loss_s,
    stale_seconds,
)

__all__ = [
    "Between",
    "ClientView",
    "ClusterChain",
    "Constant",
    "DnsWithdrawal",
    "Empirical",
    "Explored",
    "Exponential",
    "FiniteRun",
    "Gamma",
    "HeartbeatDetection",
    "Lognormal",
    "LongRun",
    "RandomisedElection",
    "Sum",
    "Uniform",
    "Weibull",
    "WideChain",
    "all_dead",
    "birth_death",
    "client_view",
    "elasticities",
    "erlang_b",
    "expected_downtime_s",
    "explore",
    "first_failure_s",
    "follower_loss_s",
    "interval_availability",
    "long_run",
    "majority",
    "mean_uptime_s",
    "point_availability",
    "reliability",
    "second_order",
    "sensitivities",
    "solvable",
    "stages_for",
    "stale_seconds",
    "standby_mttf",
    "standby_survival",
    "standby_unavailability",
    "stationary",
    "unreliability",
]
