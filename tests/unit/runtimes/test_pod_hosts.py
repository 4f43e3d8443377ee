"""Machines of a cluster as the harness has them: what it asks of the side that it came from, and what it does where nobody answers."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chaos.core.clock import ManualClock
from chaos.core.errors import FaultNotEffective, NotHealed
from chaos.plugin import COMMAND_GONE
from chaos.runtimes.kubernetes.guests import PodGuests
from chaos.runtimes.kubernetes.hosts import NOBODY, PodHosts


class Guests:
    """Notes what it is told; ``alive``: who stands on the machine still answers; ``back``: they come back after its power."""

    def __init__(self, *, alive: bool = False, back: bool = True) -> None:
        self.told: list[str] = []
        self.alive = alive
        self.back = back

    def expect(self, host: str) -> None:
        self.told.append(f"expect {host}")

    def went_dark(self, host: str, at_ns: int) -> None:
        self.told.append(f"dark {host} {at_ns}")

    def stays(self, host: str) -> bool:
        del host
        return self.alive

    def await_back(self, host: str) -> None:
        self.told.append(f"await {host}")
        if not self.back:
            raise NotHealed("no guest stood again")


class Home:
    """The command's side."""

    def __init__(self, **answers: str) -> None:
        self.asked: list[str] = []
        self.answers = answers

    def __call__(self, what: str, host: str) -> str:
        self.asked.append(f"{what} {host}")
        return self.answers.get(what, "")


def made(home: Home | None, guests: Guests) -> PodHosts:
    return PodHosts(home, cast("PodGuests", guests), cast("Any", ManualClock()))


def test_off_and_on() -> None:
    home, guests = Home(), Guests()
    hosts = made(home, guests)
    hosts.switch_on("b")  # it is on
    hosts.switch_off("b")
    hosts.went_dark("b", 7)
    hosts.switch_on("b")
    assert home.asked == ["power_off b", "power_on b"]
    assert guests.told == ["expect b", "dark b 7", "await b"]
    assert hosts.all_back() == []
    assert len(home.asked) == 2


def test_a_machine_that_never_went_is_not_switched_on() -> None:
    """Another command would meet what it does not expect."""
    home, guests = Home(power_off="it failed"), Guests(alive=True)
    hosts = made(home, guests)
    with pytest.raises(FaultNotEffective, match="it failed"):
        hosts.switch_off("b")
    hosts.switch_on("b")
    assert home.asked == ["power_off b", "stays_on b"]


def test_where_the_command_is_gone_the_machine_is_awaited_all_the_same() -> None:
    """Somebody else switches it on."""
    home, guests = Home(power_on=COMMAND_GONE), Guests()
    hosts = made(home, guests)
    hosts.switch_off("b")
    hosts.went_dark("b", 7)
    hosts.switch_on("b")
    assert guests.told[-1] == "await b"


def test_a_machine_that_does_not_come_back_is_not_healed_and_says_both() -> None:
    home = Home(power_on="the command that switches host 'b' on failed")
    hosts = made(home, Guests(back=False))
    hosts.switch_off("b")
    hosts.went_dark("b", 7)
    (problem,) = hosts.all_back()
    assert problem == "the command that switches host 'b' on failed; no guest stood again"


def test_what_is_closed_at_the_end_is_opened() -> None:
    home = Home()
    hosts = made(home, Guests())
    assert hosts.cordon("b") == ManualClock().now_ns()
    assert hosts.all_back() == []
    assert home.asked == ["cordon b", "uncordon b"]
    hosts.uncordon("b")
    assert len(home.asked) == 2


def test_who_has_not_travelled_has_nobody_to_ask() -> None:
    hosts = made(None, Guests())
    with pytest.raises(FaultNotEffective, match=NOBODY):
        hosts.cordon("b")
