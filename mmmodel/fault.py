"""Page faults: handle_mm_fault() and below.

Models mm/memory.c and mm/huge_memory.c, 5.10 to 6.12, simplified: no userfaultfd, no NUMA hints, no retry.  Where a fault
needs a frame or table the caller has asked :func:`mmmodel.pages.arena_low` before.
"""

from __future__ import annotations

from mmmodel.constants import (
    _PAGE_ACCESSED,
    _PAGE_DIRTY,
    _PAGE_PSE,
    _PAGE_RW,
    _PAGE_SPECIAL,
    FAULT_AROUND_PAGES,
    HPAGE_PMD_NR,
    MAX_FOLIO_ORDER,
    MIN_FOLIO_ORDER,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SIZE,
    SWP_EXCLUSIVE,
    SWP_SWAPFILE,
    VM_ACCESS_FLAGS,
    VM_DROPPABLE,
    VM_HUGEPAGE,
    VM_LOCKED,
    VM_NOHUGEPAGE,
    VM_SHARED,
    VM_SPECIAL,
    VM_WRITE,
    PG_anon_exclusive,
    PG_lru,
    PG_mlocked,
    PG_swapbacked,
    PG_swapcache,
)
from mmmodel.counters import FAULTS, PAGE_LOCK
from mmmodel.counting import count
from mmmodel.errno_codes import EDEADLK, EFAULT, NEED_ROOM
from mmmodel.filemap import filemap_fault, find_get_page
from mmmodel.jit import kernel, unit
from mmmodel.kernels import V6_1, V6_12
from mmmodel.lru import put_page
from mmmodel.mlock_batch import lru_add_drain
from mmmodel.munlock_page import munlock_vma_page
from mmmodel.pages import (
    alloc_huge_page,
    alloc_large_folio,
    alloc_page,
    arena_low,
    compound_head,
    get_page,
    huge_zero_page,
    is_zero_pfn,
    page_trans_compound,
)
from mmmodel.pgtable import (
    alloc_pmd,
    alloc_pte,
    alloc_table,
    deposit_table,
    find_pmd,
    mk_pte,
    pmd_huge,
    pte_none,
    pte_offset,
    pte_pfn,
    pte_present,
    swp_offset,
    swp_type,
    vm_page_prot,
)
from mmmodel.rmap import (
    add_mapping,
    lru_cache_add_inactive_or_unevictable,
    page_add_new_anon_rmap,
    page_add_rmap,
    page_remove_rmap,
)
from mmmodel.split import split_huge_pmd
from mmmodel.state import ANON_ORDERS, CURSOR, KERNEL, THP, ZERO_PFN, State
from mmmodel.swap import free_swap_cache, swap_count, swapin, try_to_free_swap
from mmmodel.vma import anon_vma_prepare, find_vma


@kernel
def _maybe_mkwrite(entry: int, vm_flags: int) -> int:
    """Models maybe_mkwrite(pte_mkdirty(entry), vma)."""
    return entry | _PAGE_DIRTY | _PAGE_RW if vm_flags & VM_WRITE != 0 else entry | _PAGE_DIRTY


@kernel
def anon_page_flags(vm_flags: int) -> int:
    """Flags of a new anonymous page: what may be dropped has no place in swap."""
    return 0 if vm_flags & VM_DROPPABLE != 0 else PG_swapbacked


@kernel
def map_new_anon(s: State, vma: int, address: int, slot: int) -> None:
    """A new anonymous page, mapped at ``slot`` for writing.  The VMA has its anon_vma."""
    vm_flags = s.vmas[vma]["vm_flags"]
    pfn = alloc_page(s, anon_page_flags(vm_flags))
    page_add_new_anon_rmap(s, pfn, vma, address, False)
    lru_cache_add_inactive_or_unevictable(s, pfn, vm_flags)
    s.entries[slot] = _maybe_mkwrite(mk_pte(pfn, vm_page_prot(vm_flags)), vm_flags)


# ---- huge pages ----


@kernel
def _thp_eligible(s: State, vma: int, address: int) -> bool:
    """Whether a fault at ``address`` may map 2 MiB: THP allowed, private anonymous, and the 2 MiB lie inside the VMA."""
    record = s.vmas[vma]
    mode, vm_flags = s.ctl[THP], record["vm_flags"]
    if mode == 0 or (mode == 1 and vm_flags & VM_HUGEPAGE == 0):
        return False
    if record["vm_file"] != 0 or vm_flags & (VM_SHARED | VM_NOHUGEPAGE | VM_SPECIAL) != 0:
        return False
    start = address & -PMD_SIZE
    return start >= record["vm_start"] and start + PMD_SIZE <= record["vm_end"]


@unit
def do_huge_pmd_anonymous_page(s: State, mm: int, position: int, pmd: int, address: int, write: bool) -> None:
    """Map a huge page, or the huge zero page for reading.  A table is deposited for a later split.

    Models do_huge_pmd_anonymous_page().
    """
    vma = s.order[position]
    vm_flags = s.vmas[vma]["vm_flags"]
    anon_vma_prepare(s, mm, position)  # before the zero page is considered
    deposit_table(s, mm, alloc_table(s, mm))
    prot = vm_page_prot(vm_flags) | _PAGE_PSE
    if not write:
        s.entries[pmd] = mk_pte(huge_zero_page(s), prot)
        return
    pfn = alloc_huge_page(s, anon_page_flags(vm_flags))
    page_add_new_anon_rmap(s, pfn, vma, address & -PMD_SIZE, True)
    lru_cache_add_inactive_or_unevictable(s, pfn, vm_flags)
    s.entries[pmd] = _maybe_mkwrite(mk_pte(pfn, prot), vm_flags)


@kernel
def _can_reuse_huge(s: State, pfn: int) -> bool:
    """Whether a write may go to the huge page itself.

    5.10: mapped once in all, by reuse_swap_page(); references do not count.  6.1: exclusive to this mm, or the only reference.
    """
    if s.ctl[KERNEL] >= V6_1:
        return s.pages[pfn]["flags"] & PG_anon_exclusive != 0 or s.pages[pfn]["refcount"] == 1
    if s.pages[pfn]["compound"] != 1:
        return False
    mapped_by_ptes = 0
    for tail in range(pfn, pfn + HPAGE_PMD_NR):
        mapped_by_ptes += s.pages[tail]["mapcount"]
    return mapped_by_ptes == 0


@kernel
def do_huge_pmd_wp_page(s: State, mm: int, vma: int, pmd: int) -> bool:
    """Write fault on a read-only huge PMD: true if done, false if it was split and the fault goes on with its entry.

    Models do_huge_pmd_wp_page().
    """
    entry = s.entries[pmd]
    pfn = pte_pfn(entry)
    if not is_zero_pfn(s.pages, pfn) and _can_reuse_huge(s, pfn):
        s.entries[pmd] = _maybe_mkwrite(entry, s.vmas[vma]["vm_flags"])
        s.pages[pfn]["flags"] |= PG_anon_exclusive
        return True
    split_huge_pmd(s, mm, pmd, s.vmas[vma]["vm_flags"])
    return False


# ---- large folios below a huge page, since 6.8 ----


@kernel
def _anon_order(s: State, vma: int, slot: int, address: int) -> int:
    """Order of the folio that a write to untouched memory at ``address`` brings, whose entry is at ``slot``; 0: one page.

    The largest that the machine is set to use of those whose naturally aligned range lies within the VMA and has no entry yet.
    Models alloc_anon_folio(), simplified: there is always memory for it.
    """
    record = s.vmas[vma]
    if record["vm_flags"] & (VM_NOHUGEPAGE | VM_SPECIAL) != 0:
        return 0
    for order in range(MAX_FOLIO_ORDER, MIN_FOLIO_ORDER - 1, -1):
        nr_bytes = PAGE_SIZE << order
        start = address & -nr_bytes
        if (s.ctl[ANON_ORDERS] >> order) & 1 == 0 or start < record["vm_start"] or start + nr_bytes > record["vm_end"]:
            continue
        first, mapped = slot & -(1 << order), 0
        for i in range(1 << order):
            mapped += 0 if pte_none(s.entries[first + i]) else 1
        if mapped == 0:
            return order
    return 0


@unit
def map_large_anon(s: State, vma: int, address: int, slot: int, order: int) -> None:
    """A new anonymous folio of 1 << ``order`` pages, mapped by as many entries around ``slot`` for writing.

    Models the part of do_anonymous_page() that follows alloc_anon_folio(), v6.12.
    """
    vm_flags = s.vmas[vma]["vm_flags"]
    nr_pages = 1 << order
    head = alloc_large_folio(s, order, anon_page_flags(vm_flags))
    page_add_new_anon_rmap(s, head, vma, address & -(PAGE_SIZE << order), False)
    for pfn in range(head + 1, head + nr_pages):
        s.pages[pfn]["mapcount"] = 1
        s.pages[pfn]["flags"] |= PG_anon_exclusive
    s.pages[head]["refcount"] += nr_pages - 1
    lru_cache_add_inactive_or_unevictable(s, head, vm_flags)
    first, prot = slot & -nr_pages, vm_page_prot(vm_flags)
    for i in range(nr_pages):
        s.entries[first + i] = _maybe_mkwrite(mk_pte(head + i, prot), vm_flags)


# ---- write to a page that is mapped read-only ----


@kernel
def _can_reuse(s: State, pfn: int) -> bool:
    """Whether do_wp_page() may make an anonymous page writable in place.

    5.10: page_count() is 1, which a page still in a per-CPU vector fails.  6.1: PageAnonExclusive, or the only reference.
    6.12: so, but of a large folio never what is not exclusive.
    """
    if s.ctl[KERNEL] < V6_1:
        return s.pages[compound_head(s.pages, pfn)]["refcount"] == 1
    if s.pages[pfn]["flags"] & PG_anon_exclusive != 0:
        return True
    head = compound_head(s.pages, pfn)
    if s.pages[head]["refcount"] > 3 or (s.ctl[KERNEL] >= V6_12 and page_trans_compound(s.pages, pfn)):
        return False
    if s.pages[head]["flags"] & PG_lru == 0:
        lru_add_drain(s)
    swapcache = 1 if s.pages[head]["flags"] & PG_swapcache != 0 else 0
    if s.ctl[KERNEL] >= V6_12 and s.pages[head]["refcount"] > 1 + swapcache:
        return False
    try_to_free_swap(s, head)
    if s.pages[head]["refcount"] != 1:
        return False
    s.pages[pfn]["flags"] |= PG_anon_exclusive
    return True


@unit
def wp_page_copy(s: State, mm: int, position: int, slot: int, address: int) -> None:
    """Replace the page at ``slot`` by a private copy.  5.10 munlocks the old page by hand, 6.1 in page_remove_rmap().

    Models wp_page_copy().
    """
    anon_vma_prepare(s, mm, position)
    vma = s.order[position]
    vm_flags = s.vmas[vma]["vm_flags"]
    old = pte_pfn(s.entries[slot])
    if is_zero_pfn(s.pages, old):
        map_new_anon(s, vma, address, slot)
        return
    get_page(s.pages, old)
    map_new_anon(s, vma, address, slot)
    page_remove_rmap(s, old, vm_flags, False)
    put_page(s, old)
    if s.ctl[KERNEL] < V6_1 and vm_flags & VM_LOCKED != 0:
        count(s.counters, PAGE_LOCK, 1)
        if s.pages[old]["flags"] & PG_mlocked != 0:
            munlock_vma_page(s, old)
    free_swap_cache(s, old)
    put_page(s, old)


@kernel
def do_wp_page(s: State, mm: int, position: int, slot: int, address: int) -> None:
    """Write fault on a present read-only entry of a writable VMA.  Models do_wp_page()."""
    vma = s.order[position]
    vm_flags = s.vmas[vma]["vm_flags"]
    pfn = pte_pfn(s.entries[slot])
    if not is_zero_pfn(s.pages, pfn):
        anonymous = s.pages[compound_head(s.pages, pfn)]["mapping"] & 1 != 0
        if vm_flags & VM_SHARED != 0 or (anonymous and _can_reuse(s, pfn)):
            s.entries[slot] = _maybe_mkwrite(s.entries[slot], vm_flags)
            return
    wp_page_copy(s, mm, position, slot, address)


# ---- the page is not there ----


@kernel
def do_anonymous_page(s: State, mm: int, position: int, slot: int, address: int, write: bool) -> None:
    """First touch of private anonymous memory: a page or a large folio for a write, the zero page (and no anon_vma) for a read.

    Models do_anonymous_page().
    """
    vma = s.order[position]
    if not write:
        s.entries[slot] = mk_pte(ZERO_PFN, vm_page_prot(s.vmas[vma]["vm_flags"]) | _PAGE_SPECIAL)
        return
    anon_vma_prepare(s, mm, position)
    order = _anon_order(s, vma, slot, address) if s.ctl[ANON_ORDERS] != 0 else 0
    if order != 0:
        map_large_anon(s, vma, address, slot, order)
    else:
        map_new_anon(s, vma, address, slot)


@kernel
def _swap_page_is_ours(s: State, entry: int, pfn: int, vm_flags: int, write: bool) -> bool:
    """Give up the swap entry for the page, which leaves the swap cache where it may: whether a write may go to the page itself.

    5.10: reuse_swap_page(), alone with it, looked at before the entry is given up.  6.1: the entry says so, or one reference is
    left; a write drains first, so as not to be misled by the LRU vector's.
    """
    slot = swp_offset(entry)
    since_6_1 = s.ctl[KERNEL] >= V6_1
    page = s.pages[pfn]
    alone = page["mapcount"] == 0 and swap_count(s, slot) == 1
    if since_6_1 and write and page["flags"] & PG_lru == 0:
        lru_add_drain(s)
    s.pages[slot]["refcount"] -= 1
    last = page["refcount"] == 2 if since_6_1 else alone  # the cache's and this fault's
    if (write and last) or vm_flags & VM_LOCKED != 0 or page["flags"] & PG_mlocked != 0:
        try_to_free_swap(s, pfn)
    if since_6_1:
        return entry & SWP_EXCLUSIVE != 0 or page["refcount"] == 1
    return write and alone


@kernel
def do_swap_page(s: State, mm: int, position: int, slot: int, address: int, write: bool) -> int:
    """A swapped-out page comes back: writable only for a write, if it belongs to this mm alone; else a write copies it at once.

    5.10 does not mlock it even in a locked VMA, 6.1 does, through the rmap hook.  To 6.12 what was read just now is a new page,
    which has no such hook; only one that was still in memory is mlocked.  And 6.12 lets a process write to its own page after a
    read, too.

    Models do_swap_page(), simplified: nothing is waited for.
    """
    entry = s.entries[slot]
    if swp_type(entry) != SWP_SWAPFILE:
        return -EDEADLK  # a page in migration: the kernel waits, and there is nobody here to wait for
    vma = s.order[position]
    vm_flags = s.vmas[vma]["vm_flags"]
    pfn = swapin(s, swp_offset(entry))
    get_page(s.pages, pfn)
    ours = _swap_page_is_ours(s, entry, pfn, vm_flags, write)
    page = s.pages[pfn]
    since_6_12 = s.ctl[KERNEL] >= V6_12
    new = page["mapping"] == 0
    if new if since_6_12 else page["mapcount"] == 0:  # __page_set_anon_rmap()
        anon_vma = s.vmas[vma]["anon_vma"]
        page["mapping"] = ((anon_vma if ours else s.anon_vmas[anon_vma]["root"]) << 1) | 1
        page["index"] = s.vmas[vma]["vm_pgoff"] + ((address - s.vmas[vma]["vm_start"]) >> PAGE_SHIFT)
    if ours:
        page["flags"] |= PG_anon_exclusive
    if new and since_6_12:
        add_mapping(s.pages, pfn)
    else:
        page_add_rmap(s, pfn, vm_flags)
    prot = mk_pte(pfn, vm_page_prot(vm_flags))
    if since_6_12 and ours and vm_flags & VM_WRITE != 0:
        prot |= _PAGE_RW
    s.entries[slot] = _maybe_mkwrite(prot, vm_flags) if write and ours else prot
    if write and not ours:
        do_wp_page(s, mm, position, slot, address)
    return 0


@kernel
def map_file_page(s: State, vma: int, slot: int, pfn: int, write: bool) -> None:
    """Map a page of the page cache.  Models do_set_pte() / alloc_set_pte()."""
    vm_flags = s.vmas[vma]["vm_flags"]
    get_page(s.pages, pfn)
    entry = mk_pte(pfn, vm_page_prot(vm_flags))
    s.entries[slot] = _maybe_mkwrite(entry, vm_flags) if write else entry
    page_add_rmap(s, pfn, vm_flags)


@unit
def do_fault_around(s: State, mm: int, vma: int, pmd: int, address: int) -> None:
    """Map the cached pages near a read fault: 16 at most, from the last multiple of 64 KiB or the VMA's start.

    Models do_fault_around() and filemap_map_pages(); the window stays inside the VMA and the page table, which is allocated for
    the first page that is found.
    """
    record = s.vmas[vma]
    window = FAULT_AROUND_PAGES * PAGE_SIZE
    start = max(address & -window, record["vm_start"], address & -PMD_SIZE)
    end = min(start + window, record["vm_end"], (address & -PMD_SIZE) + PMD_SIZE)
    for near in range(start, end, PAGE_SIZE):
        pgoff = record["vm_pgoff"] + ((near - record["vm_start"]) >> PAGE_SHIFT)
        empty = pte_none(s.entries[pmd]) or pte_none(s.entries[pte_offset(s, pmd, near)])
        if pgoff < s.files[record["vm_file"]]["nr_pages"] and empty:
            pfn = find_get_page(s, record["vm_file"], pgoff)
            if pfn != 0:
                map_file_page(s, vma, alloc_pte(s, mm, pmd, near), pfn, False)


@unit
def do_fault(s: State, mm: int, position: int, pmd: int, slot: int, address: int, write: bool) -> int:
    """First touch of a page of a file or of shared memory.  Models do_read_fault(), do_cow_fault(), do_shared_fault()."""
    vma = s.order[position]
    vm_flags = s.vmas[vma]["vm_flags"]
    shared = vm_flags & VM_SHARED != 0
    if write and not shared:
        anon_vma_prepare(s, mm, position)
    if not write:
        do_fault_around(s, mm, vma, pmd, address)
        if not pte_none(s.entries[slot]):
            return 0
    pgoff = s.vmas[vma]["vm_pgoff"] + ((address - s.vmas[vma]["vm_start"]) >> PAGE_SHIFT)
    pfn = filemap_fault(s, s.vmas[vma]["vm_file"], pgoff)
    if pfn == -EFAULT:
        return pfn
    if write and not shared:
        map_new_anon(s, vma, address, slot)
    else:
        map_file_page(s, vma, slot, pfn, write)
    return 0


@kernel
def _beyond_the_file(s: State, mm: int, position: int, address: int, write: bool) -> bool:
    """Whether a fault of a file mapping ends in SIGBUS, which a missing page table survives: it is allocated last."""
    record = s.vmas[s.order[position]]
    if record["vm_file"] == 0:
        return False
    if write and record["vm_flags"] & VM_SHARED == 0:
        anon_vma_prepare(s, mm, position)
    return record["vm_pgoff"] + ((address - record["vm_start"]) >> PAGE_SHIFT) >= s.files[record["vm_file"]]["nr_pages"]


@unit
def handle_mm_fault(s: State, mm: int, position: int, address: int, write: bool) -> int:
    """Bring in the page at ``address`` of the VMA at ``position``, which allows the access: 0 or -errno.

    Models handle_mm_fault() and handle_pte_fault(), simplified: one attempt, no retry, no huge PUDs.
    """
    count(s.counters, FAULTS, 1)
    vma = s.order[position]
    pmd = alloc_pmd(s, mm, address)
    if pte_none(s.entries[pmd]):
        if _thp_eligible(s, vma, address):
            do_huge_pmd_anonymous_page(s, mm, position, pmd, address, write)
            return 0
        if _beyond_the_file(s, mm, position, address, write):
            if not write:  # what is cached before the end is mapped first
                do_fault_around(s, mm, vma, pmd, address)
            return -EFAULT
    elif pmd_huge(s.entries[pmd]):
        if not write or s.entries[pmd] & _PAGE_RW != 0:
            return 0
        if do_huge_pmd_wp_page(s, mm, vma, pmd):
            return 0
    slot = alloc_pte(s, mm, pmd, address)
    entry = s.entries[slot]
    if pte_none(entry):
        if s.vmas[vma]["vm_file"] != 0:
            return do_fault(s, mm, position, pmd, slot, address, write)
        do_anonymous_page(s, mm, position, slot, address, write)
    elif not pte_present(entry):
        return do_swap_page(s, mm, position, slot, address, write)
    elif write and entry & _PAGE_RW == 0:
        do_wp_page(s, mm, position, slot, address)
    else:
        s.entries[slot] = entry | _PAGE_ACCESSED
    return 0


# ---- accesses of the program ----


@kernel
def _accessible(s: State, mm: int, address: int, write: bool) -> int:
    """The entry, by its slot, through which the hardware allows this access; 0 if it would fault."""
    slot = find_pmd(s, mm, address)
    if slot == 0 or pte_none(s.entries[slot]):
        return 0
    if not pmd_huge(s.entries[slot]):
        slot = pte_offset(s, slot, address)
    entry = s.entries[slot]
    return 0 if entry & 1 == 0 or (write and entry & _PAGE_RW == 0) else slot


@unit
def touch(s: State, mm: int, address: int, end: int, stride: int, write: bool) -> int:
    """One access every ``stride`` bytes in [address, end): 0, -EFAULT where the program would get a signal, or -NEED_ROOM."""
    while address < end:
        slot = _accessible(s, mm, address, write)
        if slot == 0:
            position = find_vma(s, mm, address)
            if position == s.mms[mm]["map_count"] or s.vmas[s.order[position]]["vm_start"] > address:
                return -EFAULT
            allowed = s.vmas[s.order[position]]["vm_flags"] & VM_ACCESS_FLAGS
            if allowed == 0 or (write and allowed & VM_WRITE == 0):
                return -EFAULT
            if arena_low(s):
                s.ctl[CURSOR] = address
                return -NEED_ROOM
            error = handle_mm_fault(s, mm, position, address, write)
            if error != 0:
                return error
        else:
            if write:
                s.entries[slot] |= _PAGE_DIRTY
            address += stride
    return 0
