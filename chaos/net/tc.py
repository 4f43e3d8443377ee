"""Queues in front of links as values: what is wanted in one namespace, as lines for ``tc``, and whether what stands there is just that.

    4e53:   htb         on the interface; what no filter names goes straight on
    4e53:10 class       one a link that is shaped, without a limit of its own
    1010:   netem       in it: late, lost, doubled, damaged, overtaken packets
    2010:   tbf         in that, or in the class: a token bucket, which cuts large packets to the size of real ones

A filter names the peer's address, so nothing else is touched, and the way back to the harness never is. What is wanted on a link is
the union of all layers: delays and shares of different kinds stand beside each other, and of several rates the lowest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from chaos.agent.agent_parts.shaping import ROOT
from chaos.core.errors import CapabilityMissing
from chaos.core.values import Shaping

NETEM: Final = "netem"
TOKENS: Final = "tbf"
KERNEL: Final = {TOKENS: ("htb", "tbf", "u32"), NETEM: ("htb", "netem", "u32")}
"""What of a kernel each of the two needs."""
UNLIMITED: Final = "100gbit"
PACKETS_HELD: Final = 100_000
"""By netem: with its own 1,000, a delay would lose what a fast link has under way."""
SMALLEST_BUCKET: Final = 3028
"""Two full packets: with less, a token bucket passes none."""
BUCKET_S: Final = 0.004
"""A timer may be so late on a busy machine; a bucket that is full before it comes loses the rest."""
QUEUE_S: Final = 0.25
SMALLEST_QUEUE: Final = 32 * 1024
NETEM_HANDLE: Final = 0x1000
TOKENS_HANDLE: Final = 0x2000
FIRST_CLASS: Final = 0x10
NEAR: Final = 0.01
"""``tc`` rounds shares to 32 bits, times to ticks and rates to whole bytes; a difference above so much is another order."""

_SHARES: Final = ("loss", "duplicate", "corrupt", "reorder")


class Leaf(msgspec.Struct, frozen=True, order=True):
    """What happens to packets for one peer, or for several that share a queue. Shares and correlations in [0, 1]."""

    peers: tuple[tuple[int, str], ...]
    """Number and address of each; the first number is that of the class."""
    rate_bytes_per_s: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    delay_correlation: float = 0.0
    distribution: str = ""
    shares: tuple[tuple[str, float, float], ...] = ()
    """(what, share, correlation), in the order of ``tc``."""

    @property
    def number(self) -> int:
        """Of its class."""
        return self.peers[0][0]

    @property
    def doubles(self) -> bool:
        """It duplicates packets; a kernel lets no other netem stand beside such a one (Linux 6.16, and fixes of older ones)."""
        return any(what == "duplicate" for what, _, _ in self.shares)

    @property
    def has_netem(self) -> bool:
        """It takes more than a token bucket."""
        return bool(self.delay_s or self.jitter_s or self.shares)

    @property
    def needs(self) -> frozenset[str]:
        """Of ``NETEM`` and ``TOKENS`` what must be there."""
        return frozenset(([NETEM] if self.has_netem else []) + ([TOKENS] if self.rate_bytes_per_s else []))

    @property
    def form(self) -> tuple[object, ...]:
        """What must be alike for a change in place: netem keeps what a change does not speak of."""
        figures = (self.rate_bytes_per_s, self.delay_s, self.jitter_s, self.delay_correlation)
        return self.peers, self.distribution, tuple(map(bool, figures)), tuple((what, bool(tied)) for what, _, tied in self.shares)


def kernel_needs(rules: Iterable[Shaping]) -> frozenset[str]:
    """What these rules need of the kernel."""
    return frozenset(TOKENS if rule.what == "rate" else NETEM for rule in rules)


def leaves(rules: Iterable[Shaping], addresses: Mapping[str, str]) -> dict[str, frozenset[Leaf]]:
    """For the start of each link the leaves of its namespace. ``CapabilityMissing`` for two of a kind that one queue cannot hold."""
    numbers = {name: FIRST_CLASS + place for place, name in enumerate(sorted(addresses))}
    found: dict[str, dict[str, Leaf]] = {}
    for rule in rules:
        here, there = rule.link.source, rule.link.destination
        leaf = found.setdefault(here, {}).get(there) or Leaf(((numbers[there], addresses[there]),))
        found[here][there] = _with(leaf, rule)
    return {source: _joined(source, some.values()) for source, some in found.items()}


def _joined(source: str, some: Iterable[Leaf]) -> frozenset[Leaf]:
    """Those that duplicate in the same way share one queue, since a second one beside it would be refused."""
    alike: dict[Leaf, list[tuple[int, str]]] = {}
    for leaf in some:
        key = msgspec.structs.replace(leaf, peers=()) if leaf.doubles and not leaf.rate_bytes_per_s else leaf
        alike.setdefault(key, []).extend(leaf.peers)
    found = frozenset(msgspec.structs.replace(leaf, peers=tuple(sorted(peers))) for leaf, peers in alike.items())
    if sum(leaf.has_netem for leaf in found) > 1 and any(leaf.doubles for leaf in found):
        raise CapabilityMissing(
            f"{source}: beside a queue that duplicates packets the kernel lets no other one stand that delays or harms them",
            how="let the faults follow each other",
        )
    return found


def _with(leaf: Leaf, rule: Shaping) -> Leaf:
    if rule.what == "rate":
        rate = min(rule.amount, leaf.rate_bytes_per_s or rule.amount)
        return msgspec.structs.replace(leaf, rate_bytes_per_s=rate)
    if rule.what == "delay" or (rule.what == "reorder" and rule.delay_s):
        delay_s = rule.amount if rule.what == "delay" else rule.delay_s
        if leaf.delay_s or leaf.jitter_s:
            raise _twice(rule)
        leaf = msgspec.structs.replace(leaf, delay_s=delay_s, jitter_s=rule.jitter_s, distribution=rule.distribution)
        if rule.what == "delay":
            return msgspec.structs.replace(leaf, delay_correlation=rule.correlation)
    if any(what == rule.what for what, _, _ in leaf.shares):
        raise _twice(rule)
    shares = sorted([*leaf.shares, (rule.what, rule.amount, rule.correlation)], key=lambda share: _SHARES.index(share[0]))
    return msgspec.structs.replace(leaf, shares=tuple(shares))


def _twice(rule: Shaping) -> CapabilityMissing:
    return CapabilityMissing(
        f"{rule.link}: the one queue of a link cannot hold two faults of the kind '{rule.what}' at a time",
        how="let them follow each other, or make one of both",
    )


# --- to tc -------------------------------------------------------------------------------------------------------------


def commands(device: str, now: frozenset[Leaf], wanted: frozenset[Leaf]) -> list[str]:
    """What leads from the one to the other; links that stay as they are keep what is under way on them."""
    lines = []
    if wanted and not now:
        lines.append(f"qdisc add dev {device} root handle {ROOT} htb default 0")
    before, after = {leaf.number: leaf for leaf in now}, {leaf.number: leaf for leaf in wanted}
    changed = [number for number in sorted({*before, *after}) if before.get(number) != after.get(number)]
    made: list[str] = []
    for number in changed:
        old, new = before.get(number), after.get(number)
        if old is not None and new is not None and old.form == new.form:
            lines += _queues(device, new, "change")
            continue
        if old is not None:
            lines += [f"filter del dev {device} parent {ROOT} protocol ip pref {pref}" for pref, _ in old.peers]
            lines.append(f"class del dev {device} classid {ROOT}{number:x}")
        if new is not None:
            made += _make(device, new)  # after all removals: a peer may come from another class
    lines += made
    if now and not wanted:
        lines.append(f"qdisc del dev {device} root")
    return lines


def _make(device: str, leaf: Leaf) -> list[str]:
    number = f"{leaf.number:x}"
    return [
        f"class add dev {device} parent {ROOT} classid {ROOT}{number} htb rate {UNLIMITED} quantum 60000",
        *_queues(device, leaf, "add"),
        *(
            f"filter add dev {device} parent {ROOT} protocol ip pref {pref} u32 match ip dst {peer}/32 flowid {ROOT}{number}"
            for pref, peer in leaf.peers
        ),
    ]


def _queues(device: str, leaf: Leaf, verb: str) -> list[str]:
    lines, parent = [], f"{ROOT}{leaf.number:x}"
    if leaf.has_netem:
        handle = f"{NETEM_HANDLE + leaf.number:x}:"
        lines.append(f"qdisc {verb} dev {device} parent {parent} handle {handle} netem {' '.join(netem_words(leaf))}")
        parent = f"{handle}1"
    if leaf.rate_bytes_per_s:
        handle = f"{TOKENS_HANDLE + leaf.number:x}:"
        bucket, queue = sizes(leaf.rate_bytes_per_s)
        rate = f"rate {round(leaf.rate_bytes_per_s * 8)}bit burst {bucket} limit {queue}"
        lines.append(f"qdisc {verb} dev {device} parent {parent} handle {handle} tbf {rate}")
    return lines


def netem_words(leaf: Leaf) -> list[str]:
    """As ``tc`` takes them: times in whole microseconds, shares in percent."""
    words = [f"limit {PACKETS_HELD}"]
    if leaf.delay_s or leaf.jitter_s:
        words.append(f"delay {_us(leaf.delay_s)}")
        if leaf.jitter_s:
            words.append(_us(leaf.jitter_s))
            if leaf.delay_correlation:
                words.append(_percent(leaf.delay_correlation))
            if leaf.distribution:
                words.append(f"distribution {leaf.distribution}")
    for what, share, correlation in leaf.shares:
        words.append(f"{'loss random' if what == 'loss' else what} {_percent(share)}")
        if correlation:
            words.append(_percent(correlation))
    return words


def sizes(rate_bytes_per_s: float) -> tuple[int, int]:
    """(bytes of the bucket, bytes of the queue before it) for a rate."""
    bucket = max(SMALLEST_BUCKET, round(rate_bytes_per_s * BUCKET_S))
    return bucket, max(SMALLEST_QUEUE, round(rate_bytes_per_s * QUEUE_S)) + bucket


def _us(seconds: float) -> str:
    return f"{round(seconds * 1e6)}us"


def _percent(share: float) -> str:
    return f"{share * 100:.7g}%"


# --- and back ----------------------------------------------------------------------------------------------------------


def difference(wanted: frozenset[Leaf], seen: Mapping[str, Any]) -> str:
    """How an interface (``tc -j qdisc show``, ``tc -j filter show``) is not as wanted; empty if it is."""
    ours = [each for each in seen["qdisc"] if each.get("root") and each["handle"] == ROOT]
    if not wanted:
        return "our queue is still there" if ours else ""
    if not ours:
        return "our queue is not there"
    queues = {each["handle"]: each for each in seen["qdisc"]}
    filters = {_address(each["options"]): each["options"]["flowid"] for each in seen["filter"] if "flowid" in each.get("options", {})}
    there = {peer: f"{ROOT}{leaf.number:x}" for leaf in wanted for _, peer in leaf.peers}
    if filters != there:
        return f"the filters lead {filters}, ordered was {there}"
    for leaf in wanted:
        wrong = _queue_difference(leaf, queues)
        if wrong:
            return f"{', '.join(peer for _, peer in leaf.peers)}: {wrong}"
    expected = 1 + sum(len(leaf.needs) for leaf in wanted)
    return "" if len(queues) == expected else f"{len(queues)} queues stand there, ordered were {expected}"


def _address(options: Mapping[str, Any]) -> str:
    value = int(options.get("match", {}).get("value", "0"), 16)
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _queue_difference(leaf: Leaf, queues: Mapping[str, Any]) -> str:
    for handle, kind, ordered in _ordered(leaf):
        queue = queues.get(f"{handle:x}:")
        if queue is None or queue["kind"] != kind:
            return f"no {kind} stands there"
        found = _figures(queue["options"])
        for name, value in ordered.items():
            if abs(found.get(name, 0.0) - value) > NEAR * value:
                return f"{kind} has {name} {found.get(name, 0.0):g}, ordered was {value:g}"
        extra = sorted(set(found) - set(ordered))
        if extra:
            return f"{kind} has {', '.join(extra)} that nobody ordered"
    return ""


def _ordered(leaf: Leaf) -> list[tuple[int, str, dict[str, float]]]:
    found: list[tuple[int, str, dict[str, float]]] = []
    if leaf.has_netem:
        figures = {what: share for what, share, _ in leaf.shares}
        figures |= {f"{what}.correlation": correlation for what, _, correlation in leaf.shares if correlation}
        times = {"delay": leaf.delay_s, "jitter": leaf.jitter_s, "delay.correlation": leaf.delay_correlation if leaf.jitter_s else 0.0}
        found.append((NETEM_HANDLE + leaf.number, NETEM, figures | {name: value for name, value in times.items() if value}))
    if leaf.rate_bytes_per_s:
        found.append((TOKENS_HANDLE + leaf.number, TOKENS, {"rate": leaf.rate_bytes_per_s}))
    return found


def _figures(options: Mapping[str, Any]) -> dict[str, float]:
    """What ``tc -j`` says of a queue, by the names that we use; what is 0 is not there."""
    found: dict[str, float] = {"rate": options.get("rate", 0.0)} if not isinstance(options.get("rate"), dict) else {}
    delay = options.get("delay", {})
    found |= {"delay": delay.get("delay", 0.0), "jitter": delay.get("jitter", 0.0), "delay.correlation": delay.get("correlation", 0.0)}
    for what in _SHARES:
        said = options.get("loss-random" if what == "loss" else what, {})
        found |= {what: said.get(what, 0.0), f"{what}.correlation": said.get("correlation", 0.0)}
    return {name: float(value) for name, value in found.items() if value}
