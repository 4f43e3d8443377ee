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

    run          a plan and its faults -> what the run should show        scenarios    one fault: who loses what, for how long
    production   at production rates, and what to improve                 markov       the cluster as a chain: its long run, its windows
    sweep        levels of redundancy (or of anything) compared           rbd          block diagrams for the parts around the cluster
    scalability  throughput against nodes, fitted                         formulas     the articles' formulas, as printed and corrected
"""

from __future__ import annotations

from chaos.predict.markov.chain import ClusterChain, solvable
from chaos.predict.markov.measures import client_view, elasticities, first_failure_s, long_run
from chaos.predict.markov.transient import reliability
from chaos.predict.markov.wide import WideChain, stages_for

__all__ = [
    "ClusterChain",
    "WideChain",
    "client_view",
    "elasticities",
    "first_failure_s",
    "long_run",
    "reliability",
    "solvable",
    "stages_for",
]
