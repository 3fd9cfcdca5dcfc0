"""Every error of every call that has one for its words alone, or for what is mapped: the manual pages' and the kernels'.

The area: [0, 4) private and anonymous, [4, 8) a file's pages, private, a hole of 8 pages, [16, 20) locked, [24, 28) shared
anonymous memory, all to read and write. Pages are numbers from BASE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oracle import constants as c
from support.facts import BASE, PAGE, READ, RW, areas, error_of, forget_cap, map_anon, map_file, of

MakeMm = Callable[..., Any]
MAY, FIXED, KEEP = c.MREMAP_MAYMOVE, c.MREMAP_FIXED, c.MREMAP_DONTUNMAP
END_OF_WORDS = 1 << 64
TASK_SIZE = (1 << 47) - PAGE
THERE = 4096  # a page where nothing is


def at(page: int) -> int:
    """The address of a page."""
    return BASE + page * PAGE


@pytest.fixture
def mm(make_mm: MakeMm, impl: str) -> Any:
    one = make_mm(impl)
    map_anon(one, 4)
    map_file(one, one.create_file(4 * PAGE), 4, at=at(4), flags=c.MAP_PRIVATE)
    map_anon(one, 4, at=at(16))
    map_anon(one, 4, at=at(24), flags=c.MAP_SHARED)
    one.mlock(at(16), 4 * PAGE)
    return one


MMAP = [
    # length, prot, flags, address: error
    ((at(40), 0, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS), "EINVAL"),
    ((at(40), END_OF_WORDS - PAGE + 1, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS), "ENOMEM"),
    ((at(40), 1 << 48, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS), "ENOMEM"),
    ((at(40), PAGE, RW, c.MAP_ANONYMOUS), "EINVAL"),  # neither private nor shared
    ((at(40) + 1, PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED), "EINVAL"),
    ((TASK_SIZE, PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED), "ENOMEM"),
    ((TASK_SIZE - PAGE, PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED), "ok"),
    ((at(3), 2 * PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED_NOREPLACE), "EEXIST"),
    ((at(8), 8 * PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED_NOREPLACE), "ok"),
]
MUNMAP = [
    ((at(0) + 1, PAGE), "EINVAL"),
    ((at(0), 0), "EINVAL"),
    ((TASK_SIZE, PAGE), "EINVAL"),
    ((at(0), 1 << 47), "EINVAL"),
    ((at(8), 8 * PAGE), "ok"),  # a hole
]
MPROTECT = [
    ((at(0) + 1, PAGE, READ), "EINVAL"),
    ((at(0), PAGE, 0x10), "EINVAL"),
    ((at(0), 0, 0x10), "ok"),  # nothing, looked at first
    ((at(0), END_OF_WORDS - PAGE, READ), "ENOMEM"),  # wraps
    ((at(8), PAGE, READ), "ENOMEM"),
    ((at(7), 2 * PAGE, READ), "ENOMEM"),
    ((at(28), PAGE, READ), "ENOMEM"),  # behind the last
]
MADVISE = [
    ((at(0) + 1, PAGE, c.MADV_DONTNEED), "EINVAL"),
    ((at(0), PAGE, 99), "EINVAL"),
    ((at(0), END_OF_WORDS - 1, c.MADV_DONTNEED), "EINVAL"),  # rounded up it is nothing
    ((at(1), END_OF_WORDS - PAGE, c.MADV_DONTNEED), "EINVAL"),  # wraps
    ((at(8), 0, c.MADV_DONTNEED), "ok"),
    ((at(8), PAGE, c.MADV_DONTNEED), "ENOMEM"),
    ((at(7), 10 * PAGE, c.MADV_RANDOM), "ENOMEM"),
    ((at(27), 2 * PAGE, c.MADV_DONTNEED), "ENOMEM"),
    ((at(16), PAGE, c.MADV_DONTNEED), "EINVAL"),  # locked
    ((at(16), PAGE, c.MADV_FREE), "EINVAL"),
    ((at(4), PAGE, c.MADV_FREE), "EINVAL"),  # a file's
    ((at(0), PAGE, c.MADV_REMOVE), "EINVAL"),  # no file's
    ((at(16), PAGE, c.MADV_REMOVE), "EINVAL"),
    ((at(4), PAGE, c.MADV_REMOVE), "EACCES"),  # private
    ((at(24), PAGE, c.MADV_REMOVE), "ok"),
    ((at(4), PAGE, c.MADV_WIPEONFORK), "EINVAL"),
    ((at(24), PAGE, c.MADV_WIPEONFORK), "EINVAL"),
    ((at(0), PAGE, c.MADV_WIPEONFORK), "ok"),
]
MSYNC = [
    ((at(0) + 1, PAGE, c.MS_SYNC), "EINVAL"),
    ((at(0), PAGE, 8), "EINVAL"),
    ((at(0), PAGE, c.MS_SYNC | c.MS_ASYNC), "EINVAL"),
    ((at(1), END_OF_WORDS - PAGE, c.MS_SYNC), "ENOMEM"),  # wraps
    ((at(8), 0, c.MS_SYNC), "ok"),
    ((at(8), PAGE, c.MS_SYNC), "ENOMEM"),
    ((at(28), PAGE, c.MS_SYNC), "ENOMEM"),
    ((at(7), 10 * PAGE, c.MS_ASYNC), "ENOMEM"),
    ((at(7), 10 * PAGE, c.MS_INVALIDATE), "EBUSY"),  # beyond the hole, which would be told at the end
    ((at(16), PAGE, c.MS_INVALIDATE | c.MS_SYNC), "EBUSY"),
    ((at(16), PAGE, c.MS_SYNC), "ok"),
]
MREMAP = [
    # from, old length, new length, flags, to: error
    ((at(0), PAGE, PAGE, 8, 0), "EINVAL"),
    ((at(0), PAGE, PAGE, FIXED, at(THERE)), "EINVAL"),
    ((at(0), PAGE, PAGE, KEEP, 0), "EINVAL"),
    ((at(0), PAGE, 2 * PAGE, MAY | KEEP, 0), "EINVAL"),
    ((at(0) + 1, PAGE, PAGE, 0, 0), "EINVAL"),
    ((at(0), PAGE, 0, 0, 0), "EINVAL"),
    ((at(0), 0, PAGE, MAY, 0), "EINVAL"),  # a second mapping of what is private
    ((at(24), 0, PAGE, MAY, 0), "ok"),
    ((at(0), PAGE, PAGE, MAY | FIXED, at(THERE) + 1), "EINVAL"),
    ((at(0), PAGE, PAGE, MAY | FIXED, TASK_SIZE), "EINVAL"),
    ((at(0), PAGE, PAGE, MAY | FIXED, TASK_SIZE - PAGE), "ok"),
    ((at(0), 2 * PAGE, 2 * PAGE, MAY | FIXED, at(1)), "EINVAL"),  # overlaps
    ((at(1), 2 * PAGE, 2 * PAGE, MAY | FIXED, at(0)), "EINVAL"),
    ((at(8), PAGE, 2 * PAGE, MAY, 0), "EFAULT"),
    ((at(28), PAGE, 2 * PAGE, MAY, 0), "EFAULT"),
    ((at(3), 2 * PAGE, 3 * PAGE, MAY, 0), "EFAULT"),  # two VMAs
    ((at(3), 2 * PAGE, 2 * PAGE, MAY | FIXED, at(THERE)), "EFAULT"),
    ((at(0), 4 * PAGE, 5 * PAGE, 0, 0), "ENOMEM"),  # no room to grow, and it may not move
    ((at(4), 4 * PAGE, 13 * PAGE, 0, 0), "ENOMEM"),
    ((at(4), 4 * PAGE, 12 * PAGE, 0, 0), "ok"),
    ((at(0), 4 * PAGE, 1 << 48, MAY, 0), "ENOMEM"),
    ((at(0), 4 * PAGE, 4 * PAGE, MAY | FIXED, at(THERE)), "ok"),
]
CASES = [
    *(("mmap", words, error) for words, error in MMAP),
    *(("munmap", words, error) for words, error in MUNMAP),
    *(("mprotect", words, error) for words, error in MPROTECT),
    *(("madvise", words, error) for words, error in MADVISE),
    *(("msync", words, error) for words, error in MSYNC),
    *(("mremap", words, error) for words, error in MREMAP),
]


@pytest.mark.parametrize(("call", "words", "error"), CASES, ids=[f"{call}-{number}" for number, (call, *_) in enumerate(CASES)])
def test_what_is_refused(mm: Any, call: str, words: tuple[int, ...], error: str) -> None:
    assert error_of(lambda: getattr(mm, call)(*words)) == error


def test_what_the_kernels_answer_differently(mm: Any, impl: str) -> None:
    keep = (at(4), PAGE, PAGE, MAY | KEEP)  # 5.10: private anonymous memory only
    assert error_of(lambda: mm.mremap(*keep)) == of(impl, "EINVAL", "ok")
    assert error_of(lambda: mm.madvise(at(16), PAGE, c.MADV_DONTNEED_LOCKED)) == of(impl, "EINVAL", "ok")
    assert error_of(lambda: mm.mremap(at(9), 2 * PAGE, PAGE)) == of(impl, "ok", "EFAULT")  # 5.10 shrinks what is not there


def test_what_the_limit_on_locked_memory_refuses(mm: Any) -> None:
    """Four pages are locked, and five may be."""
    forget_cap(mm, 5 * PAGE)
    lock = c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_LOCKED
    assert error_of(lambda: mm.mmap(at(40), 2 * PAGE, RW, lock)) == "EAGAIN"
    assert error_of(lambda: mm.mremap(at(16), 4 * PAGE, 6 * PAGE)) == "EAGAIN"
    assert error_of(lambda: mm.mremap(at(16), 4 * PAGE, 5 * PAGE)) == "ok"
    assert error_of(lambda: mm.mlock(at(0), PAGE)) == "ENOMEM"
    assert error_of(lambda: mm.mlockall(c.MCL_CURRENT)) == "ENOMEM"
    mm.setrlimit_memlock(0)
    assert error_of(lambda: mm.mmap(at(60), PAGE, RW, lock)) == "EPERM"
    assert error_of(lambda: mm.mlock(at(0), PAGE)) == "EPERM"
    assert error_of(lambda: mm.mlockall(c.MCL_FUTURE)) == "EPERM"


def test_what_memory_that_is_not_there_refuses(make_mm: MakeMm, impl: str) -> None:
    """Private memory is charged as it becomes writable: what one call asks for must fit."""
    one = make_mm(impl, ram=64 << 20)
    lazy = c.MAP_PRIVATE | c.MAP_ANONYMOUS
    assert error_of(lambda: one.mmap(at(0), 65 << 20, RW, lazy)) == "ENOMEM"
    assert error_of(lambda: one.mmap(at(0), 65 << 20, READ, lazy)) == "ok"
    assert error_of(lambda: one.mprotect(at(0), 65 << 20, RW)) == "ENOMEM"
    assert error_of(lambda: one.mprotect(at(0), 32 << 20, RW)) == "ok"
    assert error_of(lambda: one.mremap(at(0), 32 << 20, 97 << 20, MAY)) == "ENOMEM"
    assert error_of(lambda: one.mremap(at(0), 32 << 20, 64 << 20, MAY)) == "ok"  # what is added is what is charged
    alone = make_mm(impl, ram=64 << 20)
    alone.mmap(at(0), 32 << 20, RW, lazy)
    assert error_of(lambda: alone.mremap(at(0), 32 << 20, 97 << 20)) == "ENOMEM"  # where it lies
    assert error_of(lambda: alone.mremap(at(0), 32 << 20, 64 << 20)) == "ok"


def test_a_fork_is_charged_vma_by_vma(make_mm: MakeMm, impl: str) -> None:
    """Two halves that fit are one VMA that does not."""
    one = make_mm(impl, ram=64 << 20)
    for half in range(2):
        one.mmap(at(0) + half * (40 << 20), 40 << 20, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS)
        assert error_of(one.fork) == ("ok", "ENOMEM")[half]


def test_what_is_refused_changes_nothing(mm: Any) -> None:
    whole = areas(mm)
    for call, words, error in CASES:
        if error in ("EINVAL", "EEXIST") or (error == "ENOMEM" and call in ("mmap", "mremap", "msync")):
            assert error_of(lambda call=call, words=words: getattr(mm, call)(*words)) == error  # type: ignore[misc]
    assert areas(mm) == whole
