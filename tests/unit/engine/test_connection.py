"""Finding an engine, reading what it says, subnets, what failures mean: all that needs no engine."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import msgspec
import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from chaos.cli.doctor import OPTIONAL
from chaos.cli.doctor_engine import _labels
from chaos.core.errors import EnvironmentUnusable
from chaos.engine import connection as engine
from chaos.engine.address import DEFAULT_HOST, host
from chaos.engine.connection import Facts, answers, connect, facts_of, require
from chaos.engine.errors import meaning, translated, unreachable, unusable
from chaos.engine.limits import require_limits
from chaos.engine.networks import POOL, free_subnet, parse_ip_route, parse_proc_route, pools
from chaos.engine.packet_rules import message
from chaos.experiment.cluster import Resources

FACTS = Facts(
    name="here", id="x", host=DEFAULT_HOST, version="24.0", api="1.43", system="Debian", architecture="x86_64", storage="overlay2",
    cgroup="2", security=(), data_root="", local=True, rootless=False,
)  # fmt: skip


# --- where it is -------------------------------------------------------------------------------------------------------


def _context(home: Path, name: str, where: str) -> None:
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": where}}}), encoding="utf-8")


def test_docker_host_comes_before_any_context(tmp_path: Path) -> None:
    """As the docker command has it."""
    _context(tmp_path, "lab", "unix:///lab.sock")
    env = {"HOME": str(tmp_path), "DOCKER_HOST": "unix:///named.sock", "DOCKER_CONTEXT": "lab"}
    assert host(env) == "unix:///named.sock"


def test_the_current_context_is_followed(tmp_path: Path) -> None:
    """``docker context use`` writes it into config.json; DOCKER_CONTEXT comes before it, and 'default' means none."""
    _context(tmp_path, "lab", "unix:///lab.sock")
    _context(tmp_path, "other", "unix:///other.sock")
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "lab"}', encoding="utf-8")
    assert host({"HOME": str(tmp_path)}) == "unix:///lab.sock"
    assert host({"HOME": str(tmp_path), "DOCKER_CONTEXT": "other"}) == "unix:///other.sock"
    assert host({"HOME": str(tmp_path), "DOCKER_CONTEXT": "default"}) == DEFAULT_HOST


def test_without_settings_the_usual_socket_is_meant(tmp_path: Path) -> None:
    """No file at all, and one that is not JSON, which the docker command also passes over."""
    assert host({"HOME": str(tmp_path)}) == DEFAULT_HOST
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("{", encoding="utf-8")
    assert host({"HOME": str(tmp_path)}) == DEFAULT_HOST


def test_a_context_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """Falling back to another engine would break somebody else's containers."""
    with pytest.raises(EnvironmentUnusable, match="context 'gone'"):
        host({"HOME": str(tmp_path), "DOCKER_CONTEXT": "gone"})


# --- whether it answers ------------------------------------------------------------------------------------------------


@contextmanager
def _listener(folder: Path, reply: bytes) -> Iterator[str]:
    """A socket that answers one request with these bytes."""
    path = folder / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"unix://{path}"
        thread.join(5)


def test_an_engine_that_answers_its_ping_is_there(tmp_path: Path) -> None:
    """One raw request decides."""
    with _listener(tmp_path, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK") as where:
        assert answers({"DOCKER_HOST": where})


@pytest.mark.parametrize("reply", [b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", b"nonsense\r\n\r\n", b""])
def test_an_answer_that_is_none_counts_as_absent(tmp_path: Path, reply: bytes) -> None:
    """No exception, whatever listens there."""
    with _listener(tmp_path, reply) as where:
        assert not answers({"DOCKER_HOST": where})


@pytest.mark.parametrize(
    "where", ["unix:///does/not/exist", "ssh://somebody@somewhere", "npipe:////./pipe/x", "tcp://127.0.0.1:1", "rubbish"]
)
def test_no_engine_is_no_exception(where: str) -> None:
    """For ``auto`` an absent engine is an answer, not an error."""
    assert not answers({"DOCKER_HOST": where})


def test_a_socket_that_nobody_serves_says_that_the_engine_does_not_run(tmp_path: Path) -> None:
    """What a stopped engine leaves behind."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
    with pytest.raises(EnvironmentUnusable, match="does not run") as raised:
        connect(f"unix://{path}")
    assert raised.value.exit_code == 5


def test_a_missing_socket_says_how_to_get_an_engine() -> None:
    """What, and how."""
    with pytest.raises(EnvironmentUnusable, match="there is no Docker engine") as raised:
        connect("unix:///does/not/exist")
    assert "docker.io" in raised.value.how
    assert "--runtime local" in raised.value.how


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(111, "refused"), TimeoutError(), socket.gaierror(-2, "Name or service not known")]
)
def test_an_engine_of_a_network_is_not_to_be_installed_here(error: OSError) -> None:
    """The address, or the engine there, is to be looked at."""
    how = unreachable("tcp://lab:2375", error, 1.0).how
    assert "docker -H tcp://lab:2375 version" in how
    assert "sudo" not in how


def test_no_permission_names_the_owner_and_the_way_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The commonest first error of all; tests run as root, so the refusal itself is played."""
    path = tmp_path / "docker.sock"
    path.touch()
    path.chmod(0o660)
    monkeypatch.setattr(grp, "getgrgid", lambda _: grp.struct_group(("docker", "x", 7, [])))

    def refuse(where: str, timeout_s: float) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(engine, "_ping", refuse)
    with pytest.raises(EnvironmentUnusable, match=r"no permission .* belongs to .*:docker, mode 660") as raised:
        connect(f"unix://{path}")
    assert raised.value.how.startswith("sudo usermod -aG docker ")
    user = pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(grp, "getgrgid", lambda _: grp.struct_group(("docker", "x", 7, [user])))
    with pytest.raises(EnvironmentUnusable) as raised:
        connect(f"unix://{path}")
    assert "log in again" in raised.value.how


@pytest.mark.parametrize("where", ["ssh://me@lab", "tcp://10.0.0.7:2375", "tcp://lab.example:2376"])
def test_engines_elsewhere_are_refused_with_the_reason(where: str) -> None:
    """Neither addresses nor folders of containers would be within reach."""
    with pytest.raises(EnvironmentUnusable, match="not on this machine") as raised:
        connect(where)
    assert "own machine" in raised.value.how


# --- whether it will do ------------------------------------------------------------------------------------------------


def test_a_fit_engine_is_let_through() -> None:
    """The smallest version that will do, and a newer one."""
    require(FACTS)
    require(msgspec.structs.replace(FACTS, api="1.41"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"api": "1.40"}, "too old"),
        ({"api": "1.9"}, "too old"),
        ({"rootless": True}, "rootless"),
        ({"local": False, "name": "docker-desktop"}, "'docker-desktop'"),
    ],
)
def test_an_unfit_engine_is_refused(change: dict[str, str | bool], words: str) -> None:
    """Each with its own sentence and a way out."""
    with pytest.raises(EnvironmentUnusable, match=words) as raised:
        require(msgspec.structs.replace(FACTS, **change))
    assert "--runtime local" in raised.value.how or "Docker 20.10" in raised.value.how


def test_a_full_disk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before images are half written."""
    monkeypatch.setattr(engine, "DISK_WANTED_BYTES", 1 << 62)
    with pytest.raises(EnvironmentUnusable, match="MB left") as raised:
        require(msgspec.structs.replace(FACTS, data_root=str(tmp_path / "not" / "there")))
    assert "prune" in raised.value.how


def test_facts_are_read_from_an_old_engine() -> None:
    """One that does not speak of its cgroups yet, with security options of its own."""
    info = {"Name": "vm", "Driver": "overlay2", "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"], "KernelVersion": "0"}
    facts = facts_of(info, {"Version": "20.10.24"}, DEFAULT_HOST, "1.41")
    assert (facts.cgroup, facts.rootless, facts.local, facts.version) == ("1", True, False, "20.10.24")
    assert "20.10.24" in str(facts)


def test_limits_without_cgroups_are_refused_by_name() -> None:
    """By the engine's own flags; an engine that does not say so has them. A disk needs none: it is kept in memory."""
    info = {"CpuCfsQuota": False, "MemoryLimit": True, "CgroupVersion": "2", "CgroupDriver": "cgroupfs"}
    facts = facts_of(info, {}, DEFAULT_HOST, "1.55")
    assert facts.unlimited == ("cpus",)
    assert facts_of({}, {}, DEFAULT_HOST, "1.41").unlimited == ()
    require_limits(facts, Resources(memory_bytes=1 << 30, disk_bytes=1 << 20))
    with pytest.raises(EnvironmentUnusable, match="cannot limit cpus: cgroup v2 of its kernel has no controllers"):
        require_limits(facts, Resources(cpus=0.5))
    rootless = msgspec.structs.replace(facts, rootless=True, cgroup="1", cgroup_driver="none", unlimited=("cpus", "memory"))
    with pytest.raises(EnvironmentUnusable, match="cannot limit cpus and memory: it is rootless"):
        require_limits(rootless, Resources(cpus=0.5, memory_bytes=1 << 30))


def test_podman_of_an_ordinary_user() -> None:
    """It says so by a word of its own, and claims limits that it cannot set; containers' ``host`` is not where its networks are."""
    info = {"Rootless": True, "SecurityOptions": ["name=seccomp"], "MemoryLimit": True, "CpuCfsQuota": True, "CgroupDriver": "cgroupfs"}
    version = {"Version": "4.3.1", "Components": [{"Name": "Podman Engine"}]}
    facts = facts_of(info | {"CgroupVersion": "1"}, version, DEFAULT_HOST, "1.41")
    assert (facts.product, facts.rootless, facts.hides_networks, facts.has_cgroups) == ("Podman", True, True, False)
    assert facts.unlimited == ("cpus", "memory")
    assert "rootless" in facts.elsewhere
    assert facts.log == "journalctl --user -u podman"
    delegated = facts_of(info | {"CgroupVersion": "2"}, version, DEFAULT_HOST, "1.41")
    assert (delegated.has_cgroups, delegated.unlimited) == (True, ())
    assert not facts_of(info | {"Rootless": False}, version, DEFAULT_HOST, "1.41").hides_networks


def test_the_doctor_names_selinux() -> None:
    """What is done about its labels; without SELinux nothing is said."""
    assert _labels(FACTS) == []
    (found,) = _labels(msgspec.structs.replace(FACTS, security=("name=seccomp,profile=default", "name=selinux")))
    assert found.state == OPTIONAL
    assert "label=disable" in found.detail
    assert "not tried" in found.detail


# --- subnets -----------------------------------------------------------------------------------------------------------

PROC_ROUTE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000012C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_routes_are_read() -> None:
    """The kernel's table and that of ``ip``, which also has VPNs' tables and routes that lead nowhere."""
    assert parse_proc_route(PROC_ROUTE) == [IPv4Network("0.0.0.0/0"), IPv4Network("198.18.0.0/24")]
    said = json.dumps([{"dst": "default"}, {"dst": "10.8.0.0/16", "table": "51820"}, {"type": "local", "dst": "10.8.0.2"}])
    assert parse_ip_route(said) == [IPv4Network("10.8.0.0/16"), IPv4Network("10.8.0.2/32")]
    assert parse_ip_route("") == []


@given(st.lists(st.tuples(st.integers(0, 511), st.integers(22, 32)), max_size=40), st.integers(0, 2**32))
def test_a_subnet_is_free_and_from_the_range(taken: list[tuple[int, int]], seed: int) -> None:
    """Whatever is taken, as long as something is free."""
    busy = [IPv4Network((int(POOL[0].network_address) + (index << 8), prefix), strict=False) for index, prefix in taken]
    found = free_subnet(POOL, busy, random.Random(seed))
    assert found.prefixlen == 24
    assert found.subnet_of(POOL[0])
    assert not any(found.overlaps(each) for each in busy)


def test_the_last_free_subnet_is_found_and_then_there_is_none() -> None:
    """All of a small range, one after the other."""
    ranges = (IPv4Network("10.200.0.0/23"), IPv4Network("10.210.5.0/24"))
    taken: list[IPv4Network] = []
    for _ in range(3):
        taken.append(free_subnet(ranges, taken, random.Random(1)))
    assert sorted(map(str, taken)) == ["10.200.0.0/24", "10.200.1.0/24", "10.210.5.0/24"]
    with pytest.raises(EnvironmentUnusable, match="no free /24") as raised:
        free_subnet(ranges, taken, random.Random(1))
    assert "NINES_SUBNETS" in raised.value.how


def test_a_vpn_that_catches_everything_takes_nothing() -> None:
    """0.0.0.0/1 and 128.0.0.0/1 lose against any route of ours; a route for the very range wins."""
    wide = [IPv4Network("0.0.0.0/1"), IPv4Network("128.0.0.0/1")]
    assert free_subnet(POOL, wide, random.Random(1)).subnet_of(POOL[0])
    with pytest.raises(EnvironmentUnusable):
        free_subnet(POOL, [IPv4Network("198.18.0.0/15")], random.Random(1))


def test_the_range_is_a_setting() -> None:
    """Commas or blanks; what is no range, or too small a one, is refused with an example."""
    assert pools({}) == POOL
    assert pools({"NINES_SUBNETS": "10.1.0.0/16, 10.2.0.0/24"}) == (IPv4Network("10.1.0.0/16"), IPv4Network("10.2.0.0/24"))
    for wrong in ("10.1.0.0/33", "10.1.2.3/16", "rubbish", "10.1.0.0/25"):
        with pytest.raises(EnvironmentUnusable, match="NINES_SUBNETS"):
            pools({"NINES_SUBNETS": wrong})


# --- what failures mean ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("write /var/lib/docker/x: no space left on device", "disk"),
        ("Pool overlaps with other one on this address space", "subnet"),
        ("pull access denied for nosuch, repository does not exist or may require 'docker login'", "no such image"),
        ('Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host', "does not answer"),
        ("toomanyrequests: You have reached your pull rate limit", "limits"),
    ],
)
def test_known_words_of_engines_are_explained(said: str, what: str) -> None:
    """What it means, and what to do; the engine's own words stay in the message."""
    found = meaning(said)
    assert found is not None
    assert what in found[0]
    error = unusable("doing this", said)
    assert said in error.what
    assert error.what.startswith("doing this: ")


def test_unknown_words_are_passed_on_whole() -> None:
    """Nothing is lost where nothing is known."""
    error = unusable("doing this", "the moon is full")
    assert "the moon is full" in error.what
    assert "nines doctor" in error.how


def test_errors_of_the_sdk_become_ours() -> None:
    """And keep their cause."""
    from docker.errors import APIError

    cause = APIError("500 Server Error", explanation="no space left on device")
    with pytest.raises(EnvironmentUnusable, match=r"disk .* is full") as raised, translated("making a network"):
        raise cause
    assert raised.value.__cause__ is cause


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (requests.exceptions.ReadTimeout("Read timed out. (read timeout=20)"), "did not answer in time"),
        (urllib3.exceptions.ReadTimeoutError(None, "/", "Read timed out."), "did not answer in time"),  # type: ignore[arg-type]
        (requests.exceptions.ConnectionError("('Connection aborted.', RemoteDisconnected())"), "connection .* broke"),
    ],
)
def test_an_engine_that_goes_away_is_not_taken_for_a_registry(cause: Exception, words: str) -> None:
    """A lost connection is one to the engine, whatever its words resemble."""
    with pytest.raises(EnvironmentUnusable, match=words), translated("making a network"):
        raise cause


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Error: No such file or directory\nadd rule inet nowhere out drop\n              ^^^^^^^\n", ["Error: No such file or directory"]),
        ("Unable to initialize Netlink socket: Protocol not supported\n", ["Unable to initialize Netlink socket: Protocol not supported"]),
        ("", []),
    ],
)
def test_what_nft_says_is_cut_to_its_message(said: str, left: list[str]) -> None:
    """Not the command again, nor the carets below it."""
    assert message(said) == left
