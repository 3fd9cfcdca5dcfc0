"""Real processes captured, and every page of theirs held against /proc, by each way to find pages."""

import functools
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.capture import live, pageflags, scan
from bench.capture.document import encode
from bench.capture.live import Method, Wanted, capture
from bench.errors import BenchError, MeasurementError, UsageError
from bench.workloads import layout
from bench.workloads.layout import Document, Vma
from support.captured import Child, child, hold_to_proc, pagemap, pages_of

TiB, MiB = 1 << 40, 1 << 20


def methods() -> list[Method]:
    """The ways that the running kernel has."""
    with Path("/proc/self/pagemap").open("rb") as handle:
        try:
            next(scan.scan(handle.fileno(), 0, 1 << 46), None)
        except scan.NotSupportedError:
            return ["pagemap"]
    return ["PAGEMAP_SCAN", "pagemap"]


METHODS = methods()
SCANS = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def mapped() -> Iterator[Child]:
    """A process with every kind of area."""
    with child() as one:
        one.area("dense", "area", 4 * MiB, list(range(1024)))
        one.area("sparse", "area", 64 * MiB, list(range(0, 16384, 2)))
        one.area("closed", "area", TiB, [0, 511, 512, 262144, 262145, TiB // 4096 - 1], 0)
        one.area("zero", "read", MiB, [3, 4, 9])
        one.area("huge", "huge", 8 * MiB)
        one.area("memfd", "memfd", MiB, [1, 2, 3, 200], [2, 200])
        one.area("dropped", "area", MiB, [0, 1, 2, 3, 4, 5])
        one.ask("call", "madvise", one.areas["dropped"]["address"] + 8192, 8192, 4)  # MADV_DONTNEED
        one.area("locked", "area", 65536, [2])
        one.ask("call", "mlock", one.areas["locked"]["address"] + 16384, 16384)
        yield one


@pytest.fixture(scope="module")
def made(mapped: Child) -> Callable[[Method], Document]:
    """What a way finds of that process, once each."""
    return functools.cache(lambda method: capture(mapped.pid, Wanted(method)))


def pages_in(made: Document, address: int, nbytes: int, runs: Callable[[Vma], Any] = lambda vma: vma.present) -> set[int]:
    """Return the pages of an area, of all VMAs that it lies in."""
    found: set[int] = set()
    for vma in made.vmas:
        first = (vma.first - address) // 4096
        found |= {first + page for page in pages_of(runs(vma)) if 0 <= first + page < nbytes // 4096}
    return found


@SCANS
def test_every_page_is_where_proc_has_it(mapped: Child, made: Callable[[Method], Document], method: Method) -> None:
    found = made(method)
    assert found.source is not None
    assert (found.source.method, found.source.vmas_changed, found.source.pages_changed) == (method, 0, 0)
    hold_to_proc(found, mapped.pid)


@SCANS
@pytest.mark.parametrize("name", ["dense", "sparse", "closed", "zero", "memfd"])
def test_pages_are_those_that_were_touched(
    mapped: Child, made: Callable[[Method], Document], method: Method, name: str
) -> None:
    area = mapped.areas[name]
    assert pages_in(made(method), area["address"], area["nbytes"]) == set(area["pages"])


@SCANS
def test_pages_that_were_given_back_locked_or_only_read(
    mapped: Child, made: Callable[[Method], Document], method: Method
) -> None:
    found, areas = made(method), mapped.areas
    dropped, locked, zero = areas["dropped"], areas["locked"], areas["zero"]
    assert pages_in(found, dropped["address"], dropped["nbytes"]) == {0, 1, 4, 5}
    assert pages_in(found, locked["address"], locked["nbytes"]) == {2, 4, 5, 6, 7}  # mlock() brings them
    (vma,) = [vma for vma in found.vmas if vma.first == locked["address"] + 16384]
    assert "lo" in vma.vm_flags and vma.nr_pages == 4
    assert pages_in(found, zero["address"], zero["nbytes"], lambda vma: vma.zero) == set(zero["pages"])


@SCANS
def test_shared_memory_has_the_pages_that_each_mapping_touched(
    mapped: Child, made: Callable[[Method], Document], method: Method
) -> None:
    found, memfd = made(method), mapped.areas["memfd"]
    assert pages_in(found, memfd["second"], memfd["nbytes"]) >= set(memfd["here"])  # and those that a fault brings around it
    assert pages_in(found, memfd["address"], memfd["nbytes"], lambda vma: vma.file) == set(memfd["pages"])
    inodes = {vma.inode for vma in found.vmas if vma.path.startswith("/memfd:shared")}
    assert len(inodes) == 1 and inodes != {""}


def test_every_way_finds_the_same(made: Callable[[Method], Document]) -> None:
    assert all(made(method).vmas == made("pagemap").vmas for method in METHODS)


@pytest.mark.parametrize("vector", [1, 2, 3, 511, 512, 513])
def test_a_vector_that_fills_up_is_continued(mapped: Child, vector: int) -> None:
    assert capture(mapped.pid, Wanted(vector=vector)).vmas == capture(mapped.pid).vmas


@SCANS
def test_a_forked_child_shares_pages_and_has_them_all(method: Method) -> None:
    with child() as one:
        one.area("written", "area", MiB, [0, 7, 8])
        pid = one.ask("forked")["pid"]
        made = capture(pid, Wanted(method))
        hold_to_proc(made, pid, zero_told=method == "PAGEMAP_SCAN")
        written = one.areas["written"]
        assert pages_in(made, written["address"], written["nbytes"]) == {0, 7, 8}


def test_pagemap_cannot_tell_the_zero_page_from_a_page_that_is_shared_after_a_fork() -> None:
    with child() as one:
        one.area("a", "area", MiB, [0, 7, 8])
        one.ask("call", "mprotect", one.areas["a"]["address"], MiB, 1)
        one.ask("look", one.areas["a"]["address"] + 20 * 4096)
        source = capture(one.ask("forked")["pid"], Wanted("pagemap")).source
        assert source is not None and source.pages_changed == 0
        assert any("which pages map the zero page" in remark for remark in source.remarks)


@SCANS
def test_nearly_all_of_the_address_space_reserved(method: Method) -> None:
    with child() as one:
        one.area("first", "area", MiB, [0, 255], 0)
        total = one.ask("everything")["total"]
        assert total > 100 * TiB
        tracemalloc.start()
        began = time.process_time()
        made = capture(one.pid, Wanted(method))
        took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert sum(vma.last - vma.first for vma in made.vmas) > 100 * TiB
        assert peak < 32 * MiB
        assert took < 1 if method == "PAGEMAP_SCAN" else peak  # seconds of this process, in the kernel too
        hold_to_proc(made, one.pid, unread_above=1 << 32)
        unread = [vma.unplaced for vma in made.vmas if vma.unplaced]
        assert bool(unread) == (method == "pagemap")  # what pagemap leaves unread may map the zero page
        assert all(one.least == 0 and one.most < 1 << 20 for one in unread)


@SCANS
def test_a_page_at_the_end_of_a_long_vma_is_found(method: Method) -> None:
    with child() as one:
        one.area("long", "area", 1 << 36, [(1 << 24) - 1], 0)
        made, area = capture(one.pid, Wanted(method)), one.areas["long"]
        assert pages_in(made, area["address"], area["nbytes"]) == {(1 << 24) - 1}


def test_what_is_captured_is_a_layout(mapped: Child) -> None:
    made = capture(mapped.pid)
    assert layout.decode(encode(made), "it", "it").document == made
    assert made.program.startswith("python") and "captured_child.py" in made.command
    assert made.kernel == f"Linux {os.uname().release}" and made.threads == 1


def test_page_flags(mapped: Child) -> None:
    if os.geteuid():  # frames are told to root alone
        with pytest.raises(UsageError, match="CAP_SYS_ADMIN"):
            capture(mapped.pid, Wanted(page_flags=True))
        return
    made = capture(mapped.pid, Wanted(page_flags=True))
    assert layout.decode(encode(made), "it", "it").document == made
    with Path(pageflags.KPAGEFLAGS).open("rb") as flags:
        for vma in made.vmas:
            apart, entries = (
                pages_of(vma.thp_pte) | pages_of(vma.large),
                pagemap(mapped.pid, vma.first, min(vma.nr_pages, 16384)),
            )
            for page in sorted(pages_of(vma.present) - pages_of(vma.thp) - pages_of(vma.zero))[::7]:
                if page < len(entries) and vma.lockable:
                    flags.seek(8 * (entries[page] & (1 << 55) - 1))
                    assert (int.from_bytes(flags.read(8), "little") >> 15 & 3 != 0) == (page in apart), (vma.path, page)


def during(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen after smaps was read and before pages are looked for."""
    before = live._vmas

    def vmas(*arguments: Any) -> Any:
        act()
        return before(*arguments)

    monkeypatch.setattr(live, "_vmas", vmas)


@SCANS
def test_pages_that_come_meanwhile_are_said(monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
    with child() as one:
        one.area("a", "area", MiB, [0])
        fresh = iter(range(1, 256))
        during(monkeypatch, lambda: one.ask("touch", one.areas["a"]["address"], [next(fresh) for _ in range(10)]))
        source = capture(one.pid, Wanted(method)).source
        assert source is not None and source.vmas_changed == 0
        assert source.pages_changed is not None and source.pages_changed >= 10
        assert next(fresh) == 1 + 10 * live.ATTEMPTS


@SCANS
def test_vmas_that_come_meanwhile_are_said(monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
    with child() as one:
        during(monkeypatch, lambda: one.ask("area", MiB, [0], 1))
        made = capture(one.pid, Wanted(method))
        assert made.source is not None and made.source.vmas_changed
        assert layout.decode(encode(made), "it", "it").document == made


def test_a_change_that_is_over_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with child() as one:
        once = iter([lambda: one.ask("area", MiB, [0], 1)])
        during(monkeypatch, lambda: next(once, int)())
        source = capture(one.pid).source
        assert source is not None and source.vmas_changed == 0


def test_processes_that_are_not_there_or_have_no_memory() -> None:
    with child() as one:
        one.process.kill()
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)  # a zombie
        with pytest.raises(UsageError, match="no memory of its own"):
            capture(one.pid)
    with pytest.raises(UsageError, match=f"there is no process {one.pid}"):
        capture(one.pid)


@SCANS
def test_a_process_that_ends_meanwhile(monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
    with child() as one:
        during(monkeypatch, one.end)
        with pytest.raises(MeasurementError, match=f"process {one.pid} ended while it was captured"):
            capture(one.pid, Wanted(method))


def test_a_number_that_is_used_again_is_not_taken_for_the_process() -> None:
    with child() as one:
        process = live.Process(one.pid)
        one.end()
        with pytest.raises(BenchError, match="ended while"):
            process.regions("maps")
        process.close()


AS_NOBODY = """
import os, subprocess
from bench.capture.live import Wanted, capture
from bench.errors import UsageError
import bench.capture.pageflags
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
with subprocess.Popen(["sleep", "60"]) as own:
    for method in {methods}:
        made = capture(own.pid, Wanted(method))
        print(method, made.source.vmas_changed, sum(nr for vma in made.vmas for _, nr in vma.present) > 100)
    for pid, wanted in (1, Wanted()), (own.pid, Wanted(page_flags=True)):
        try:
            capture(pid, wanted)
        except UsageError as error:
            print(error)
    own.kill()
"""


def test_without_privileges_ones_own_processes_and_no_others() -> None:
    program = AS_NOBODY.format(methods=METHODS)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *captured, denied, flags = done.stdout.splitlines()
    assert captured == [f"{method} 0 True" for method in METHODS]
    assert "process 1 may not be read" in denied
    assert "page flags need CAP_SYS_ADMIN" in flags
