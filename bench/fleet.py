"""Simulated fleets: state changes a second of processor time beside SimPy and ciw, ten thousand nodes for ten years, honest intervals.

    python -m bench.fleet [--json] [--quick]

To reach: 30 million state changes a second and core; 40 times SimPy; 10,000 nodes for 10 years, 100 times, in minutes; 95 % intervals that
hold the exact chain's figure in 92 to 98 of 100. All loops play the same cluster: five nodes that crash each two hours and are repaired
within 30 s (lognormal, cv 1.5), each crash and each repair one change; ciw plays a queue, each arrival and departure one change. SimPy and
ciw are installed into build/peers, apart: ciw brings a package named ``tests``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.servers import runs as table
from chaos.experiment.fleet import Fleet, load_fleet, parse_fleet
from chaos.predict.fleet import replicate
from chaos.predict.fleet.estimates import simulated
from chaos.predict.markov.chain import ClusterChain, solvable
from chaos.predict.markov.measures import long_run

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "build" / "peers"
FIVE = """\
fleet: five
regions: {east: [a]}
services: {five: {nodes: 5, in: east, crash: 1 per 2h per node, repair: {lognormal: 30s, cv: 1.5}}}
years: YEARS
"""
THREE = """\
fleet: three
regions: {east: [a, b, c]}
services:
  three: {nodes: 3, in: east, crash: 1 per 2h per node, repair: {exponential: 30s}, resync: {exponential: 20s}, takeover: {exponential: 4s}}
years: 0.2
replications: 20
seed: SEED
"""
SIMPY = """
import math, random, time, simpy
count = 0
def node(env, rng, mu, sigma):
    global count
    while True:
        yield env.timeout(rng.expovariate(1 / 7200))
        count += 1
        yield env.timeout(rng.lognormvariate(mu, sigma))
        count += 1
rng, sigma = random.Random(1), math.sqrt(math.log(1 + 1.5**2))
env = simpy.Environment()
for _ in range(5):
    env.process(node(env, rng, math.log(30) - sigma**2 / 2, sigma))
began = time.process_time()
env.run(until=3e8)
print(count / (time.process_time() - began))
"""
CIW = """
import time, ciw
arrivals, services = [ciw.dists.Exponential(0.9)], [ciw.dists.Exponential(1.0)]
made = ciw.create_network(arrival_distributions=arrivals, service_distributions=services, number_of_servers=[1])
ciw.seed(1)
sim = ciw.Simulation(made)
began = time.process_time()
sim.simulate_until_max_time(20000)
print(2 * len(sim.get_all_records()) / (time.process_time() - began))
"""


def ours_per_s(fleet: Fleet, python: bool, times: int) -> float:
    """The best of some: what else the machine does can only slow it down."""
    best = 0.0
    for number in range(times):
        began_s = time.process_time()
        found = replicate.lives(fleet, [number], python=python)
        best = max(best, found[0].changes / (time.process_time() - began_s))
    return best


def peer_per_s(text: str, times: int) -> float | None:
    """The same of a library in a process of its own; None where it cannot be installed."""
    if not (PEERS / "simpy").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(PEERS), "simpy", "ciw"]
        subprocess.run(command, check=False, capture_output=True)
    found = []
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(PEERS)}
        )
        found += [float(done.stdout)] if done.returncode == 0 else []
    return max(found, default=None)


def speed(quick: bool) -> list[table.Row]:
    """State changes a second of processor time."""
    times = 3 if quick else 7
    fast = ours_per_s(parse_fleet(FIVE.replace("YEARS", "200"), "five.yaml"), python=False, times=times)
    slow = ours_per_s(parse_fleet(FIVE.replace("YEARS", "1"), "five.yaml"), python=True, times=times)
    simpy, ciw = peer_per_s(SIMPY, times), peer_per_s(CIW, times)
    peers = {"SimPy": simpy, "ciw": ciw}
    beside = ", ".join(f"{name} {rate / 1e6:.2f} M" if rate else f"{name}: not installed" for name, rate in peers.items())
    rows = [
        table.Row(f"state changes a second and core, best of {times}", "30 M", f"{fast / 1e6:.1f} M", beside, fast >= 30e6),
        table.Row("the same by Python's own loop", "", f"{slow / 1e6:.2f} M", "", True),
    ]
    if simpy is not None:
        rows.append(table.Row("the same over SimPy's", "40", f"{fast / simpy:.0f}", "", fast >= 40 * simpy))
    return rows


def large(quick: bool) -> list[table.Row]:
    """The fleet of experiments/fleets/shop.yaml, on all cores."""
    fleet = load_fleet(ROOT / "experiments" / "fleets" / "shop.yaml")
    fleet = msgspec.structs.replace(fleet, replications=10 if quick else 100)
    began_s = time.monotonic()
    with replicate.processes(os.cpu_count() or 1) as (pool, workers):
        found = simulated(fleet, replicate.all_lives(fleet, pool, workers))
    took_s = time.monotonic() - began_s
    what = f"{fleet.nodes:,} nodes, 10 years, {fleet.replications} times"
    told = f"{found.changes / 1e6:.0f} M changes, {workers} cores"
    return [table.Row(what, "300 s", f"{took_s:.0f} s", told, took_s <= 300)]


def intervals(quick: bool) -> list[table.Row]:
    """How often the 95 % interval holds the exact chain's unavailability."""
    truth = long_run(solvable(ClusterChain(3, 2, 1 / 7200, 1 / 30, 1 / 20, 1 / 4))).unavailability
    times = 200 if quick else 1000
    inside = 0
    for seed in range(times):
        fleet = parse_fleet(THREE.replace("SEED", str(seed)), "three.yaml")
        figure = simulated(fleet, replicate.lives(fleet, range(fleet.replications))).services["three"].unavailability
        assert figure.low is not None
        assert figure.high is not None
        inside += figure.low <= truth <= figure.high
    share = inside / times
    return [table.Row(f"95 % intervals that hold the exact figure, of {times}", "92 to 98 %", f"{share:.1%}", "", 0.92 <= share <= 0.98)]


def main(argv: list[str] | None = None) -> int:
    """Print the rows."""
    chosen = table.arguments(str(__doc__), argv)
    if why := replicate.why_slow():
        print(f"the compiled loop is not available: {why}", file=sys.stderr)
    rows = [table.machine(), *speed(chosen.quick), *large(chosen.quick), *intervals(chosen.quick)]
    return table.show(rows, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
