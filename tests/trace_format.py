"""The recorded traces: load them, replay one on a model or oracle, compare what it shows with what a kernel showed."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oracle import constants as c

DATA = Path(__file__).parent / "data" / "traces"
KERNELS = {"linux-5.10": "per-page", "linux-6.1": "page-walk"}
"""Recorded kernel -> the implementation that behaves like it."""

MACHINE_RAM = 960 << 20
"""MemTotal of the recording machine, about: 1 GiB less what the kernel took. Only single huge requests depend on it."""

PROGRAM_START, PROGRAM_PAGES = 0x400000, 256
"""Stands for the recording program's own VMAs, below every window: they count in total_vm, and mlockall locks them."""

VMA_FIELDS = 6  # start, end, perms, locked, rss_kb, locked_kb
PROT = {"none": 0, "r": c.PROT_READ, "rw": c.PROT_READ | c.PROT_WRITE}
MAP_FLAGS = {"noreserve": c.MAP_NORESERVE, "locked": c.MAP_LOCKED, "populate": c.MAP_POPULATE}

Trace = dict[str, Any]
Step = dict[str, Any]


def read_jsonl(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of a file by their name."""
    with path.open() as lines:
        return {record["name"]: record for record in map(json.loads, lines)}


def recorded(kernel: str) -> Iterator[tuple[Trace, list[Step], str]]:
    """All traces of one kernel: (trace, its recorded steps, thp setting)."""
    for prefix, thp in (("", "never"), ("thp-", "always")):
        steps = read_jsonl(DATA / f"{prefix}{kernel}.jsonl")
        for name, trace in read_jsonl(DATA / f"{prefix}traces.jsonl").items():
            yield trace, steps[name]["steps"], thp


def map_flags(words: list[str]) -> int:
    """Flags of an mmap op: private and MAP_FIXED_NOREPLACE unless they say otherwise."""
    flags = c.MAP_SHARED if "shared" in words else c.MAP_PRIVATE
    flags |= c.MAP_FIXED if "fixed" in words else c.MAP_FIXED_NOREPLACE
    return flags | sum(MAP_FLAGS[word] for word in words if word in MAP_FLAGS)


def call_of(mm: Any, op: dict[str, Any]) -> Callable[[], object]:
    """The call that one op of a trace stands for."""
    name = op["op"]
    span = (int(op["addr"], 16), int(op["len"], 16)) if "addr" in op else ()
    calls: dict[str, Callable[[], object]] = {
        "mmap": lambda: mm.mmap(*span, PROT[op["prot"]], map_flags(op["flags"]) | c.MAP_ANONYMOUS),
        "munmap": lambda: mm.munmap(*span),
        "mlock": lambda: mm.mlock(*span),
        "munlock": lambda: mm.munlock(*span),
        "mlock2": lambda: mm.mlock2(*span, op["flags"]),
        "mprotect": lambda: mm.mprotect(*span, PROT[op["prot"]]),
        "touch": lambda: mm.touch(*span, op["access"], op.get("stride", c.PAGE_SIZE)),
        "mlockall": lambda: mm.mlockall(op["flags"]),
        "munlockall": lambda: mm.munlockall(),
        "madvise_dontneed": lambda: mm.madvise(*span, c.MADV_DONTNEED),
        "rlimit_memlock": lambda: mm.setrlimit_memlock(op["bytes"]),
        "drop_cap_ipc_lock": lambda: mm.drop_cap_ipc_lock(),
    }
    return calls[name]


def observe(mm: Any, window: tuple[int, int]) -> Step:
    """What a step records, but errno and vmstat, of the address range of the window."""
    vmas = [vma for vma in mm.smaps() if window[0] <= vma.start < window[1]]
    outside = sum(vma.end - vma.start for vma in mm.smaps() if vma.locked and not window[0] <= vma.start < window[1])
    return {
        "locked_vm_kb": mm.locked_vm * 4 - outside // 1024,
        "vmas": [[hex(vma.start), hex(vma.end), vma.perms, vma.locked, vma.rss_kb, vma.locked_kb] for vma in vmas],
        "pages": [list(run) for run in mm.pagemap(*window)],
    }


def replay(mm: Any, trace: Trace) -> Iterator[Step]:
    """Carry out a trace on a fresh address space, one step after the other."""
    window = (int(trace["window"][0], 16), int(trace["window"][1], 16))
    mm.mmap(PROGRAM_START, PROGRAM_PAGES * c.PAGE_SIZE, 0, map_flags([]) | c.MAP_ANONYMOUS)
    calls_mlockall = any(op["op"] in ("mlockall", "munlockall") for op in trace["ops"])
    before = mm.vmstat()
    for op in trace["ops"]:
        error: int | str = 0
        try:
            call_of(mm, op)()
        except OSError as exc:
            error = errno.errorcode[exc.errno or 0]
        mm.lru_add_drain_all()
        after = mm.vmstat()
        change = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        before = after
        yield {"errno": error, **observe(mm, window), "vmstat": None if calls_mlockall else change}


def difference(expected: Step, got: Step) -> list[tuple[str, Any, Any]]:
    """Fields that differ: (field, expected, got). A vmstat that was not recorded is not compared."""
    return [
        (field, value, got[field])
        for field, value in expected.items()
        if got[field] != value and not (field == "vmstat" and value is None)
    ]
