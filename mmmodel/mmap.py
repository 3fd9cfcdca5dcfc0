"""mmap, munmap and the end of an address space.

Models mm/mmap.c, 5.10 to 6.12: do_mmap(), mmap_region(), __do_munmap(), unmap_region(), exit_mmap(), and the heuristic
overcommit of mm/util.c.  Names are 5.10's where they differ.
"""

from __future__ import annotations

from mmmodel.constants import (
    DEFAULT_MAP_WINDOW,
    MAP_DROPPABLE,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_HUGETLB,
    MAP_LOCKED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_TYPE,
    MAX_LFS_FILESIZE,
    MMAP_MIN_ADDR,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SIZE,
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_DONTDUMP,
    VM_DONTEXPAND,
    VM_DROPPABLE,
    VM_HUGETLB,
    VM_LOCKED,
    VM_LOCKED_CLEAR_MASK,
    VM_MAYEXEC,
    VM_MAYREAD,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_NORESERVE,
    VM_SHARED,
    VM_WIPEONFORK,
    VM_WRITE,
)
from mmmodel.counters import TABLES_FREED
from mmmodel.counting import count
from mmmodel.errno_codes import EAGAIN, EEXIST, EINVAL, ENOMEM, EOVERFLOW, EPERM, MAX_ERRNO
from mmmodel.filemap import alloc_file, put_file
from mmmodel.jit import kernel, unit
from mmmodel.kernels import V6_1, V6_12
from mmmodel.mlock import can_do_mlock, over_limit, vma_supports_mlock
from mmmodel.mlock_batch import lru_add_drain
from mmmodel.pagenumber import page_address, page_align, page_count
from mmmodel.per_page import munlock_range
from mmmodel.pgtable import free_pgd_range, free_table
from mmmodel.state import KERNEL, MAX_MAP_COUNT, RAM_PAGES, State
from mmmodel.vma import (
    __split_vma,
    alloc_vma,
    expand_for_mapping,
    find_vma,
    find_vma_intersection,
    free_vma,
    vma_link,
    vma_pages,
    vma_unlink,
)
from mmmodel.zap import tlb_finish_mmu, unmap_page_range


@kernel
def vm_enough_memory(s: State, pages: int) -> bool:
    """Overcommit mode 0: refuse only what no machine of this size could hold.

    Models __vm_enough_memory(), simplified: overcommit mode 0 only, without swap.
    """
    return s.ctl[RAM_PAGES] == 0 or pages <= s.ctl[RAM_PAGES]


@kernel
def mlock_future_check(s: State, mm: int, vm_flags: int, length: int) -> int:
    """Models mlock_future_check(): -EAGAIN if ``length`` more locked bytes are over the limit."""
    if vm_flags & VM_LOCKED == 0 or s.mms[mm]["cap_ipc_lock"] != 0:
        return 0
    locked = s.mms[mm]["locked_vm"] + (length >> PAGE_SHIFT)
    return -EAGAIN if over_limit(locked, s.mms[mm]["rlimit_memlock"] >> PAGE_SHIFT) else 0


# ---- where ----


@kernel
def _highest_gap(s: State, mm: int, length: int, low: int, high: int) -> int:
    """Start of the highest free range of ``length`` bytes in [low, high), at its upper end; 0 if there is none."""
    position = find_vma(s, mm, high - 1)
    if position < s.mms[mm]["map_count"]:
        high = min(high, s.vmas[s.order[position]]["vm_start"])
    while True:
        floor = max(low, s.vmas[s.order[position - 1]]["vm_end"]) if position > 0 else low
        if high - floor >= length:
            return high - length
        if position == 0:
            return 0
        position -= 1
        high = s.vmas[s.order[position]]["vm_start"]


@kernel
def _lowest_gap(s: State, mm: int, length: int, low: int, high: int) -> int:
    """Start of the lowest free range of ``length`` bytes in [low, high); 0 if there is none."""
    position = find_vma(s, mm, low)
    while position < s.mms[mm]["map_count"] and s.vmas[s.order[position]]["vm_start"] < low + length:
        low = s.vmas[s.order[position]]["vm_end"]
        position += 1
    return low if low + length <= high else 0


@kernel
def _unmapped_area(s: State, mm: int, length: int, above: int) -> int:
    """Start of a free range: the highest below mmap_base, or else the lowest above a third of the address space; 0: none.

    ``above``: bytes behind the window that count too, since the hint lies there (5 levels only).
    """
    found = _highest_gap(s, mm, length, MMAP_MIN_ADDR, s.mms[mm]["mmap_base"] + above)
    if found == 0:
        found = _lowest_gap(s, mm, length, page_align(DEFAULT_MAP_WINDOW // 3), DEFAULT_MAP_WINDOW + above)
    return found


@kernel
def _thp_unmapped_area(s: State, mm: int, length: int) -> int:
    """6.12: start of a free range that is aligned for huge pages, where one with room to align it is found; or 0.

    Models thp_get_unmapped_area_vmflags() of anonymous memory.
    """
    found = _unmapped_area(s, mm, length + PMD_SIZE, 0)
    if found == 0:
        return 0
    return (found & -PMD_SIZE) + PMD_SIZE


@unit
def get_unmapped_area(s: State, mm: int, address: int, length: int, flags: int, file: int) -> int:
    """The address for a mapping of ``file`` (0: anonymous; MAP_SHARED in ``flags`` tells shared memory), or -errno.

    Models get_unmapped_area(), simplified: top-down, nothing random; as a last resort bottom-up, without the hint.
    """
    task_size = s.mms[mm]["task_size"]
    if length > task_size:
        return -ENOMEM
    if flags & MAP_FIXED != 0:
        if -MAX_ERRNO <= address < 0:  # IS_ERR_VALUE(): taken for what the search has come to
            return address
        if address < 0 or address > task_size - length:
            return -ENOMEM
        return address if address & (PAGE_SIZE - 1) == 0 else -EINVAL
    hint = address & -PAGE_SIZE
    if hint > 0:
        hint = max(hint, MMAP_MIN_ADDR)
        one_side = (hint > DEFAULT_MAP_WINDOW) == (hint + length > DEFAULT_MAP_WINDOW)  # mmap_address_hint_valid()
        if hint <= task_size - length and one_side and not find_vma_intersection(s, mm, hint, hint + length):
            return hint
    above = task_size - DEFAULT_MAP_WINDOW if hint < 0 or hint > DEFAULT_MAP_WINDOW else 0  # 5-level: only for who asks for it
    private = file == 0 and flags & MAP_TYPE != MAP_SHARED
    if s.ctl[KERNEL] >= V6_12 and private and hint == 0 and length & (PMD_SIZE - 1) == 0:
        found = _thp_unmapped_area(s, mm, length)
        if found != 0:
            return found
    found = _unmapped_area(s, mm, length, above)
    return found if found != 0 else -ENOMEM


# ---- munmap ----


@kernel
def _unlock_range(s: State, mm: int, first: int, last: int) -> None:
    """Take locked VMAs out of locked_vm; 5.10 also munlocks their pages, present or not.  Positions [first, last).

    5.10 does neither while locked_vm reads 0, which truncation in mlock_fixup() can bring about.
    """
    five_ten = s.ctl[KERNEL] < V6_1
    unlocks = not five_ten or s.mms[mm]["locked_vm"] != 0
    for position in range(first, last):
        vma = s.order[position]
        if s.vmas[vma]["vm_flags"] & VM_LOCKED == 0:
            continue
        if not unlocks:
            s.mms[mm]["locked_vm_leak"] += vma_pages(s, vma)
            continue
        s.mms[mm]["locked_vm"] -= vma_pages(s, vma)
        if five_ten:
            munlock_range(s, mm, vma, s.vmas[vma]["vm_start"], s.vmas[vma]["vm_end"])


@unit
def free_pgtables(s: State, mm: int, first: int, last: int, floor: int, ceiling: int) -> None:
    """Free the tables that only the VMAs at positions [first, last) used.  Models free_pgtables() with its gathering."""
    before = s.mms[mm]["nr_tables"]
    while first < last:
        start = s.vmas[s.order[first]]["vm_start"]
        end = s.vmas[s.order[first]]["vm_end"]
        first += 1
        while first < last and s.vmas[s.order[first]]["vm_start"] <= end + PMD_SIZE:
            end = s.vmas[s.order[first]]["vm_end"]
            first += 1
        free_pgd_range(s, mm, start, end, floor, s.vmas[s.order[first]]["vm_start"] if first < last else ceiling)
    count(s.counters, TABLES_FREED, before - s.mms[mm]["nr_tables"])


@kernel
def _unmap_region(s: State, mm: int, first: int, last: int) -> None:
    """Unmap the VMAs at positions [first, last), with the tables that only they used.  Models unmap_region()."""
    lru_add_drain(s)
    for position in range(first, last):
        vma = s.order[position]
        unmap_page_range(s, mm, vma, s.vmas[vma]["vm_start"], s.vmas[vma]["vm_end"])
    tlb_finish_mmu(s)
    floor = s.vmas[s.order[first - 1]]["vm_end"] if first > 0 else 0
    ceiling = s.vmas[s.order[last]]["vm_start"] if last < s.mms[mm]["map_count"] else 0
    free_pgtables(s, mm, first, last, floor, ceiling)


@unit
def _remove_vmas(s: State, mm: int, first: int, last: int) -> None:
    """Forget the VMAs at positions [first, last).  Models remove_vma_list()."""
    for position in range(last - 1, first - 1, -1):
        vma = vma_unlink(s, mm, position)
        s.mms[mm]["total_vm"] -= vma_pages(s, vma)
        file = s.vmas[vma]["vm_file"]
        free_vma(s, vma)
        put_file(s, file)


@kernel
def gather_vmas(s: State, mm: int, start: int, end: int) -> tuple[int, int, int]:
    """Split off what lies in [start, end): (0 or -ENOMEM, first position, position behind the last).

    Models vms_gather_munmap_vmas(), v6.12, which before was the first half of __do_munmap().
    """
    first = find_vma(s, mm, start)
    if first == s.mms[mm]["map_count"] or s.vmas[s.order[first]]["vm_start"] >= end:
        return 0, first, first
    if start > s.vmas[s.order[first]]["vm_start"]:
        if end < s.vmas[s.order[first]]["vm_end"] and s.mms[mm]["map_count"] >= s.ctl[MAX_MAP_COUNT]:
            return -ENOMEM, first, first
        __split_vma(s, mm, first, start)
        first += 1
    last = find_vma(s, mm, end)
    if last < s.mms[mm]["map_count"] and s.vmas[s.order[last]]["vm_start"] < end:
        __split_vma(s, mm, last, end)
        last += 1
    return 0, first, last


@unit
def complete_munmap(s: State, mm: int, first: int, last: int) -> None:
    """Unmap the VMAs at positions [first, last) and forget them.  Models vms_complete_munmap_vmas(), v6.12."""
    if first < last:
        _unlock_range(s, mm, first, last)
        _unmap_region(s, mm, first, last)
        _remove_vmas(s, mm, first, last)


@unit
def do_munmap(s: State, mm: int, start: int, length: int) -> int:
    """Models __do_munmap(): 0 or -errno; VMAs that were split stay split after a failure."""
    task_size = s.mms[mm]["task_size"]
    if start & (PAGE_SIZE - 1) != 0 or start < 0 or start > task_size or length < 0 or length > task_size - start:
        return -EINVAL
    end = start + page_align(length)
    if end == start:
        return -EINVAL
    error, first, last = gather_vmas(s, mm, start, end)
    if error == 0:
        complete_munmap(s, mm, first, last)
    return error


@unit
def exit_mmap(s: State, mm: int) -> None:
    """Models exit_mmap(): 5.10 munlocks every locked VMA page by page first."""
    last = s.mms[mm]["map_count"]
    if s.ctl[KERNEL] < V6_1 and s.mms[mm]["locked_vm"] != 0:
        _unlock_range(s, mm, 0, last)
    if last != 0:
        _unmap_region(s, mm, 0, last)
        _remove_vmas(s, mm, 0, last)
    s.mms[mm]["locked_vm"] = 0
    s.mms[mm]["locked_vm_leak"] = 0
    free_table(s, mm, s.mms[mm]["pgd"])
    s.mms[mm]["pgd"] = 0


# ---- mmap ----


@kernel
def _accounted_pages(s: State, first: int, last: int) -> int:
    """Pages of the VMAs at positions [first, last) that were charged."""
    pages = 0
    for position in range(first, last):
        if s.vmas[s.order[position]]["vm_flags"] & VM_ACCOUNT != 0:
            pages += vma_pages(s, s.order[position])
    return pages


@kernel
def mmap_region(s: State, mm: int, address: int, length: int, vm_flags: int, file: int, pgoff: int) -> int:
    """Map a range that may replace others: the address, or -ENOMEM.

    6.12 looks whether there is memory enough, less what was charged for the others, before it takes them away; else they go.

    Models mmap_region(), simplified: no RLIMIT_AS or RLIMIT_DATA, no mmap method of a file.
    """
    pages = length >> PAGE_SHIFT
    error, first, last = gather_vmas(s, mm, address, address + length)
    if error != 0:
        return -ENOMEM
    charged = pages
    if s.ctl[KERNEL] >= V6_12:
        charged -= _accounted_pages(s, first, last)
    else:
        complete_munmap(s, mm, first, last)
    if vm_flags & (VM_HUGETLB | VM_NORESERVE | VM_SHARED | VM_WRITE) == VM_WRITE:
        if charged != 0 and not vm_enough_memory(s, charged):
            return -ENOMEM
        vm_flags |= VM_ACCOUNT
    if s.ctl[KERNEL] >= V6_12:
        complete_munmap(s, mm, first, last)
    position = -1
    if file != 0 or vm_flags & VM_SHARED == 0:
        position = expand_for_mapping(s, mm, address, address + length, vm_flags, file, pgoff)
    if position < 0:
        if file == 0 and vm_flags & VM_SHARED != 0:  # shared anonymous memory: a file of its own
            if vm_flags & VM_NORESERVE == 0 and not vm_enough_memory(s, pages):
                return -ENOMEM
            file = alloc_file(s, pages, 1)
        insert_vma(s, mm, address, address + length, vm_flags, file, pgoff)
    s.mms[mm]["total_vm"] += pages
    if vm_flags & VM_LOCKED != 0:
        position = find_vma(s, mm, address)
        if not vma_supports_mlock(vm_flags):
            s.vmas[s.order[position]]["vm_flags"] &= VM_LOCKED_CLEAR_MASK
        else:
            s.mms[mm]["locked_vm"] += pages
    return address


@kernel
def insert_vma(s: State, mm: int, start: int, end: int, vm_flags: int, file: int, pgoff: int) -> int:
    """A new VMA for the free range [start, end): its slot."""
    vma = alloc_vma(s)
    record = s.vmas[vma]
    record["vm_start"] = start
    record["vm_end"] = end
    record["vm_flags"] = vm_flags
    record["vm_pgoff"] = pgoff
    record["vm_file"] = file
    vma_link(s, mm, find_vma(s, mm, start), vma)
    return vma


@kernel
def install_special_mapping(s: State, mm: int, start: int, end: int, vm_flags: int) -> int:
    """A VMA of the kernel's own, like [vdso]: 0; -EEXIST if the place is not free, -ENOMEM at the limit of VMAs.

    Models _install_special_mapping(), simplified: it has no pages.
    """
    if find_vma_intersection(s, mm, start, end):
        return -EEXIST
    if s.mms[mm]["map_count"] >= s.ctl[MAX_MAP_COUNT]:
        return -ENOMEM
    insert_vma(s, mm, start, end, vm_flags, 0, start >> PAGE_SHIFT)
    s.mms[mm]["total_vm"] += (end - start) >> PAGE_SHIFT
    return 0


@unit
def do_mmap(s: State, mm: int, address: int, length: int, prot: int, flags: int, file: int, pgoff: int) -> int:
    """The address, or -errno, with the checks in the kernel's order.

    Models do_mmap(), simplified: no personality, protection keys, file modes or security modules.
    """
    if length == 0:
        return -EINVAL
    pages = page_count(length)
    if pages == 0:
        return -ENOMEM
    length = page_address(pages)
    if flags & MAP_FIXED_NOREPLACE != 0:
        flags |= MAP_FIXED
    if flags & MAP_HUGETLB != 0:
        length = (length + PMD_SIZE - 1) & -PMD_SIZE
    if s.mms[mm]["map_count"] > s.ctl[MAX_MAP_COUNT]:
        return -ENOMEM
    address = get_unmapped_area(s, mm, address, length, flags, file)
    if address < 0:
        return address
    if flags & MAP_FIXED_NOREPLACE != 0 and find_vma_intersection(s, mm, address, address + length):
        return -EEXIST
    vm_flags = (prot & VM_ACCESS_FLAGS) | s.mms[mm]["def_flags"] | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
    if flags & MAP_LOCKED != 0:
        vm_flags |= VM_LOCKED
        if not can_do_mlock(s, mm):
            return -EPERM
    error = mlock_future_check(s, mm, vm_flags, length)
    if error != 0:
        return error
    if file != 0 and pgoff > (MAX_LFS_FILESIZE - length) >> PAGE_SHIFT:  # file_mmap_ok()
        return -EOVERFLOW
    kind = flags & MAP_TYPE
    if kind == MAP_SHARED:
        vm_flags |= VM_SHARED | VM_MAYSHARE
        pgoff = pgoff if file != 0 else 0
    elif kind == MAP_DROPPABLE and file == 0 and s.ctl[KERNEL] >= V6_12:
        if flags & (MAP_LOCKED | MAP_HUGETLB) != 0:
            return -EINVAL
        vm_flags |= VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP
        pgoff = address >> PAGE_SHIFT
    elif kind != MAP_PRIVATE:
        return -EINVAL
    elif file == 0:
        pgoff = address >> PAGE_SHIFT
    if flags & MAP_NORESERVE != 0:
        vm_flags |= VM_NORESERVE
    if flags & MAP_HUGETLB != 0:
        vm_flags |= VM_HUGETLB | VM_DONTEXPAND
    return mmap_region(s, mm, address, length, vm_flags, file, pgoff)
