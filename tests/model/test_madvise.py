"""madvise and fallocate's hole punch: what Linux 5.10.262 and 6.1.192 answer, what they leave behind, and what is not modelled.

`of()`: as in test_facts_events.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from mmmodel import Mm, NotModelled, check_mm
from mmmodel import constants as mc
from oracle import constants as c
from support.facts import BASE, NONE, PAGE, READ, error_of, map_anon, map_file, of

MakeMm = Callable[..., Any]
RW = 3
SHARED_ANON = c.MAP_SHARED | c.MAP_ANONYMOUS | c.MAP_FIXED
PUNCH = c.FALLOC_FL_PUNCH_HOLE | c.FALLOC_FL_KEEP_SIZE

SETS = {  # advice -> the flag it sets, and the advice that clears it
    c.MADV_SEQUENTIAL: (c.VM_SEQ_READ, c.MADV_NORMAL),
    c.MADV_RANDOM: (c.VM_RAND_READ, c.MADV_NORMAL),
    c.MADV_DONTFORK: (c.VM_DONTCOPY, c.MADV_DOFORK),
    c.MADV_DONTDUMP: (c.VM_DONTDUMP, c.MADV_DODUMP),
    c.MADV_WIPEONFORK: (c.VM_WIPEONFORK, c.MADV_KEEPONFORK),
    c.MADV_MERGEABLE: (c.VM_MERGEABLE, c.MADV_UNMERGEABLE),
}
NAMES = ["MADV_SEQUENTIAL", "MADV_RANDOM", "MADV_DONTFORK", "MADV_DONTDUMP", "MADV_WIPEONFORK", "MADV_MERGEABLE"]


def areas(mm: Any) -> list[tuple[int, int, int]]:
    """First page from BASE, pages, and the advice flags of each VMA."""
    flags = sum(flag for flag, _ in SETS.values())
    return [((vma.start - BASE) // PAGE, (vma.end - vma.start) // PAGE, vma.vm_flags & flags) for vma in mm.smaps()]


# ---- advice that is a flag ----


@pytest.mark.parametrize("advice", SETS, ids=NAMES)
def test_a_flag_splits_and_merges(make_mm: MakeMm, impl: str, advice: int) -> None:
    mm = make_mm(impl)
    flag, undo = SETS[advice]
    map_anon(mm, 8)
    mm.mlock(BASE, 8 * PAGE)
    mm.madvise(BASE + 2 * PAGE, 3 * PAGE, advice)
    assert areas(mm) == [(0, 2, 0), (2, 3, flag), (5, 3, 0)]
    assert (mm.locked_vm, all(vma.locked for vma in mm.smaps())) == (8, True)
    mm.madvise(BASE + 5 * PAGE, 3 * PAGE, advice)
    assert areas(mm) == [(0, 2, 0), (2, 6, flag)]
    mm.munlock(BASE + 3 * PAGE, PAGE)
    mm.madvise(BASE, 8 * PAGE, undo)
    assert areas(mm) == [(0, 3, 0), (3, 1, 0), (4, 4, 0)]
    mm.munlock(BASE, 8 * PAGE)
    assert areas(mm) == [(0, 8, 0)]


def test_random_and_sequential_exclude_each_other(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 1)
    for advice in (c.MADV_RANDOM, c.MADV_SEQUENTIAL):
        mm.madvise(BASE, PAGE, advice)
    assert areas(mm) == [(0, 1, c.VM_SEQ_READ)]


@pytest.mark.parametrize("advice", SETS, ids=NAMES)
def test_flags_at_the_limit_of_vmas(make_mm: MakeMm, impl: str, advice: int) -> None:
    mm = make_mm(impl, max_map_count=2)
    map_anon(mm, 8)
    assert error_of(lambda: mm.madvise(BASE + 2 * PAGE, PAGE, advice)) == of(impl, "ENOMEM", "EAGAIN")
    assert areas(mm)[0][:2] == (0, 2)  # the first split was done, and stays


def test_flags_that_some_areas_refuse(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    mm.mmap(BASE, 2 * PAGE, RW, SHARED_ANON)
    map_file(mm, mm.create_file(PAGE), 1, at=BASE + 2 * PAGE)
    for at in (BASE, BASE + 2 * PAGE):
        assert error_of(partial(mm.madvise, at, PAGE, c.MADV_WIPEONFORK)) == "EINVAL"
    for advice in (c.MADV_KEEPONFORK, c.MADV_MERGEABLE, c.MADV_UNMERGEABLE):  # no error, and no effect
        mm.madvise(BASE, PAGE, advice)
    assert areas(mm)[0] == (0, 2, 0)


def test_special_mappings(impl: str) -> None:
    mm = Mm(impl)
    mm.install_special_mapping(BASE, PAGE, 1, mc.VM_IO | mc.VM_PFNMAP)
    for advice in (c.MADV_DOFORK, c.MADV_DODUMP, c.MADV_HUGEPAGE, c.MADV_DONTNEED, c.MADV_FREE):
        assert error_of(partial(mm.madvise, BASE, PAGE, advice)) == "EINVAL"
    mm.madvise(BASE, PAGE, c.MADV_DONTFORK)
    assert mm.fork().smaps() == []


# ---- what fork does with them ----


def test_fork_leaves_out_and_wipes(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 6)
    mm.touch(BASE, 6 * PAGE, "write")
    mm.madvise(BASE, 2 * PAGE, c.MADV_DONTFORK)
    mm.madvise(BASE + 4 * PAGE, 2 * PAGE, c.MADV_WIPEONFORK)
    mm.mlock(BASE, 6 * PAGE)
    child = mm.fork()
    assert areas(child) == [(2, 2, 0), (4, 2, c.VM_WIPEONFORK)]
    assert (child.total_vm, child.locked_vm) == (4, 0)
    assert [tuple(run) for run in child.pagemap(BASE, BASE + 6 * PAGE)] == [(2, 2, "PMU")]
    child.touch(BASE + 4 * PAGE, PAGE, "read")
    assert child.pagemap(BASE + 4 * PAGE, BASE + 5 * PAGE)[0][2] == "PZ"
    grandchild = child.fork()  # the flag is the child's too
    assert areas(grandchild) == areas(child)
    mm.munlock(BASE, 6 * PAGE)
    assert mm.vmstat()["nr_mlock"] == 0


def test_a_wiped_area_has_no_anon_vma_and_merges_with_a_new_one(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 2)
    mm.touch(BASE, PAGE, "write")
    mm.madvise(BASE, 2 * PAGE, c.MADV_WIPEONFORK)
    child = mm.fork()
    child.madvise(BASE, 2 * PAGE, c.MADV_KEEPONFORK)
    map_anon(child, 2, at=BASE + 2 * PAGE)
    assert areas(child) == [(0, 4, 0)]


# ---- MADV_FREE ----


def test_free_keeps_pages_mapped(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    mm.touch(BASE, 3 * PAGE, "write")
    mm.madvise(BASE, 4 * PAGE, c.MADV_FREE)
    assert [tuple(run) for run in mm.pagemap(BASE, BASE + 4 * PAGE)] == [(0, 3, "P")]
    mm.mlock(BASE, 3 * PAGE)
    mm.lru_add_drain_all()
    assert [tuple(run) for run in mm.pagemap(BASE, BASE + 4 * PAGE)] == [(0, 3, "PMU")]
    assert error_of(lambda: mm.madvise(BASE, 4 * PAGE, c.MADV_FREE)) == "EINVAL"
    mm.munlock(BASE, 3 * PAGE)
    assert mm.vmstat()["nr_mlock"] == 0


def test_free_of_files_and_shared_memory(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    mm.mmap(BASE, PAGE, RW, SHARED_ANON)
    map_file(mm, mm.create_file(PAGE), 1, at=BASE + PAGE)
    for at in (BASE, BASE + PAGE):
        assert error_of(partial(mm.madvise, at, PAGE, c.MADV_FREE)) == "EINVAL"


def test_reclaim_drops_what_was_freed_and_not_written_to_again(impl: str) -> None:
    mm = Mm(impl)
    map_anon(mm, 4)
    mm.touch(BASE, 4 * PAGE, "write")
    mm.madvise(BASE, 3 * PAGE, c.MADV_FREE)
    lists = mm.vmstat() | {name: mm.machine.counters.tolist()[2 + i] for i, name in enumerate(("inactive_anon", "aa", "file"))}
    assert (lists["inactive_anon"], lists["file"]) == (1, 3)
    mm.touch(BASE + PAGE, PAGE, "write")
    assert mm.swap_out(BASE, 4 * PAGE) == 3
    check_mm(mm)
    assert [tuple(run) for run in mm.pagemap(BASE, BASE + 4 * PAGE)] == [(1, 1, "P")]
    mm.touch(BASE, 4 * PAGE, "read")  # zero pages for those that were dropped, the fourth page from swap
    assert [tuple(run) for run in mm.pagemap(BASE, BASE + 4 * PAGE)] == [(0, 1, "PZ"), (1, 1, "P"), (2, 1, "PZ"), (3, 1, "P")]
    assert mm.swap_out(BASE + PAGE, PAGE) == 1  # it belongs to swap again
    check_mm(mm)


def test_free_gives_swap_back(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 2)
    mm.touch(BASE, 2 * PAGE, "write")
    mm.swap_out(BASE, 2 * PAGE)
    mm.madvise(BASE, PAGE, c.MADV_FREE)
    mm.touch(BASE, 2 * PAGE, "read")
    assert [tuple(run) for run in mm.pagemap(BASE, BASE + 2 * PAGE)] == [(0, 1, "PZ"), (1, 1, "P")]


def test_free_of_huge_pages(impl: str) -> None:
    mm = Mm(impl, thp="always")
    huge = BASE & -(1 << 21)
    map_anon(mm, 1024, at=huge)
    mm.touch(huge, 1024 * PAGE, "write")
    mm.madvise(huge, 1024 * PAGE, c.MADV_FREE)
    check_mm(mm)
    before = mm.observable_state()
    for at, pages in ((huge, 511), (huge + PAGE, 512), (huge, 1023)):
        with pytest.raises(NotModelled, match="MADV_FREE"):
            mm.madvise(at, pages * PAGE, c.MADV_FREE)
    mm.mprotect(huge, PAGE, NONE)  # split
    with pytest.raises(NotModelled, match="MADV_FREE"):
        mm.madvise(huge, 512 * PAGE, c.MADV_FREE)
    mm.mprotect(huge, PAGE, RW)
    assert mm.observable_state().pages == before.pages


# ---- holes: what a munlock may run against ----


def test_punching_a_hole_into_locked_memory(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    file = mm.create_file(8 * PAGE)
    mm.mmap(BASE, 8 * PAGE, RW, c.MAP_SHARED | c.MAP_FIXED, file)
    mm.mlock(BASE, 8 * PAGE)
    mm.lru_add_drain_all()
    before = mm.vmstat()
    file.fallocate(PUNCH, 2 * PAGE + 1, 4 * PAGE)  # three whole pages
    mm.lru_add_drain_all()
    after = mm.vmstat()
    assert [tuple(run) for run in mm.pagemap(BASE, BASE + 8 * PAGE)] == [(0, 3, "PMU"), (6, 2, "PMU")]
    changes = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert changes.pop(of(impl, "unevictable_pgs_cleared", "unevictable_pgs_munlocked")) == 3
    assert (changes["nr_mlock"], changes["nr_unevictable"]) == (-3, -3)
    assert (mm.locked_vm, areas(mm)) == (8, [(0, 8, 0)])
    mm.touch(BASE + 4 * PAGE, PAGE, "write")  # the size stays: a new page comes
    mm.munlock(BASE, 8 * PAGE)
    mm.lru_add_drain_all()
    assert (mm.vmstat()["nr_mlock"], mm.vmstat()["nr_unevictable"]) == (0, 0)


def test_private_copies_survive_a_hole_but_not_a_truncation(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    file = mm.create_file(4 * PAGE)
    map_file(mm, file, 4, flags=c.MAP_PRIVATE)
    mm.touch(BASE, PAGE, "write")
    mm.touch(BASE + PAGE, 3 * PAGE, "read")
    child = mm.fork()
    file.fallocate(PUNCH, 0, 4 * PAGE)
    for process in (mm, child):
        assert [tuple(run) for run in process.pagemap(BASE, BASE + 4 * PAGE)] == [(0, 1, "P")]
    file.truncate(0)
    assert mm.pagemap(BASE, BASE + 4 * PAGE) == []


def test_remove(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    mm.mmap(BASE, 4 * PAGE, RW, SHARED_ANON)
    mm.touch(BASE, 4 * PAGE, "write")
    child = mm.fork()
    child.touch(BASE, 4 * PAGE, "read")
    mm.madvise(BASE + PAGE, 2 * PAGE, c.MADV_REMOVE)
    for process in (mm, child):
        assert [tuple(run) for run in process.pagemap(BASE, BASE + 4 * PAGE)] == [(0, 1, "P"), (3, 1, "P")]
    child.mlock(BASE, PAGE)
    assert error_of(lambda: child.madvise(BASE, PAGE, c.MADV_REMOVE)) == "EINVAL"
    mm.madvise(BASE, PAGE, c.MADV_REMOVE)  # another process has locked it: gone all the same
    assert child.pagemap(BASE, BASE + PAGE) == []
    mm.mprotect(BASE, 4 * PAGE, READ)  # it may become writable again
    mm.madvise(BASE, 4 * PAGE, c.MADV_REMOVE)
    assert mm.pagemap(BASE, BASE + 4 * PAGE) == []
    map_anon(mm, 1, at=BASE + 8 * PAGE)
    assert error_of(lambda: mm.madvise(BASE + 8 * PAGE, PAGE, c.MADV_REMOVE)) == "EINVAL"
    map_file(mm, mm.create_file(PAGE), 1, at=BASE + 16 * PAGE, flags=c.MAP_PRIVATE)
    assert error_of(lambda: mm.madvise(BASE + 16 * PAGE, PAGE, c.MADV_REMOVE)) == "EACCES"


@pytest.mark.parametrize(
    ("mode", "offset", "length", "error"),
    [
        (PUNCH, -1, PAGE, "EINVAL"),
        (PUNCH, 0, 0, "EINVAL"),
        (PUNCH, 0, -PAGE, "EINVAL"),
        (c.FALLOC_FL_PUNCH_HOLE, 0, PAGE, errno.errorcode[errno.EOPNOTSUPP]),
        (PUNCH | 0x10, 0, PAGE, errno.errorcode[errno.EOPNOTSUPP]),
        (0x1000, 0, PAGE, errno.errorcode[errno.EOPNOTSUPP]),
        (PUNCH, (1 << 63) - 1, PAGE, "EFBIG"),
        (PUNCH, 1 << 62, PAGE, "ok"),
    ],
)
def test_errors_of_fallocate(make_mm: MakeMm, impl: str, mode: int, offset: int, length: int, error: str) -> None:
    file = make_mm(impl).create_file(PAGE)
    assert error_of(lambda: file.fallocate(mode, offset, length)) == error


# ---- valid, unknown, not modelled ----


def test_which_advice_a_kernel_knows(impl: str) -> None:
    mm = Mm(impl)
    map_anon(mm, 1)
    known = {*range(5), *range(8, 20)} | of(impl, set(), {24})
    left_out = {20, 21, 100, 101} | of(impl, set(), {22, 23, 25})
    for advice in (*range(-2, 30), 99, 100, 101, 102, 1 << 31, (1 << 32) - 1):
        try:
            answer = error_of(partial(mm.madvise, BASE, PAGE, advice))
        except NotModelled as error:
            assert advice in left_out, advice
            assert f"({advice})" in str(error)
            assert str(error).startswith("madvise: MADV_")
        else:
            expected = "ok" if advice in known else "EINVAL"
            assert answer == ("EINVAL" if advice == c.MADV_REMOVE else expected), advice  # anonymous memory
    mm.madvise(BASE, PAGE, 1 << 40 | c.MADV_DONTDUMP)  # a C int
    assert mm.smaps()[0].vm_flags & c.VM_DONTDUMP


def test_not_modelled_is_no_error_of_the_kernel() -> None:
    assert not issubclass(NotModelled, OSError)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (mc.MAP_GROWSDOWN, "MAP_GROWSDOWN"),
        (mc.MAP_32BIT, "MAP_32BIT"),
        (mc.MAP_HUGETLB | 30 << mc.MAP_HUGE_SHIFT, "MAP_HUGE_1GB"),
    ],
)
def test_mappings_that_are_not_modelled(impl: str, flags: int, name: str) -> None:
    mm = Mm(impl)
    with pytest.raises(NotModelled, match=name):
        mm.mmap(None, PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | flags)
    assert mm.smaps() == []


def test_mappings_of_files_that_are_not_modelled(impl: str) -> None:
    mm = Mm(impl)
    file = mm.create_file(PAGE)
    with pytest.raises(NotModelled, match="MAP_SHARED_VALIDATE"):
        mm.mmap(None, PAGE, RW, mc.MAP_SHARED_VALIDATE, file)
    assert error_of(lambda: mm.mmap(None, PAGE, RW, mc.MAP_SHARED_VALIDATE | c.MAP_ANONYMOUS)) == "EINVAL"
    assert error_of(lambda: mm.mmap(None, PAGE, RW, c.MAP_SHARED | mc.MAP_HUGETLB, file)) == "EINVAL"  # not of hugetlbfs
    for change in (lambda: mm.create_file((1 << 48) + 1), lambda: file.truncate(1 << 60)):
        with pytest.raises(NotModelled, match="file of"):
            change()
    assert file.nbytes == PAGE
    for mode in (0, c.FALLOC_FL_KEEP_SIZE, mc.FALLOC_FL_COLLAPSE_RANGE):
        with pytest.raises(NotModelled, match="fallocate"):
            file.fallocate(mode, 0, PAGE)
    map_file(mm, file, 1)
    with pytest.raises(NotModelled, match="MADV_WILLNEED"):
        mm.madvise(BASE, PAGE, c.MADV_WILLNEED)


def test_flags_that_every_kernel_ignores(impl: str) -> None:
    mm = Mm(impl)
    ignored = mc.MAP_STACK | mc.MAP_DENYWRITE | mc.MAP_EXECUTABLE | 0x200 | 1 << 40 | 30 << mc.MAP_HUGE_SHIFT
    mm.mmap(BASE, PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED)
    mm.mmap(BASE + PAGE, PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED | ignored)
    assert mm.map_count == 1


def test_huge_tlb_pages_are_vmas_only(impl: str) -> None:
    mm = Mm(impl)
    flags = c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED | mc.MAP_HUGETLB
    mm.mmap(BASE, 1 << 21, RW, flags | 21 << mc.MAP_HUGE_SHIFT)
    assert error_of(lambda: mm.mmap(BASE, 1 << 21, RW, flags | 22 << mc.MAP_HUGE_SHIFT)) == "EINVAL"
    for use in (lambda: mm.touch(BASE, 1), lambda: mm.touch(BASE - PAGE, 1 << 22), lambda: mm.mremap(BASE, 1 << 21, 1 << 22)):
        with pytest.raises(NotModelled, match="VM_HUGETLB"):
            use()
    mm.mlock(BASE, 1 << 21)
    assert mm.locked_vm == 0


def test_stacks_are_not_modelled(impl: str) -> None:
    mm = Mm(impl)
    map_anon(mm, 1)
    for name in ("PROT_GROWSDOWN", "PROT_GROWSUP"):
        with pytest.raises(NotModelled, match=name):
            mm.mprotect(BASE, PAGE, getattr(mc, name))
