"""The paths that lock and unlock pages, one step at a time, for who wants to interleave them.

Each path is the call of the same name again, as a generator over the functions that the call itself is made of
(:func:`mmmodel.jit.step`): it is cut where the kernel takes or drops a lock, and where it stores what others see without that
lock, vm_flags and page flags.  ``tests/model/test_steps.py`` holds that a path run to its end leaves what the call leaves.

A path yields a :class:`Step` before it takes it; resumed, it goes on to the next.  Who drives it

- resumes it only if no other task has a lock of ``takes``, but for readers together; the task has those from then on, until it
  has resumed a step that ``drops`` them;
- sends it whether it now has the lock of ``tries``, which it has if no other task has it;
- sets ``ctl[CPU]`` to the CPU of the task before it resumes, since vectors are a CPU's;
- holds mmap_lock for the paths that say so.

What a task will do next depends on the arrays and on :func:`position`, so that these tell states apart.  ``ctl[LEFT_OUT]``
says what the paths leave out, to see what it is there for.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Hashable
from typing import Final, NamedTuple, TypeAlias

from mmmodel.constants import NODE_SHIFT, PMD_SIZE, PG_lru, PG_mlocked, PG_tail
from mmmodel.kernels import V6_1
from mmmodel.lru import (
    count_lru_add,
    count_lru_lock,
    free_page,
    isolate_locked,
    lru_add_append,
    lru_add_list,
    page_evictable,
    page_unevictable,
    put_page_testzero,
    set_page_lru,
    test_clear_page_lru,
    test_clear_page_unevictable,
)
from mmmodel.mlock_batch import (
    LRU_PAGE,
    MUNLOCK_ENTRY,
    NEW_PAGE,
    account_munlocked,
    add_new_page,
    count_batch,
    count_munlock,
    count_or_cull_page,
    rescue_page,
)
from mmmodel.pages import test_clear_page_mlocked, thp_nr_pages
from mmmodel.pgtable import pmd_slot, pte_offset
from mmmodel.state import CPU, KERNEL, LEFT_OUT, LRU_ADD_PVEC, MLOCK_PVEC, State

# What can be left out: bits of ctl[LEFT_OUT].
VM_IO_GUARD: Final = 1 << 0  # VM_IO is set while pages are locked, so that others do not count what the walk will
ONE_STORE: Final = 1 << 1  # VM_IO and VM_LOCKED appear together, not one after the other
FLAGS_FIRST: Final = 1 << 2  # VM_LOCKED is changed before the walk, not after it
DRAINS: Final = 1 << 3  # the batch is processed before and after the walk
MIGRATION_DRAIN: Final = 1 << 4  # migration processes the batch before it drops the page table lock
ALL_SPECIAL: Final = 1 << 5  # the reverse map declines every VM_SPECIAL flag; without, VM_IO alone, as patch 07 did
BATCHES: Final = 1 << 6  # pages wait in a CPU's batch; without, each is changed at once, as after patch 07


class Lock(NamedTuple):
    """One lock, taken to be alone or with other readers."""

    kind: str  # "lru_lock", "ptl", "rmap", "page"
    number: int  # node, entry or table, mapping, pfn
    shared: bool = False  # by readers, who keep out writers only

    def excludes(self, other: Lock) -> bool:
        """Whether no two tasks can have both."""
        return self[:2] == other[:2] and not (self.shared and other.shared)


class Step(NamedTuple):
    """What a task does between two moments at which others may come in."""

    name: str
    needs: tuple[Lock, ...] = ()  # that the task has
    takes: tuple[Lock, ...] = ()  # before it
    drops: tuple[Lock, ...] = ()  # after it
    tries: Lock | None = None  # taken before it if nobody has it
    quiet: bool = False  # it takes or drops locks, and does nothing else that another task could tell


Path: TypeAlias = Generator[Step, bool, None]
Held: TypeAlias = Generator[Step, bool, Lock | None]  # ends with the LRU lock that the task still has


def take(name: str, *locks: Lock, needs: tuple[Lock, ...] = ()) -> Step:
    """Locks are taken.  Before its next step the path reads only what they protect, and what nobody changes."""
    return Step(name, needs=needs, takes=locks, quiet=True)


def drop(name: str, *locks: Lock) -> Step:
    """Locks are dropped.  Before its next step the path reads and stores only what is its task's or its CPU's own."""
    return Step(name, needs=locks, drops=locks, quiet=True)


def left_out(s: State, what: int) -> bool:
    """Whether the paths leave something out."""
    return bool(int(s.ctl[LEFT_OUT]) & what)


def position(path: Path) -> Hashable:
    """Where a path stands: the functions that it is in, the place in each, and their local numbers; empty at the end."""
    frames: list[Hashable] = []
    generator: object = path
    while inspect.isgenerator(generator) and generator.gi_frame is not None:
        local = {name: value for name, value in inspect.getgeneratorlocals(generator).items() if isinstance(value, Hashable)}
        local.pop("s", None)
        frames.append((generator.__qualname__, generator.gi_frame.f_lasti, tuple(sorted(local.items()))))
        generator = generator.gi_yieldfrom
    return tuple(frames)


def entry_of(s: State, vma: int, address: int) -> tuple[Lock, int]:
    """The page table lock of an address, and the slot of its entry.  ValueError: there is no page table."""
    pmd = pmd_slot(s, int(s.vmas[vma]["vm_mm"]), address)
    if not pmd:
        raise ValueError(f"no page table at {address:#x}")
    return Lock("ptl", pmd), int(pte_offset(s, pmd, address))


def lru_lock(s: State, pfn: int) -> Lock:
    """The lock of the LRU lists that the page belongs to."""
    return Lock("lru_lock", int(s.pages[pfn]["flags"]) >> NODE_SHIFT)


def relock_lru(s: State, pfn: int, held: Lock | None) -> Held:
    """folio_lruvec_relock_irq(): the LRU lock of this page in place of another one's."""
    lock = lru_lock(s, pfn)
    if held == lock:
        return held
    if held is not None:
        yield drop("unlock LRU", held)
    yield take("lock LRU", lock)
    return lock


def unlock_lru(held: Lock | None) -> Path:
    """The LRU lock is dropped, if the task has it."""
    if held is not None:
        yield drop("unlock LRU", held)


def put_one_page(s: State, pfn: int) -> Path:
    """put_page(): whoever drops the last reference frees the page, for which it needs the LRU lock if that is on an LRU."""
    yield Step("put_page")
    head = int(s.pages[pfn]["compound"]) if int(s.pages[pfn]["flags"]) & PG_tail else pfn
    if not put_page_testzero(s.pages, head):
        return
    if int(s.pages[head]["flags"]) & PG_lru:
        lock = lru_lock(s, head)
        yield Step("free page", takes=(lock,), drops=(lock,))
    free_page(s, head)


# ---- vectors on their way to the LRU lists ----


def lru_add_fn(s: State, pfn: int, held: Lock) -> Path:
    """One page of a vector goes to its list.  PG_lru comes first until 6.1, so also after patch 07."""
    version = int(s.ctl[KERNEL])
    lru_first = version < V6_1 or left_out(s, BATCHES)
    yield Step("TestClearPageUnevictable", needs=(held,))
    was_unevictable = test_clear_page_unevictable(s.pages, pfn)
    if lru_first:
        yield Step("SetPageLRU", needs=(held,))
        set_page_lru(s.pages, pfn)
    yield Step("page_evictable", needs=(held,))
    evictable = page_evictable(s.pages, pfn)
    yield Step("add to list", needs=(held,))
    lru_add_list(s.pages, s.counters, version, pfn, evictable, was_unevictable)
    if not evictable and left_out(s, BATCHES):
        s.pages[pfn]["lru_prev"] = 1 if int(s.pages[pfn]["flags"]) & PG_mlocked else 0  # mlock_count, until patch 10
    if not lru_first:
        yield Step("SetPageLRU", needs=(held,))
        set_page_lru(s.pages, pfn)


def pagevec_lru_add(s: State, cpu: int) -> Path:
    """A CPU's vector is emptied."""
    pvec = s.pvecs[cpu, LRU_ADD_PVEC]
    pfns = tuple(int(pfn) for pfn in pvec[1 : int(pvec[0]) + 1])
    if not pfns:
        return
    count_lru_add(s.counters, pvec)
    held: Lock | None = None
    for _number, pfn in enumerate(pfns):
        held = yield from relock_lru(s, pfn, held)
        if held is not None:
            yield from lru_add_fn(s, pfn, held)
    yield from unlock_lru(held)
    pvec[0] = 0
    for _number, pfn in enumerate(pfns):
        yield from put_one_page(s, pfn)


def lru_cache_add(s: State, pfn: int) -> Path:
    """A page goes to this CPU's vector."""
    yield Step("add to vector")
    if lru_add_append(s, pfn):
        yield from pagevec_lru_add(s, int(s.ctl[CPU]))


def putback_lru_page(s: State, pfn: int) -> Path:
    """An isolated page goes back."""
    yield from lru_cache_add(s, pfn)
    yield from put_one_page(s, pfn)


def isolate_lru_page(s: State, pfn: int) -> Generator[Step, bool, bool]:
    """A page is taken off its list, if it is on one."""
    lock = lru_lock(s, pfn)
    yield Step("isolate_lru_page", takes=(lock,), drops=(lock,))
    isolated = int(s.pages[pfn]["flags"]) & PG_lru != 0
    if isolated:
        count_lru_lock(s.counters)
        isolate_locked(s, pfn)
    return isolated


# ---- 6.1: a batch ----


def __mlock_page(s: State, pfn: int, held: Lock | None) -> Held:
    """One more lock on a page."""
    yield Step("TestClearPageLRU")
    if not test_clear_page_lru(s.pages, pfn):
        return held
    held = yield from relock_lru(s, pfn, held)
    yield Step("page_evictable")
    evictable = page_evictable(s.pages, pfn)
    yield Step("rescue" if evictable else "mlock_count")
    if evictable:
        rescue_page(s.pages, s.counters, pfn, 0)
    else:
        count_or_cull_page(s.pages, s.counters, pfn)
    yield Step("SetPageLRU")
    set_page_lru(s.pages, pfn)
    return held


def __mlock_new_page(s: State, pfn: int, held: Lock | None) -> Held:
    """A new page, locked when it was put into the batch."""
    held = yield from relock_lru(s, pfn, held)
    yield Step("page_evictable")
    mlocked = not page_evictable(s.pages, pfn)
    yield Step("add to list")
    add_new_page(s.pages, s.counters, pfn, mlocked)
    yield Step("SetPageLRU")
    set_page_lru(s.pages, pfn)
    return held


def __munlock_page(s: State, pfn: int, held: Lock | None) -> Held:
    """One lock less on a page.  Off the LRU it loses PG_mlocked without the LRU lock."""
    yield Step("TestClearPageLRU")
    isolated = test_clear_page_lru(s.pages, pfn)
    if isolated:
        held = yield from relock_lru(s, pfn, held)
        yield Step("mlock_count")
        if count_munlock(s.pages, pfn):
            yield Step("SetPageLRU")
            set_page_lru(s.pages, pfn)
            return held
    yield Step("TestClearPageMlocked")
    if test_clear_page_mlocked(s.pages, pfn):
        stranded = not isolated and page_unevictable(s.pages, pfn)
        account_munlocked(s.counters, thp_nr_pages(s.pages, pfn), stranded)
    if isolated:
        yield Step("page_evictable")
        if page_evictable(s.pages, pfn):
            yield Step("rescue")
            rescue_page(s.pages, s.counters, pfn, 0)
        yield Step("SetPageLRU")
        set_page_lru(s.pages, pfn)
    return held


_OF_TAG = {LRU_PAGE: __mlock_page, NEW_PAGE: __mlock_new_page, MUNLOCK_ENTRY: __munlock_page}


def mlock_pagevec(s: State, cpu: int) -> Path:
    """A CPU's batch is processed, if there is something in it."""
    pvec = s.pvecs[cpu, MLOCK_PVEC]
    batch = tuple((int(word) >> 2, int(word) & 3) for word in pvec[1 : int(pvec[0]) + 1])
    if not batch:
        return
    count_batch(s.counters)
    held: Lock | None = None
    for _number, (pfn, tag) in enumerate(batch):  # a page may be there twice: the number tells where
        before, held = held, (yield from _OF_TAG[tag](s, pfn, held))
        if before is None and held is not None:
            count_lru_lock(s.counters)
    yield from unlock_lru(held)
    pvec[0] = 0
    for _number, (pfn, _tag) in enumerate(batch):
        yield from put_one_page(s, pfn)


def lru_add_drain(s: State) -> Path:
    """This CPU's vectors are emptied."""
    cpu = int(s.ctl[CPU])
    yield from pagevec_lru_add(s, cpu)
    if s.ctl[KERNEL] >= V6_1:
        yield from mlock_pagevec(s, cpu)


def one_pmd(start: int, end: int) -> None:
    """ValueError if [start, end) is empty or not below one PMD entry."""
    if not start < end <= (start & -PMD_SIZE) + PMD_SIZE:
        raise ValueError(f"[{start:#x}, {end:#x}) is not below one PMD entry")
