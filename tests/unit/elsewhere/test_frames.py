"""Frames: whatever the pieces in which they come, what goes in comes out."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.elsewhere import archive
from chaos.elsewhere.frames import MOST_BYTES, BadFrames, Frames, frame

KIND = st.binary(min_size=1, max_size=1)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.lists(st.tuples(KIND, st.binary(max_size=300))), st.integers(1, 50))
def test_any_cutting_gives_the_same_frames(sent: list[tuple[bytes, bytes]], size: int) -> None:
    stream = b"".join(frame(*each) for each in sent)
    frames = Frames()
    heard = [each for start in range(0, len(stream), size) for each in frames.feed(stream[start : start + size])]
    assert heard == sent


def test_a_stranger_is_not_believed() -> None:
    with pytest.raises(BadFrames):
        list(Frames().feed(b"HTTP/1.1 400 Bad Request\r\n"))
    assert len(frame(b"D", b"x" * 10)) < MOST_BYTES


def test_a_folder_arrives_as_it_was(tmp_path: Path) -> None:
    source, there = tmp_path / "source", tmp_path / "there"
    (source / "logs").mkdir(parents=True)
    (source / "logs" / "n1.log").write_bytes(b"said\n" * 40_000)
    (source / "plan.json").write_text("{}")
    (source / "plan.json").chmod(0o600)
    (source / ".reserve").write_bytes(b"\0" * 1000)
    (source / "link").symlink_to("/etc/passwd")
    pieces: list[bytes] = []
    archive.pack({"": source}, pieces.append)
    archive.unpack(pieces, there)
    archive.sync(there)
    found = {path.relative_to(there).as_posix(): path.read_bytes() for path in there.rglob("*") if path.is_file()}
    assert found == {"logs/n1.log": b"said\n" * 40_000, "plan.json": b"{}"}
    assert (there / "plan.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["plan.json", "./plan.json", "PLAN.json"])
def test_what_is_ours_is_not_replaced(tmp_path: Path, name: str) -> None:
    """The plan names commands that a heal runs here, whoever is at the other end."""
    (tmp_path / "plan.json").write_text("ours")
    archive.unpack(_tar(tarfile.TarInfo(name), b"theirs"), tmp_path, ["plan.json"])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["ours"]


def test_a_file_that_grows_meanwhile_is_taken_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    history = source / "history.jsonl"
    history.write_bytes(b"row\n" * 50_000)

    def grow(piece: bytes) -> None:
        pieces.append(piece)
        with history.open("ab") as file:
            file.write(b"more\n")

    pieces: list[bytes] = []
    archive.pack({"": source}, grow)
    archive.unpack(pieces, tmp_path / "there")
    assert (tmp_path / "there" / "history.jsonl").read_bytes() == b"row\n" * 50_000


def _tar(member: tarfile.TarInfo, data: bytes = b"") -> list[bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        member.size = len(data)
        made.addfile(member, io.BytesIO(data))
    return [out.getvalue()]


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "C:\\out", "a\\..\\out", "con:stream"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(tarfile.TarError):
        archive.unpack(_tar(tarfile.TarInfo(name), b"x"), tmp_path / "there")
    assert not list(tmp_path.rglob("out"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_plain_files_come_out(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("a")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(tarfile.TarError):
        archive.unpack(_tar(member), tmp_path / "there")


def test_a_link_that_is_there_is_not_followed(tmp_path: Path) -> None:
    there, outside = tmp_path / "there", tmp_path / "outside"
    there.mkdir()
    outside.mkdir()
    (there / "logs").symlink_to(outside)
    (there / "a").symlink_to(outside / "a")
    for name in ("logs/n1.log", "a"):
        with pytest.raises(tarfile.TarError):
            archive.unpack(_tar(tarfile.TarInfo(name), b"x"), there)
    assert list(outside.iterdir()) == []


def test_a_folder_that_came_in_part_holds_no_run(tmp_path: Path) -> None:
    """It is fetched again, to the same place: a torn history would pass for all that was measured."""
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "history.jsonl").write_bytes(b"{}\n" * 100_000)
    (tmp_path / "from" / "plan.json").write_bytes(b"{}" * 100_000)
    pieces: list[bytes] = []
    archive.pack({"": tmp_path / "from"}, pieces.append)
    with pytest.raises(tarfile.TarError):
        archive.unpack(pieces[: len(pieces) // 2 + 1], tmp_path / "to")
    assert not (tmp_path / "to" / "history.jsonl").exists()
    archive.unpack(pieces, tmp_path / "to")
    assert {each.name: each.stat().st_size for each in (tmp_path / "to").iterdir()} == {"history.jsonl": 300_000, "plan.json": 200_000}
