"""A wall clock of its own for each process of a node, by a copy of libfaketime that is preloaded and changes nothing else.

    {"do": "clock.prepare", "library": "/.nines/lib/libfaketimeMT.so.1", "folder": "/.nines-clock", "waits": true}     before all
    {"do": "clock.set", "offset_s": 5.0, "rate": 1.0, "began_ns": 81234567890}
    {"do": "clock.check"}      -> {"result": {"unable": ""}}

The library as packaged (0.9.10) replaces far more than the reading of the clock, and some of it wrongly: with the monotonic clock left
true, absolute sleeps on it fail with EINVAL (Python's ``time.sleep``; wolfcw/libfaketime#426), time-outs are scaled by the rate, and
each process leaves two files in /dev/shm when it is killed. So the copy (``only_readings``) offers to the dynamic linker only what
reads the wall clock, and what waits for a time on it.

The harness uses these very functions where nodes are plain processes.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

READINGS: Final = frozenset(
    {"time", "gettimeofday", "clock_gettime", "ftime", "timespec_get", "__time", "__gettimeofday", "__clock_gettime", "__ftime"}
)
WAITS: Final = frozenset({"pthread_cond_init", "pthread_cond_destroy", "pthread_cond_timedwait", "sem_timedwait"})
"""Waits until a time on the wall clock, which the program has worked out from its own reading and the kernel takes for the true one."""
LIBRARY: Final = "libnines-clock.so"
FILE: Final = "now"
WITHIN_S: Final = 5.0
TRUE: Final = "+0.000000 x1.000000\n"
"""The rate must be named: the library keeps the last one that it was given."""

_SYMBOL: Final = struct.Struct("<IBBHQQ")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_DYNSYM, _VERSYM = 11, 0x6FFFFFFF
_FUNCTION: Final = 2
_INTERPRETER, _NOTE = 3, 4
_GO: Final = b"\x04\0\0\0Go\0\0"
"""The kind (build id) and the owner of a note that Go's linker writes."""

_folder: list[Path] = []
_state: dict[str, float] = {"offset_s": 0.0, "rate": 1.0}
_since: list[float] = [0.0]
"""When (wall clock) the offset was that."""


# --- the library -------------------------------------------------------------------------------------------------------


def only_readings(library: bytes, waits: bool = True) -> bytes:
    """A copy in which all other replaced functions are local symbols, which the dynamic linker passes over (elf(5)).

    ``waits``: those on the wall clock are brought onto the true one. The library can do that at the true rate only; at another one it
    makes waits on the monotonic clock, which it leaves alone else, come back at once or never: then they must be left out.

    Its shared memory is for processes that count calls together; without ``sem_open`` it does without. That import is turned into
    ``getenv``, which answers a name that no variable has with the same null as ``sem_open`` does on failure.
    """
    if library[:6] != b"\x7fELF\x02\x01":
        raise ValueError("libfaketime is not of a 64-bit little-endian machine: clocks cannot be faked on this one")
    kept = READINGS | WAITS if waits else READINGS
    data = bytearray(library)
    (at,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    sections = [_SECTION.unpack_from(data, at + number * size) for number in range(count)]
    symbols = next(section for section in sections if section[1] == _DYNSYM)
    versions = next(section for section in sections if section[1] == _VERSYM)
    names = sections[symbols[6]][4]
    imports: dict[str, int] = {}
    for index in range(symbols[5] // _SYMBOL.size):
        place = symbols[4] + index * _SYMBOL.size
        name_at, info, _, section, _, _ = _SYMBOL.unpack_from(data, place)
        name = data[names + name_at : data.index(b"\0", names + name_at)].decode()
        if section == 0:
            imports[name] = index
        elif info & 15 == _FUNCTION and name not in kept:
            data[place + 4] = _FUNCTION  # the upper half is the binding: 0 is local
    if "sem_open" in imports:
        for table, width in ((symbols[4], _SYMBOL.size), (versions[4], 2)):
            source, target = table + imports["getenv"] * width, table + imports["sem_open"] * width
            length = min(width, 4)  # of a symbol, only its name
            data[target : target + length] = data[source : source + length]
    return bytes(data)


def prepare(library: Path, folder: Path, waits: bool = True) -> None:
    """The copy and a true clock in that folder, readable by every user."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIBRARY).write_bytes(only_readings(library.read_bytes(), waits))
    (folder / LIBRARY).chmod(0o755)
    write(folder, TRUE)


def environment(folder: str) -> dict[str, str]:
    """What a process needs to live by the clock in that folder. Its monotonic clock stays true, as it does when a real one is set."""
    return {
        "LD_PRELOAD": f"{folder}/{LIBRARY}",
        "FAKETIME_TIMESTAMP_FILE": f"{folder}/{FILE}",
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        # A remedy of its own for waits on the monotonic clock: with that clock true it makes each of them end at once.
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }


# --- the clock ---------------------------------------------------------------------------------------------------------


def line(offset_s: float, rate: float, age_s: float) -> str:
    """The clock that is ``offset_s`` off now and runs at ``rate``, for a process that is ``age_s`` old.

    The library lets the rate act from the start of the process: the offset it is given makes up for the time before now.
    """
    return f"{offset_s - (rate - 1.0) * age_s:+.6f} x{rate:.6f}\n"


def write(folder: Path, text: str) -> None:
    """Whole or not at all: it is read at every reading of the clock. On a full disk it is written over, so that it can be set right."""
    draft, there = folder / f".{FILE}", folder / FILE
    try:
        draft.write_text(text, encoding="ascii")
        draft.chmod(0o644)
        draft.replace(there)
    except OSError:
        if not there.exists():
            raise
        with there.open("r+", encoding="ascii") as file:
            file.write(text)
            file.truncate()


def why_not(program: Path) -> str:
    """Why that program reads its clock past every preloaded library; empty for one that does not, as far as its file tells.

    A statically linked one names no dynamic linker; one written in Go asks the kernel by itself, however it is linked. Both show in the
    program headers of an ELF file (elf(5)); what is no such file (a script) has an interpreter that is one.
    """
    with program.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
            return ""
        (at,) = struct.unpack_from("<Q", head, 0x20)
        size, count = struct.unpack_from("<HH", head, 0x36)
        file.seek(at)
        table = file.read(size * count)
        headers = [struct.unpack_from("<IIQQQQ", table, number * size) for number in range(count)]
        for kind, _, offset, _, _, length in headers:
            if kind == _NOTE:
                file.seek(offset)
                if _GO in file.read(length):
                    return "it is written in Go, whose programs read the clock past any library"
    return "" if any(header[0] == _INTERPRETER for header in headers) else "it is statically linked, and takes no library"


def mapped(pid: int) -> bool:
    """Whether the library is in the memory of that process."""
    path = f"/proc/{pid}/maps"
    try:
        maps = Path(path).read_text(encoding="utf-8", errors="replace")
    except PermissionError:
        # Of another user than ours, and we have not the capability to look at everyone's: ask as that user.
        owner = Path(f"/proc/{pid}").stat()
        command = [sys.executable, "-c", f"print(open({path!r}).read())"]
        try:
            done = subprocess.run(
                command,
                user=owner.st_uid,
                group=owner.st_gid,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=True,
                timeout=WITHIN_S,
            )
        except subprocess.SubprocessError as error:
            raise ValueError(f"what is in the memory of process {pid} cannot be seen: {error}") from error
        maps = done.stdout
    return LIBRARY in maps


def unable(pid: int) -> str:
    """Why the clock of that process is not ours to set; empty if it is."""
    try:
        why = why_not(Path(f"/proc/{pid}/exe"))
    except PermissionError:
        why = ""  # of another user; what is in its memory tells as much
    return why or ("" if mapped(pid) else "the library is not in its memory: it began without it, or its system is not one with glibc")


# --- commands ----------------------------------------------------------------------------------------------------------


def do_prepare(_agent: object, command: dict[str, Any]) -> dict[str, Any]:
    """The folder is shared with the system, whose container is made after this."""
    _folder[:] = [Path(command["folder"])]
    prepare(Path(command["library"]), _folder[0], command["waits"])
    return {}


def do_set(agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - agent.Agent, which is not importable here
    """From now on; ``began_ns``: when the main process began, on the monotonic clock."""
    if not _folder:
        raise ValueError("the system reads the clock of the machine: no fault of the plan said that it needs its own")
    _state.update(offset_s=command["offset_s"], rate=command["rate"])
    _since[0] = time.time()
    age_s = max(0.0, (time.monotonic_ns() - command["began_ns"]) / 1e9) if agent.processes.main is not None else 0.0
    write(_folder[0], line(_state["offset_s"], _state["rate"], age_s))
    return {}


def do_check(agent: Any, _command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Of the main process, which must run: whether its clock can be set at all."""
    main = agent.processes.main
    if main is None:
        raise ValueError("no process of the system runs")
    return {"result": {"unable": unable(main)}}


def up(_agent: object) -> None:
    """Another main process begins: what its clock shows goes on as if it had always run."""
    if _folder and _state["rate"] != 1.0:
        gone_s = time.time() - _since[0]
        write(_folder[0], line(_state["offset_s"] + (_state["rate"] - 1.0) * gone_s, _state["rate"], 0.0))


def heal(_agent: object) -> list[str]:
    """The true time again."""
    _state.update(offset_s=0.0, rate=1.0)
    if _folder:
        try:
            write(_folder[0], TRUE)
        except OSError as error:
            return [f"clock: {error}"]
    return []
