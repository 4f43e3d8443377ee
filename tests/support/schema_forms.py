"""Every form that an experiment or a target may be written in, and what may be made of one by a slip of the pen."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from hypothesis import strategies as st

from chaos.experiment.document import parse_experiment
from chaos.experiment.fleet import parse_fleet
from chaos.experiment.source import Listing, Scalar, Table, Value, parse
from chaos.experiment.target.load import parse_target
from tests.support.samples import EXPERIMENT, TARGET

Steps = tuple[str | int, ...]
"""The way to a value from the top."""
Tree = Any
"""A document as an editor sees it: tables, lists, texts, numbers."""

_WHOLE: Final = yaml.safe_load(EXPERIMENT.replace("FAULTS", "  - {name: one, kill: {}, target: leader, at: 5s, for: 2s}"))
_WITH: Final = """\
cluster:
  {target: sample, nodes: 3, settings: {cache: 3}, zones: {a: [n1, n2]}, runtime: local, resources: {cpus: 0.5, memory: 64MB}}
---
cluster: {target: sample, parts: {data: 3}, dns: {balancer: engine, order: [a], weights: {a: 2}, check: {what: ready, fall: 3},
  external: {name: www.t.test, part: data}}}
---
cluster:
  target: sample
  hosts: {a: unix:///var/run/docker.sock, b: {engine: ssh://b, address: 10.0.0.2, power_off: "off b", power_on: "on b"}, c: colima}
faults: [{kill: {}, target: {host: b}, at: 5s, for: 2s}]
---
cluster: {attach: {label: app=web, name: web, ready: {http: "http://{address}:80/", status: 200}}, nodes: 3}
---
cluster: {attach: {compose: shop, services: [web, db], network: front, ports: [7001]}}
---
cluster:
  nodes: 3
  attach:
    kubernetes:
      {namespace: shop, selector: app=store, service: store, container: store, context: staging, hosts: {w: {power_off: x, power_on: y}}}
---
cluster:
  target: sample
  runtime: kubernetes
  kubernetes: {namespace: trials, context: staging, kubeconfig: a/config, image: "r.test/nines:1", images: {data: "r.test/store:1"}}
---
traffic:
  operations: {write: 100/s, read: {rate: 20/s}, home: {http: "http://web:80/", rate: 2/m, does: read}}
  client: {timeout: 250ms, attempts: 1, other_address: false, deadline: 1s, resolve: once}
  outage: {open: 1, close: 3, merge: 100ms}
  judge: write
---
traffic: {operations: {write: {rate: {first: 50/s, then: [{at: 20s, to: 100/s, over: 1s}, {at: 40s, to: 200/s}]}}}}
---
traffic:
  operations: {write: 100/s}
  client:
    timeout: 100ms
    attempts: 3
    backoff: {first: 20ms, factor: 3, most: 1s, jitter: equal}
    retry_budget: {ratio: 10%, burst: 5}
    pool: {size: 4, lifetime: 1m30s, tcp_user_timeout: 5s}
    endpoints: {nodes: [n1, n2], order: random}
---
traffic:
  operations: {write: 100/s}
  client: {timeout: none, attempts: 2, backoff: 20ms, retry_budget: 10%, endpoints: all, redirects: 2}
---
settle: {for: 30s, until: {http: "http://{address}:{client}/x", status: 200, json: "a=b", every: 1s, timeout: 2s}}
---
settle: {until: {command: "true"}}
---
settle: {until: {service: ok}}
---
limits: {nodes_down: 2, protect: [n1]}
seed: 3
duration: 5m
slo: {availability: 99.9%, window: 7d, latency: 100ms}
expect_verdict: fail
---
predict:
  production: {kill: 1 per 45d per node, pause: 0 in 365d per cluster, zone: 1 per 365d per zone, planned: 2 per 30d per node}
  parameters: {restart: 1s, election_timeout: [150ms, 300ms], replication: none, misses: 2, coverage: 99%}
  margin: 2
  calibration: measured.yaml
  around: {parts: {dns: 99.9%, lb1: {fails: 1 per 90d, for: 30s}, lb2: 99%, t: 99%, u: 99%},
           needs: [{bridge: [dns, lb1, lb2, t, u]}, cluster, {any: [lb1, {all: [lb2]}]}, {of: 1, among: [dns, t]}]}
---
objectives: {availability: ">= 95%", mttr: {is: "<= 2s", basis: claim}, mtbf: "> 1h", agreement: consistent}
---
objectives:
  {outage: {is: "== 0s"}, mtbf: {is: "> 1h", basis: run}, availability: {is: ">= 95%", basis: claim}, agreement: {is: consistent},
   success_ratio: {is: "> 1%"}}
---
data:
---
data: {keys: 10, sessions: 2, rate: 50/s, mix: {write: 30%, read: 70%}, once: 10%, checks: [lost_writes, linearizable], settle: 5s,
       check_within: 30s}
objectives: {lost_writes: "<= 3", linearizable: true}
---
data: {}
objectives: {lost_writes: 0, stale_reads: "< 5"}
---
abort_if: {unavailable_for: 30s, error_ratio: 90%, command: ./healthy}
---
abort_if: {command: {run: ./healthy, every: 2s, timeout: 1s}}
---
baseline: {for: 4s, errors: 0.5%}
---
faults:
  - {kill: {signal: TERM, recovery: none}, target: {any: 2, part: data}, at: [1s, 20s], overlap: true, expect: {recovery: "<= 1s"}}
  - {pause: , target: [n1, n2], every: 15s, exact: true, times: 2, for: 3s, expect: {outage: {is: "< 2s", basis: run}}}
  - {down: , target: {link: "leader <-> any"}, every: {poisson: 15s}, for: 1s}
  - {restart: {}, target: {percent: 40%, role: followers}, every: {renewal: {distribution: weibull, mean: 10s, shape: 2}}, for: 1s}
  - {stop: {}, target: {role: leader, zone: a}, at: 1s, when: {fault: one, is: gone}, within: 5s, otherwise: abort}
  - {stop: {}, target: {zone: a}, at: 1s, when: {role: leader, changes: true}, within: 5s}
  - {stop: {}, target: {same: kill-1}, at: 1s, when: {service: write, is: down}, within: 5s}
  - {stop: {}, target: {followers: 1}, at: 1s, when: {node: n1, is: up}, within: 5s}
  - {partition: {groups: [[n1], [n2, clients]]}, at: 1s}
---
faults:
  - name: all
    sequence:
      - {kill: {}, target: {leader: 1}, for: 2s}
      - parallel: [{pause: {}, target: n1, for: 2s}, {pause: {}, target: n2, for: 2s, expect: {recovery: "< 1s"}}]
      - {sequence: [{pause: {}, target: n1, for: 2s}, {pause: {}, target: n2, for: 2s}], gap: 1s}
    gap: 500ms
    at: 5s
    when: {service: write, is: up}
    within: 5s
  - {parallel: [{kill: {}, target: n1}, {kill: {}, target: n2}], every: 5s, times: 2, overlap: false}
---
faults:
  - {latency: {latency: 50ms, jitter: 5ms, distribution: normal}, at: 1s}
  - {loss: {percent: 5%, include: [clients]}, at: 2s}
  - {bandwidth: {rate: 100KB/s}, at: 3s}
  - {limit_data: {bytes: 10KB}, at: 4s}
  - {clock: {offset: -3s}, at: 5s}
"""
_TARGET_WITH: Final = """\
about: A sample
init: [{node: n1, command: [a, b]}]
marks: {ask: {http: "http://{address}:{client}/status"}, values: {elected: a.b}}
detectors: {ask: {http: "http://{address}:{client}/status"}, suspects: {phi: "peers.{other}.suspected"}}
membership:
  leave: {http: "http://{address}:{client}/members?remove={other}", body: ""}
  join: {http: "http://{address}:{client}/members?add={other}", body: ""}
  listed: {http: "http://{address}:{client}/status", json: "members.{other}"}
clock: {http: "http://{address}:{client}/status", json: now}
read_node: {driver: ["{python}", "{client}"], value: [a, b], key: {A: b}}
pid1: false
---
parts:
  data:
    ports: {client: 7000, peer: 7001}
    data: [/data]
    docker: {image: "sample:1", command: [serve]}
    local: {command: [serve], requires: {command: serve, how: install it}}
    env: {A: b}
    files: {a.conf: "x = {client}"}
    ready: {tcp: "{address}:{client}", send: "PING", expect: PONG}
    ping: {peer: {tcp: "{address}:{peer}"}}
    client_port: client
"""


def experiments() -> list[Tree]:
    """One document for each group of forms."""
    return [_WHOLE, *({**_WHOLE, **more} for more in yaml.safe_load_all(_WITH))]


def targets() -> list[Tree]:
    """The same for targets; a setting in the model would carry a slip to where the schema cannot follow."""
    sample = yaml.safe_load(TARGET.replace('"{heartbeat}"', "100ms"))
    return [sample, *({**sample, **more} for more in yaml.safe_load_all(_TARGET_WITH))]


def load(kind: str, tree: Tree) -> object:
    """What the loader makes of it; ``BadInput`` if it refuses. As JSON, which is YAML, all of it stands in one line."""
    text = json.dumps(tree)
    if kind == "fleet":
        return parse_fleet(text, "fleet.yaml")
    return parse_experiment(text, "x.yaml") if kind == "experiment" else parse_target(text, "target.yaml", Path())


def as_seen(text: str) -> Tree:
    """A file as an editor sees it that knows nothing of our units."""
    return _plain(parse(text, "x.yaml"))


def _plain(value: Value) -> Tree:
    match value:
        case Table():
            return {key: _plain(inner) for key, inner in value.entries.items()}
        case Listing():
            return [_plain(inner) for inner in value.items]
        case Scalar(kind="text"):
            return value.text
    return _plain_scalar(value.text)


_plain_scalar = functools.cache(yaml.safe_load)


# --- slips of the pen --------------------------------------------------------------------------------------------------

UNKNOWN: Final = "zzqq"
"""Like no key that there is."""
_INSTEAD: Final[list[Tree]] = [None, 17, 0, -1, 1.5, True, "zz zz", "", "5s", "-5s", "5%", "5", [], {}, ["zz"], [[]], {UNKNOWN: 1}]


def places(tree: Tree, path: Steps = ()) -> Iterator[tuple[Steps, Tree]]:
    """Every value with its place, the whole first."""
    yield path, tree
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


@st.composite
def slips(draw: st.DrawFn, tree: Tree) -> Tree:
    """The document with one thing wrong with it, or another."""
    path, value = draw(st.sampled_from(list(places(tree))))
    if isinstance(value, dict) and draw(st.booleans()):
        key = draw(st.sampled_from([UNKNOWN, *_ELSEWHERE]))
        return put(tree, (*path, key), _ELSEWHERE.get(key, 1))
    if not path or not draw(st.integers(0, 5)):
        return without(tree, path) if path else tree
    return put(tree, path, draw(st.sampled_from(_INSTEAD)))


_ELSEWHERE: Final[dict[str, Tree]] = {
    "pause": {}, "at": "5s", "every": "5s", "for": "5s", "target": "n1", "any": 1, "zone": "a", "gap": "1s", "within": "1s", "exact": True,
    "times": 2, "parallel": [], "is": "up", "role": "leader", "label": "a", "services": ["web"], "http": "http://a/", "rate": "1/s",
}  # fmt: skip
"""Keys that are right in another place."""


def put(tree: Tree, path: Steps, value: Tree) -> Tree:
    """A copy with that value there."""
    if not path:
        return value
    made = copy.copy(tree)
    step: Any = path[0]
    made[step] = put(tree[step], path[1:], value) if len(path) > 1 else value
    return made


def without(tree: Tree, path: Steps) -> Tree:
    """A copy in which nothing stands there."""
    made = copy.copy(tree)
    step: Any = path[0]
    if len(path) > 1:
        made[step] = without(tree[step], path[1:])
    else:
        del made[step]
    return made
