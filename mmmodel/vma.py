"""VMAs of one address space: finding, inserting, splitting, merging.

Models mm/mmap.c, of 6.12 mm/vma.c.  ``State.order`` holds the slots of the VMAs in address order (an rbtree in 5.10, a
maple tree since 6.1); a *position* is an index into it and changes when VMAs before it come or go, a *slot* stays.
"""

from __future__ import annotations

from mmmodel.constants import (
    PAGE_SHIFT,
    VM_ACCESS_FLAGS,
    VM_SPECIAL,
)
from mmmodel.counters import VMA_MERGES, VMA_SPLITS, VMAS_FREED
from mmmodel.counting import count
from mmmodel.errno_codes import ENOMEM
from mmmodel.jit import kernel, unit
from mmmodel.kernels import V6_1, V6_12
from mmmodel.rmap import alloc_anon_vma, anon_vma_chain_link, anon_vma_clone, unlink_anon_vmas
from mmmodel.split import split_huge_pmd_address
from mmmodel.state import KERNEL, MAX_MAP_COUNT, VMAS_FREE, VMAS_NFREE, VMAS_TOP, State

# ---- the ordered list ----


@kernel
def find_vma(s: State, mm: int, address: int) -> int:
    """Position of the first VMA that ends above ``address``; map_count if there is none.

    Models find_vma(), simplified: a sorted array, not a tree.
    """
    low, high = 0, s.mms[mm]["map_count"]
    while low < high:
        middle = (low + high) >> 1
        if s.vmas[s.order[middle]]["vm_end"] > address:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def find_vma_intersection(s: State, mm: int, start: int, end: int) -> bool:
    """Whether some VMA has a page in [start, end).  Models find_vma_intersection()."""
    position = find_vma(s, mm, start)
    return position < s.mms[mm]["map_count"] and s.vmas[s.order[position]]["vm_start"] < end


@kernel
def vma_pages(s: State, vma: int) -> int:
    """Span of a VMA in pages.  Models vma_pages()."""
    return (s.vmas[vma]["vm_end"] - s.vmas[vma]["vm_start"]) >> PAGE_SHIFT


@kernel
def _link_file(s: State, vma: int) -> None:
    """Enter a VMA into its file's list.  Models __vma_link_file()."""
    file = s.vmas[vma]["vm_file"]
    if file == 0:
        return
    first = s.files[file]["i_mmap"]
    s.vmas[vma]["i_mmap_next"] = first
    s.vmas[vma]["i_mmap_prev"] = 0
    if first != 0:
        s.vmas[first]["i_mmap_prev"] = vma
    s.files[file]["i_mmap"] = vma
    s.files[file]["refs"] += 1


@kernel
def _unlink_file(s: State, vma: int) -> None:
    """Take a VMA out of its file's list; the caller looks whether the file is now unused."""
    file = s.vmas[vma]["vm_file"]
    if file == 0:
        return
    previous, following = s.vmas[vma]["i_mmap_prev"], s.vmas[vma]["i_mmap_next"]
    if previous != 0:
        s.vmas[previous]["i_mmap_next"] = following
    else:
        s.files[file]["i_mmap"] = following
    if following != 0:
        s.vmas[following]["i_mmap_prev"] = previous
    s.files[file]["refs"] -= 1


@kernel
def alloc_vma(s: State) -> int:
    """A zeroed VMA slot.  Python keeps enough of them free (:mod:`mmmodel.machine`)."""
    vma = s.ctl[VMAS_FREE]
    if vma != 0:
        s.ctl[VMAS_FREE] = s.vmas[vma]["link"]
        s.ctl[VMAS_NFREE] -= 1
        s.vmas[vma]["link"] = 0
    else:
        vma = s.ctl[VMAS_TOP]
        s.ctl[VMAS_TOP] = vma + 1
    return vma


@unit
def vma_link(s: State, mm: int, position: int, vma: int) -> None:
    """Insert a filled-in VMA before ``position``.  Models vma_link()."""
    for i in range(s.mms[mm]["map_count"], position, -1):
        s.order[i] = s.order[i - 1]
    s.order[position] = vma
    s.mms[mm]["map_count"] += 1
    s.vmas[vma]["vm_mm"] = mm
    _link_file(s, vma)


@kernel
def vma_unlink(s: State, mm: int, position: int) -> int:
    """Take the VMA at ``position`` out of the list and its file; its slot stays filled in.  Returns the slot.

    Models __vma_unlink().
    """
    vma = s.order[position]
    last = s.mms[mm]["map_count"] - 1
    for i in range(position, last):
        s.order[i] = s.order[i + 1]
    s.order[last] = 0
    s.mms[mm]["map_count"] = last
    _unlink_file(s, vma)
    return vma


@unit
def free_vma(s: State, vma: int) -> None:
    """Give back the slot of an unlinked VMA."""
    count(s.counters, VMAS_FREED, 1)
    unlink_anon_vmas(s, vma)
    record = s.vmas[vma]
    record["vm_start"] = 0
    record["vm_end"] = 0
    record["vm_flags"] = 0
    record["vm_pgoff"] = 0
    record["vm_mm"] = 0
    record["vm_file"] = 0
    record["i_mmap_next"] = 0
    record["i_mmap_prev"] = 0
    record["link"] = s.ctl[VMAS_FREE]
    s.ctl[VMAS_FREE] = vma
    s.ctl[VMAS_NFREE] += 1


# ---- splitting ----


@unit
def __split_vma(s: State, mm: int, position: int, address: int) -> None:
    """Split the VMA at ``position`` at ``address``: the lower part keeps the position and the slot.

    Models __split_vma(); a huge PMD across the new boundary is split first, under the old flags.
    """
    count(s.counters, VMA_SPLITS, 1)
    vma = s.order[position]
    split_huge_pmd_address(s, mm, address, s.vmas[vma]["vm_flags"])
    new = alloc_vma(s)
    upper, lower = s.vmas[new], s.vmas[vma]
    upper["vm_start"] = address
    upper["vm_end"] = lower["vm_end"]
    upper["vm_flags"] = lower["vm_flags"]
    upper["vm_pgoff"] = lower["vm_pgoff"] + ((address - lower["vm_start"]) >> PAGE_SHIFT)
    upper["vm_file"] = lower["vm_file"]
    upper["anon_vma"] = lower["anon_vma"]
    lower["vm_end"] = address
    anon_vma_clone(s, new, vma)
    vma_link(s, mm, position + 1, new)


@kernel
def split_vma(s: State, mm: int, position: int, address: int) -> int:
    """Models split_vma(): 0, or -ENOMEM at the limit of VMAs."""
    if s.mms[mm]["map_count"] >= s.ctl[MAX_MAP_COUNT]:
        return -ENOMEM
    __split_vma(s, mm, position, address)
    return 0


# ---- merging ----


@kernel
def is_mergeable_anon_vma(s: State, anon_vma1: int, anon_vma2: int, vma: int) -> bool:
    """Models is_mergeable_anon_vma(): equal, or one is missing and ``vma`` (if given) has exactly one link."""
    if (anon_vma1 == 0 or anon_vma2 == 0) and (vma == 0 or s.vmas[vma]["avc_count"] == 1):
        return True
    return anon_vma1 == anon_vma2


@kernel
def can_vma_merge_before(s: State, vma: int, vm_flags: int, anon_vma: int, file: int, pgoff: int) -> bool:
    """Models can_vma_merge_before(): a range that ends where ``vma`` starts; ``pgoff`` of the end of the range."""
    record = s.vmas[vma]
    return (
        record["vm_flags"] == vm_flags
        and record["vm_file"] == file
        and is_mergeable_anon_vma(s, anon_vma, record["anon_vma"], vma)
        and record["vm_pgoff"] == pgoff
    )


@kernel
def can_vma_merge_after(s: State, vma: int, vm_flags: int, anon_vma: int, file: int, pgoff: int) -> bool:
    """Models can_vma_merge_after(): a range that starts where ``vma`` ends."""
    record = s.vmas[vma]
    return (
        record["vm_flags"] == vm_flags
        and record["vm_file"] == file
        and is_mergeable_anon_vma(s, anon_vma, record["anon_vma"], vma)
        and record["vm_pgoff"] + vma_pages(s, vma) == pgoff
    )


@kernel
def _import_anon_vma(s: State, importer: int, exporter: int) -> None:
    """A VMA that takes over pages of another needs its chain, if it has none.  Part of __vma_adjust()."""
    if s.vmas[exporter]["anon_vma"] != 0 and s.vmas[importer]["anon_vma"] == 0:
        s.vmas[importer]["anon_vma"] = s.vmas[exporter]["anon_vma"]
        anon_vma_clone(s, importer, exporter)


@kernel
def _absorb(s: State, mm: int, position: int) -> int:
    """Remove the VMA at ``position``, whose range another takes over.  Returns the end of that range."""
    vma = vma_unlink(s, mm, position)
    end = s.vmas[vma]["vm_end"]
    free_vma(s, vma)
    return end


@kernel
def _merge_into_prev(s: State, mm: int, prev: int, end: int, with_next: bool) -> int:
    """Grow the VMA at position ``prev`` over [its end, end), and over the VMA behind that too.  Cases 1, 2, 5, 6, 7."""
    vma = s.order[prev]
    area = s.order[prev + 1] if prev + 1 < s.mms[mm]["map_count"] else 0
    covered = area != 0 and s.vmas[area]["vm_start"] < end  # the range is a VMA, or the head of one
    if covered and s.vmas[area]["vm_end"] > end:  # case 5: the boundary moves up
        _import_anon_vma(s, vma, area)
        split_huge_pmd_address(s, mm, end, s.vmas[area]["vm_flags"])
        s.vmas[area]["vm_pgoff"] += (end - s.vmas[area]["vm_start"]) >> PAGE_SHIFT
        s.vmas[area]["vm_start"] = end
        s.vmas[vma]["vm_end"] = end
        return prev
    if covered:
        _import_anon_vma(s, vma, area)
        _absorb(s, mm, prev + 1)
    if with_next:
        _import_anon_vma(s, vma, s.order[prev + 1])
        end = _absorb(s, mm, prev + 1)
    s.vmas[vma]["vm_end"] = end
    return prev


@kernel
def _merge_into_next(s: State, mm: int, following: int, address: int) -> int:
    """Grow the VMA at position ``following`` down to ``address``.  Cases 3, 4, 8."""
    vma = s.order[following]
    if following > 0:
        before = s.order[following - 1]
        if s.vmas[before]["vm_start"] >= address:  # case 8: it covers the range exactly
            _import_anon_vma(s, vma, before)
            _absorb(s, mm, following - 1)
            following -= 1
        elif s.vmas[before]["vm_end"] > address:  # case 4: the boundary moves down
            _import_anon_vma(s, vma, before)
            split_huge_pmd_address(s, mm, address, s.vmas[before]["vm_flags"])
            s.vmas[before]["vm_end"] = address
    s.vmas[vma]["vm_pgoff"] -= (s.vmas[vma]["vm_start"] - address) >> PAGE_SHIFT
    s.vmas[vma]["vm_start"] = address
    return following


@unit
def vma_merge(s: State, mm: int, prev: int, address: int, end: int, vm_flags: int, anon_vma: int, file: int, pgoff: int) -> int:
    """Let [address, end) with new attributes join a neighbour: position of the merged VMA, or -1.

    Models vma_merge() (5.10 and 6.1: same logic) and, of ranges whose flags change, vma_merge_existing_range() of 6.12, which
    comes to the same.  ``prev``: position of the VMA before, or -1; where the range is the tail of
    a VMA, that VMA.  The caller's positions are stale after a merge.
    """
    if vm_flags & VM_SPECIAL != 0:
        return -1
    map_count = s.mms[mm]["map_count"]
    following = prev + 1
    if following < map_count and s.vmas[s.order[following]]["vm_end"] == end:
        following += 1
    pages = (end - address) >> PAGE_SHIFT
    before = s.order[prev] if prev >= 0 else 0
    after = s.order[following] if following < map_count else 0
    merge_prev = (
        before != 0 and s.vmas[before]["vm_end"] == address and can_vma_merge_after(s, before, vm_flags, anon_vma, file, pgoff)
    )
    merge_next = (
        after != 0
        and s.vmas[after]["vm_start"] == end
        and can_vma_merge_before(s, after, vm_flags, anon_vma, file, pgoff + pages)
    )
    if merge_prev:
        both = merge_next and is_mergeable_anon_vma(s, s.vmas[before]["anon_vma"], s.vmas[after]["anon_vma"], 0)
        return _merge_into_prev(s, mm, prev, end, both)
    if merge_next:
        return _merge_into_next(s, mm, following, address)
    return -1


@kernel
def vma_modify_flags(s: State, mm: int, position: int, prev: int, start: int, end: int, newflags: int) -> tuple[int, int]:
    """Merge or split so that [start, end) of the VMA at ``position`` may get ``newflags``: (error, position it is at now).

    What mlock_fixup(), mprotect_fixup() and madvise share (a function of this name since 6.7).  ``prev``: as in
    :func:`vma_merge`.  The flags themselves are left to the caller.
    """
    record = s.vmas[s.order[position]]
    pgoff = record["vm_pgoff"] + ((start - record["vm_start"]) >> PAGE_SHIFT)
    merged = vma_merge(s, mm, prev, start, end, newflags, record["anon_vma"], record["vm_file"], pgoff)
    if merged >= 0:
        count(s.counters, VMA_MERGES, 1)
        return 0, merged
    if start != record["vm_start"]:
        error = split_vma(s, mm, position, start)
        if error != 0:
            return error, position
        position += 1
    if end != s.vmas[s.order[position]]["vm_end"]:
        error = split_vma(s, mm, position, end)
        if error != 0:
            return error, position
    return 0, position


@unit
def vma_merge_new_range(
    s: State, mm: int, address: int, end: int, vm_flags: int, anon_vma: int, file: int, pgoff: int, apart: int
) -> int:
    """Let the free range [address, end) with these attributes join its neighbours: position of the merged VMA, or -1.

    ``apart``: a VMA that it must not join, or 0, which only 6.12 heeds.  Models vma_merge_new_range(), v6.12; older kernels ask
    vma_merge() with the VMA before the range.
    """
    if s.ctl[KERNEL] < V6_12:
        return vma_merge(s, mm, find_vma(s, mm, address) - 1, address, end, vm_flags, anon_vma, file, pgoff)
    if vm_flags & VM_SPECIAL != 0:
        return -1
    position = find_vma(s, mm, address)
    after = s.order[position] if position < s.mms[mm]["map_count"] else 0
    before = s.order[position - 1] if position > 0 else 0
    pages = (end - address) >> PAGE_SHIFT
    left = (
        before not in (0, apart)
        and s.vmas[before]["vm_end"] == address
        and can_vma_merge_after(s, before, vm_flags, anon_vma, file, pgoff)
    )
    right = (
        after not in (0, apart)
        and s.vmas[after]["vm_start"] == end
        and can_vma_merge_before(s, after, vm_flags, anon_vma, file, pgoff + pages)
    )
    if left:
        both = right and is_mergeable_anon_vma(s, s.vmas[before]["anon_vma"], s.vmas[after]["anon_vma"], 0)
        return _merge_into_prev(s, mm, position - 1, end, both)
    return _merge_into_next(s, mm, position, address) if right else -1


@unit
def expand_for_mapping(s: State, mm: int, address: int, end: int, vm_flags: int, file: int, pgoff: int) -> int:
    """Let a new mapping of the free range [address, end) join a neighbour: position, or -1.

    5.10: mmap_region() calls vma_merge(), so three VMAs become one where the anon_vmas allow it, else ``prev`` grows.
    6.1: __mmap_region() tries ``next`` first and then ``prev`` *with next's anon_vma*, so that a ``prev`` that was never
    faulted does not join a faulted ``next``, which grows alone.
    6.12: vma_merge_new_range(), by the rules of 5.10 again.
    """
    if s.ctl[KERNEL] < V6_1 or s.ctl[KERNEL] >= V6_12:
        return vma_merge_new_range(s, mm, address, end, vm_flags, 0, file, pgoff, 0)
    position = find_vma(s, mm, address)
    if vm_flags & VM_SPECIAL != 0:
        return -1
    after = s.order[position] if position < s.mms[mm]["map_count"] else 0
    before = s.order[position - 1] if position > 0 else 0
    pages = (end - address) >> PAGE_SHIFT
    merge_next = (
        after != 0 and s.vmas[after]["vm_start"] == end and can_vma_merge_before(s, after, vm_flags, 0, file, pgoff + pages)
    )
    anon_vma = s.vmas[after]["anon_vma"] if merge_next else 0
    if before != 0 and s.vmas[before]["vm_end"] == address and can_vma_merge_after(s, before, vm_flags, anon_vma, file, pgoff):
        return _merge_into_prev(s, mm, position - 1, end, merge_next)
    return _merge_into_next(s, mm, position, address) if merge_next else -1


# ---- anon_vma of a VMA that is about to get its first anonymous page ----


@kernel
def _reusable_anon_vma(s: State, old: int, a: int, b: int) -> int:
    """anon_vma of ``old`` if ``a`` and ``b``, neighbours in this order, could once have been one VMA; or 0."""
    below, above = s.vmas[a], s.vmas[b]
    compatible = (
        below["vm_end"] == above["vm_start"]
        and below["vm_file"] == above["vm_file"]
        and (below["vm_flags"] ^ above["vm_flags"]) & ~VM_ACCESS_FLAGS == 0
        and above["vm_pgoff"] == below["vm_pgoff"] + vma_pages(s, a)
    )
    return s.vmas[old]["anon_vma"] if compatible and s.vmas[old]["avc_count"] == 1 else 0


@unit
def anon_vma_prepare(s: State, mm: int, position: int) -> None:
    """Models __anon_vma_prepare() with find_mergeable_anon_vma(): next, then prev, then a new one."""
    vma = s.order[position]
    if s.vmas[vma]["anon_vma"] != 0:
        return
    anon_vma = 0
    if position + 1 < s.mms[mm]["map_count"]:
        after = s.order[position + 1]
        anon_vma = _reusable_anon_vma(s, after, vma, after)
    if anon_vma == 0 and position > 0:
        before = s.order[position - 1]
        anon_vma = _reusable_anon_vma(s, before, before, vma)
    if anon_vma == 0:
        anon_vma = alloc_anon_vma(s, 0)
    s.vmas[vma]["anon_vma"] = anon_vma
    s.anon_vmas[anon_vma]["num_active_vmas"] += 1
    anon_vma_chain_link(s, vma, anon_vma)
