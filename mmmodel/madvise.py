"""madvise.  Models mm/madvise.c, 5.10 to 6.12; what it leaves out is refused before the call (:mod:`mmmodel.modelled`)."""

from __future__ import annotations

from mmmodel.constants import (
    _PAGE_ACCESSED,
    _PAGE_DIRTY,
    MADV_DODUMP,
    MADV_DOFORK,
    MADV_DONTDUMP,
    MADV_DONTFORK,
    MADV_DONTNEED,
    MADV_DONTNEED_LOCKED,
    MADV_FREE,
    MADV_HUGEPAGE,
    MADV_KEEPONFORK,
    MADV_MERGEABLE,
    MADV_NOHUGEPAGE,
    MADV_NORMAL,
    MADV_RANDOM,
    MADV_REMOVE,
    MADV_SEQUENTIAL,
    MADV_UNMERGEABLE,
    MADV_WILLNEED,
    MADV_WIPEONFORK,
    PAGE_NUMBERS,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SIZE,
    SWP_SWAPFILE,
    VM_DONTCOPY,
    VM_DONTDUMP,
    VM_DROPPABLE,
    VM_HUGEPAGE,
    VM_HUGETLB,
    VM_IO,
    VM_LOCKED,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_MERGEABLE,
    VM_NOHUGEPAGE,
    VM_PFNMAP,
    VM_RAND_READ,
    VM_SEQ_READ,
    VM_SHARED,
    VM_SPECIAL,
    VM_WIPEONFORK,
    PG_active,
    PG_dirty,
    PG_lru,
    PG_referenced,
    PG_swapbacked,
    PG_swapcache,
    PG_unevictable,
)
from mmmodel.errno_codes import EACCES, EAGAIN, EINVAL, ENOMEM
from mmmodel.jit import kernel, unit
from mmmodel.kernels import V6_1
from mmmodel.lru import add_page_to_lru_list, del_page_from_lru_list
from mmmodel.mlock_batch import lru_add_drain
from mmmodel.pagenumber import page_address, page_count, page_number
from mmmodel.pages import is_zero_pfn, page_mapcount, page_trans_compound
from mmmodel.pgtable import next_pmd, pmd_huge, pmd_present, pte_none, pte_offset, pte_pfn, pte_present, swp_type
from mmmodel.state import KERNEL, State
from mmmodel.swap import free_swap_and_cache, try_to_free_swap
from mmmodel.vma import find_vma, vma_modify_flags
from mmmodel.zap import punch_hole, zap_page_range


@kernel
def madvise_behavior_valid(version: int, advice: int) -> bool:
    """Whether the kernel knows an advice, and the model too.  Models madvise_behavior_valid()."""
    if advice in (MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE, MADV_REMOVE):
        return True
    if advice in (MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE):
        return True
    if advice in (MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK):
        return True
    return advice == MADV_DONTNEED_LOCKED and version >= V6_1


# ---- advice that is a flag of the VMA ----


@kernel
def _fork_or_dump_flags(old: int, file: int, advice: int) -> int:
    """The flags after advice on fork and core dumps, or -EINVAL."""
    if advice == MADV_DONTFORK:
        return old | VM_DONTCOPY
    if advice == MADV_DOFORK:
        return old & ~VM_DONTCOPY if old & VM_IO == 0 else -EINVAL
    if advice == MADV_WIPEONFORK:
        return old | VM_WIPEONFORK if file == 0 and old & VM_SHARED == 0 else -EINVAL
    if advice == MADV_KEEPONFORK:
        return old & ~VM_WIPEONFORK if old & VM_DROPPABLE == 0 else -EINVAL
    if advice == MADV_DONTDUMP:
        return old | VM_DONTDUMP
    dumped = old & VM_HUGETLB != 0 or old & VM_SPECIAL == 0
    return old & ~VM_DONTDUMP if dumped and old & VM_DROPPABLE == 0 else -EINVAL


@kernel
def _advised_flags(old: int, file: int, advice: int) -> int:
    """The flags of a VMA after an advice, or -EINVAL.

    Models hugepage_madvise() and ksm_madvise(), simplified: no page is ever merged.
    """
    if advice == MADV_NORMAL:
        return old & ~(VM_RAND_READ | VM_SEQ_READ)
    if advice == MADV_SEQUENTIAL:
        return (old & ~VM_RAND_READ) | VM_SEQ_READ
    if advice == MADV_RANDOM:
        return (old & ~VM_SEQ_READ) | VM_RAND_READ
    if advice == MADV_HUGEPAGE:
        return (old & ~VM_NOHUGEPAGE) | VM_HUGEPAGE if old & (VM_SPECIAL | VM_HUGETLB) == 0 else -EINVAL
    if advice == MADV_NOHUGEPAGE:
        return (old & ~VM_HUGEPAGE) | VM_NOHUGEPAGE
    if advice == MADV_MERGEABLE:
        return old | VM_MERGEABLE if old & (VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_HUGETLB | VM_DROPPABLE) == 0 else old
    if advice == MADV_UNMERGEABLE:
        return old & ~VM_MERGEABLE
    return _fork_or_dump_flags(old, file, advice)


@kernel
def madvise_behavior(s: State, mm: int, position: int, prev: int, start: int, end: int, advice: int) -> tuple[int, int]:
    """Give [start, end) of a VMA the flags of an advice: (error, position).  Models madvise_behavior()."""
    record = s.vmas[s.order[position]]
    oldflags = record["vm_flags"]
    newflags = _advised_flags(oldflags, record["vm_file"], advice)
    if newflags < 0:
        return newflags, position
    if newflags == oldflags:
        return 0, position
    error, position = vma_modify_flags(s, mm, position, prev, start, end, newflags)
    if error == 0:
        s.vmas[s.order[position]]["vm_flags"] = newflags
    elif s.ctl[KERNEL] >= V6_1 and error == -ENOMEM:  # 5.10 converts failures of the allocator only, not this limit
        error = -EAGAIN
    return error, position


# ---- advice that takes pages ----


@kernel
def _madvise_dontneed(s: State, mm: int, vma: int, start: int, end: int, advice: int) -> int:
    """Drop the pages of [start, end) of one VMA; only MADV_DONTNEED_LOCKED may do that to a locked one."""
    refused = VM_HUGETLB | VM_PFNMAP
    if advice == MADV_DONTNEED:
        refused |= VM_LOCKED
    if s.vmas[vma]["vm_flags"] & refused != 0:
        return -EINVAL
    zap_page_range(s, mm, vma, start, end)
    return 0


@kernel
def mark_page_lazyfree(s: State, pfn: int) -> None:
    """Move an anonymous page to the inactive file list, where reclaim drops it if it is still clean.

    Models mark_page_lazyfree(), simplified: at once, not through a per-CPU vector.
    """
    flags = s.pages[pfn]["flags"]
    wanted = PG_lru | PG_swapbacked
    if flags & (wanted | PG_unevictable) != wanted:
        return
    del_page_from_lru_list(s.pages, s.counters, s.ctl[KERNEL], pfn)
    s.pages[pfn]["flags"] &= ~(PG_active | PG_referenced | PG_swapbacked)
    add_page_to_lru_list(s.pages, s.counters, s.ctl[KERNEL], pfn)


@kernel
def _cleaned(s: State, pfn: int) -> bool:
    """Whether a page that is in swap or dirty can count as clean: not if others map it, or if an entry needs its slot."""
    if s.pages[pfn]["mapcount"] != 1 or (s.pages[pfn]["flags"] & PG_swapcache != 0 and not try_to_free_swap(s, pfn)):
        return False
    s.pages[pfn]["flags"] &= ~PG_dirty
    return True


@kernel
def _free_pte_range(s: State, pmd: int, address: int, end: int) -> None:
    """Mark the pages under one PMD entry as free to be dropped.  Models madvise_free_pte_range(), order-0 pages only."""
    first = pte_offset(s, pmd, address)
    for slot in range(first, first + ((end - address) >> PAGE_SHIFT)):
        entry = s.entries[slot]
        if pte_none(entry):
            continue
        if not pte_present(entry):
            if swp_type(entry) == SWP_SWAPFILE:
                s.entries[slot] = 0
                free_swap_and_cache(s, entry)
            continue
        pfn = pte_pfn(entry)
        if s.pages[pfn]["flags"] & (PG_swapcache | PG_dirty) != 0 and not _cleaned(s, pfn):
            continue
        if not is_zero_pfn(s.pages, pfn):
            s.entries[slot] = entry & ~(_PAGE_ACCESSED | _PAGE_DIRTY)
            mark_page_lazyfree(s, pfn)


@unit
def _madvise_free(s: State, mm: int, vma: int, start: int, end: int) -> int:
    """MADV_FREE on [start, end) of one VMA.  Models madvise_free_single_vma()."""
    if s.vmas[vma]["vm_flags"] & (VM_LOCKED | VM_HUGETLB | VM_PFNMAP) != 0 or s.vmas[vma]["vm_file"] != 0:
        return -EINVAL
    lru_add_drain(s)
    while start < end:
        start, pmd = next_pmd(s, mm, start, end)
        if pmd == 0:
            break
        following = min((start & -PMD_SIZE) + PMD_SIZE, end)
        entry = s.entries[pmd]
        if pmd_huge(entry):
            pfn = pte_pfn(entry)
            if not is_zero_pfn(s.pages, pfn) and page_mapcount(s.pages, pfn) == 1:
                s.entries[pmd] = entry & ~(_PAGE_ACCESSED | _PAGE_DIRTY)
                mark_page_lazyfree(s, pfn)
        elif pmd_present(entry):
            _free_pte_range(s, pmd, start, following)
        start = following
    return 0


@kernel
def _madvise_remove(s: State, vma: int, start: int, end: int) -> int:
    """Punch a hole into the file that [start, end) of a VMA maps.

    Models madvise_remove() of 5.10.262 and 6.1.192: the mapping may be read-only, if it may become writable.
    """
    record = s.vmas[vma]
    if record["vm_flags"] & VM_LOCKED != 0 or record["vm_file"] == 0:
        return -EINVAL
    if record["vm_flags"] & (VM_SHARED | VM_MAYWRITE) != VM_SHARED | VM_MAYWRITE:
        return -EACCES
    first = record["vm_pgoff"] + ((start - record["vm_start"]) >> PAGE_SHIFT)
    punch_hole(s, record["vm_file"], first, first + ((end - start) >> PAGE_SHIFT))
    return 0


@kernel
def _madvise_vma(s: State, mm: int, position: int, prev: int, start: int, end: int, advice: int) -> tuple[int, int]:
    """Models madvise_vma(): (error, position of the VMA that now ends there)."""
    vma = s.order[position]
    if advice in (MADV_DONTNEED, MADV_DONTNEED_LOCKED):
        return _madvise_dontneed(s, mm, vma, start, end, advice), position
    if advice == MADV_FREE:
        return _madvise_free(s, mm, vma, start, end), position
    if advice == MADV_REMOVE:
        return _madvise_remove(s, vma, start, end), position
    if advice == MADV_WILLNEED:  # reading ahead into the swap cache changes no answer
        lru_add_drain(s)
        return 0, position
    return madvise_behavior(s, mm, position, prev, start, end, advice)


@unit
def do_madvise(s: State, mm: int, start: int, length: int, advice: int) -> int:
    """0 or -errno; a hole is passed over and reported as -ENOMEM at the end.

    Models do_madvise(), simplified: the advice of :func:`madvise_behavior_valid` only.
    """
    if not madvise_behavior_valid(s.ctl[KERNEL], advice) or start & (PAGE_SIZE - 1) != 0:
        return -EINVAL
    first, pages = page_number(start), page_count(length)
    if first + pages > PAGE_NUMBERS or (length != 0 and pages == 0):
        return -EINVAL
    if pages == 0:
        return 0
    start, end = page_address(first), page_address(first + pages)
    unmapped_error = 0
    position = find_vma(s, mm, start)
    while True:
        if position == s.mms[mm]["map_count"]:
            return -ENOMEM
        record = s.vmas[s.order[position]]
        if start < record["vm_start"]:
            unmapped_error = -ENOMEM
            start = record["vm_start"]
            if start >= end:
                return unmapped_error
        prev = position if start > record["vm_start"] else position - 1
        stop = min(record["vm_end"], end)
        error, prev = _madvise_vma(s, mm, position, prev, start, stop, advice)
        if error != 0:
            return error
        start = max(stop, s.vmas[s.order[prev]]["vm_end"]) if stop < end else stop
        if start >= end:
            return unmapped_error
        position = prev + 1


# ---- what is left out ----


@unit
def _needs_split_huge_page(s: State, mm: int, start: int, end: int) -> int:
    """1 if MADV_FREE would take a huge page apart: a part of one in [start, end), or one mapped by entries."""
    while start < end:
        start, pmd = next_pmd(s, mm, start, end)
        if pmd == 0:
            return 0
        following = min((start & -PMD_SIZE) + PMD_SIZE, end)
        entry = s.entries[pmd]
        if pmd_huge(entry):
            if following - start != PMD_SIZE and not is_zero_pfn(s.pages, pte_pfn(entry)):
                return 1
        elif pmd_present(entry):
            slot = pte_offset(s, pmd, start)
            for entry in s.entries[slot : slot + ((following - start) >> PAGE_SHIFT)]:
                if pte_present(entry) and page_trans_compound(s.pages, pte_pfn(entry)):
                    return 1
        start = following
    return 0


@unit
def madvise_is_left_out(s: State, mm: int, start: int, length: int, advice: int) -> int:
    """1 if an advice on this range does what the model does not: see :func:`mmmodel.modelled.advice_left_out`."""
    first, pages = page_number(start), page_count(length)
    if first + pages > PAGE_NUMBERS:
        return 0
    start, end = page_address(first), page_address(first + pages)
    position = find_vma(s, mm, start)
    while position < s.mms[mm]["map_count"]:
        record = s.vmas[s.order[position]]
        if record["vm_start"] >= end:
            break
        if advice == MADV_WILLNEED and record["vm_file"] != 0 and s.files[record["vm_file"]]["shmem"] == 0:
            return 1
        low, high = max(start, record["vm_start"]), min(end, record["vm_end"])
        freed = advice == MADV_FREE and record["vm_file"] == 0 and record["vm_flags"] & VM_LOCKED == 0
        if freed and _needs_split_huge_page(s, mm, low, high) != 0:
            return 1
        position += 1
    return 0
