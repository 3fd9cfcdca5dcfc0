"""VMAs: splitting, merging, and the anon_vma that decides whether they merge (mm/mmap.c, mm/rmap.c)."""

from __future__ import annotations

from .constants import ENOMEM, VM_ACCESS_FLAGS, VM_SPECIAL, failure
from .folio import AnonVma, File
from .mmstruct import MmStruct
from .pagetable import split_huge_pmd_if_needed


class Vma:
    """struct vm_area_struct. Positions are page numbers, [start, end)."""

    def __init__(self, start: int, end: int, vm_flags: int, pgoff: int, file: File | None) -> None:
        self.start, self.end = start, end
        self.vm_flags = vm_flags
        self.pgoff = pgoff  # page of the file at `start`; of an anonymous VMA, the page number it was mapped at
        self.file = file
        self.anon_vma: AnonVma | None = None
        self.anon_vma_chain: list[AnonVma] = []

    @property
    def nr_pages(self) -> int:
        """vma_pages()."""
        return self.end - self.start

    def pgoff_of(self, vpn: int) -> int:
        """linear_page_index()."""
        return self.pgoff + vpn - self.start

    @property
    def is_accessible(self) -> bool:
        """vma_is_accessible(): anything but PROT_NONE."""
        return bool(self.vm_flags & VM_ACCESS_FLAGS)

    def duplicate(self, start: int, end: int) -> Vma:
        """vm_area_dup() and anon_vma_clone(): the same area with other bounds."""
        twin = Vma(start, end, self.vm_flags, self.pgoff_of(start), self.file)
        twin.take_anon_vma(self)
        return twin

    def take_anon_vma(self, other: Vma) -> None:
        """anon_vma_clone() after `anon_vma` was copied: import what `other` has, if this has none."""
        if self.anon_vma is None and other.anon_vma is not None:
            self.set_anon_vma(other.anon_vma)
            self.link_anon_vmas(other.anon_vma_chain)

    def set_anon_vma(self, anon_vma: AnonVma) -> None:
        """Make it the one where new pages go; linking is the caller's business."""
        self.anon_vma = anon_vma
        anon_vma.nr_active_vmas += 1

    def link_anon_vmas(self, anon_vmas: list[AnonVma]) -> None:
        """anon_vma_chain_link() for each."""
        for anon_vma in anon_vmas:
            self.anon_vma_chain.append(anon_vma)
            anon_vma.nr_links += 1

    def unlink_anon_vmas(self) -> None:
        """unlink_anon_vmas(): an anon_vma without VMAs leaves its parent."""
        for anon_vma in self.anon_vma_chain:
            anon_vma.nr_links -= 1
            if not anon_vma.nr_links:
                anon_vma.parent.nr_children -= 1
        self.anon_vma_chain = []
        if self.anon_vma is not None:
            self.anon_vma.nr_active_vmas -= 1
        self.anon_vma = None


def split_vma(mm: MmStruct, vma: Vma, at: int, *, new_below: bool) -> None:
    """split_vma(): refuses when the VMAs are at their maximum. `vma` keeps the part that new_below leaves it."""
    if len(mm.vmas) >= mm.machine.max_map_count:
        raise failure(ENOMEM)
    split_vma_unchecked(mm, vma, at, new_below=new_below)


def split_vma_unchecked(mm: MmStruct, vma: Vma, at: int, *, new_below: bool) -> None:
    """__split_vma()."""
    split_huge_pmd_if_needed(mm, vma, at)
    if new_below:
        new = vma.duplicate(vma.start, at)
        vma.start, vma.pgoff = at, vma.pgoff_of(at)
    else:
        new = vma.duplicate(at, vma.end)
        vma.end = at
    mm.insert(new)


def delete_vma(mm: MmStruct, vma: Vma) -> None:
    """A VMA that was merged away: its neighbour keeps the file alive."""
    mm.remove(vma)
    vma.unlink_anon_vmas()


def is_mergeable_anon_vma(one: AnonVma | None, other: AnonVma | None, vma: Vma | None) -> bool:
    """One of them missing is fine, unless `vma`, which is to grow, came by fork (or has none itself)."""
    if (one is None or other is None) and (vma is None or len(vma.anon_vma_chain) == 1):
        return True
    return one is other


def is_mergeable_vma(vma: Vma, file: File | None, vm_flags: int) -> bool:
    """is_mergeable_vma(): same file, same flags, VM_ACCOUNT and VM_NORESERVE among them."""
    return vma.vm_flags == vm_flags and vma.file is file


def can_vma_merge_before(vma: Vma, vm_flags: int, anon_vma: AnonVma | None, file: File | None, pgoff_end: int) -> bool:
    """Whether a range that ends at file page `pgoff_end` can be joined to the front of `vma`."""
    return (
        is_mergeable_vma(vma, file, vm_flags) and is_mergeable_anon_vma(anon_vma, vma.anon_vma, vma) and vma.pgoff == pgoff_end
    )


def can_vma_merge_after(vma: Vma, vm_flags: int, anon_vma: AnonVma | None, file: File | None, pgoff: int) -> bool:
    """Whether a range that starts at file page `pgoff` can be joined to the end of `vma`."""
    return (
        is_mergeable_vma(vma, file, vm_flags)
        and is_mergeable_anon_vma(anon_vma, vma.anon_vma, vma)
        and vma.pgoff_of(vma.end) == pgoff
    )


def vma_merge(
    mm: MmStruct,
    prev: Vma | None,
    start: int,
    end: int,
    vm_flags: int,
    anon_vma: AnonVma | None,
    file: File | None,
    pgoff: int,
) -> Vma | None:
    """vma_merge(), alike in 5.10 and 6.1: the merged VMA, or None and nothing changed.

    Where the flags of a range change, vma_merge_existing_range() of 6.12 does the same; of a hole see vma_merge_new_range().

    [start, end) is a hole (mmap, mremap), or part of one VMA whose flags change: `prev` itself, or the VMA after it
    (`mid`). The case numbers are the kernel's.
    """
    if vm_flags & VM_SPECIAL:
        return None
    after_prev = mm.find_vma(prev.end if prev else 0)
    mid = after_prev
    following = mm.find_vma(mid.end) if mid is not None and mid.end == end else mid
    merge_prev = prev is not None and prev.end == start and can_vma_merge_after(prev, vm_flags, anon_vma, file, pgoff)
    merge_next = (
        following is not None
        and following.start == end
        and can_vma_merge_before(following, vm_flags, anon_vma, file, pgoff + end - start)
    )
    removed = mid if mid is not None and mid is not following else None  # cases 6, 7, 8
    if merge_prev:
        assert prev is not None
        if merge_next and following is not None and is_mergeable_anon_vma(prev.anon_vma, following.anon_vma, None):
            if removed is not None:  # case 6
                prev.take_anon_vma(removed)
                delete_vma(mm, removed)
            prev.take_anon_vma(following)  # case 1
            delete_vma(mm, following)
            prev.end = following.end
            return prev
        if removed is not None:  # case 7
            prev.take_anon_vma(removed)
            delete_vma(mm, removed)
        elif mid is not None and end > mid.start:  # case 5
            split_huge_pmd_if_needed(mm, mid, end)
            prev.take_anon_vma(mid)
            mid.start, mid.pgoff = end, mid.pgoff_of(end)
        prev.end = end  # and case 2
        return prev
    if merge_next:
        assert following is not None
        if prev is not None and start < prev.end:  # case 4
            split_huge_pmd_if_needed(mm, prev, start)
            following.take_anon_vma(prev)
            prev.end = start
        elif removed is not None:  # case 8
            following.take_anon_vma(removed)
            delete_vma(mm, removed)
        following.pgoff -= following.start - start
        following.start = start  # and case 3
        return following
    return None


def vma_expand_for_mmap(mm: MmStruct, start: int, end: int, vm_flags: int, file: File | None, pgoff: int) -> Vma | None:
    """How mmap_region() of 6.1 extends a neighbour over a new range: not vma_merge(), but its own test.

    The next VMA is looked at first, then the previous one with the next one's anon_vma. So a faulted next keeps an
    unfaulted previous apart, where 5.10 would join all three; and of two faulted neighbours the next grows.
    """
    prev, following = mm.vma_before(start), mm.find_vma(start)
    if vm_flags & VM_SPECIAL:
        return None
    grown: Vma | None = None
    first, last = start, end
    if (
        following is not None
        and following.start == end
        and can_vma_merge_before(following, vm_flags, None, file, pgoff + end - start)
    ):
        grown, last = following, following.end
    if (
        prev is not None
        and prev.end == start
        and can_vma_merge_after(prev, vm_flags, grown.anon_vma if grown else None, file, pgoff)
    ):
        grown, first = prev, prev.start
    if grown is None:
        return None
    if following is not None and grown is not following and last == following.end:
        grown.take_anon_vma(following)
        delete_vma(mm, following)
    if grown is following:
        grown.pgoff -= grown.start - first
    grown.start, grown.end = first, last
    return grown


def vma_merge_new_range(
    mm: MmStruct,
    start: int,
    end: int,
    vm_flags: int,
    anon_vma: AnonVma | None,
    file: File | None,
    pgoff: int,
    apart: Vma | None = None,
) -> Vma | None:
    """6.12 vma_merge_new_range(): the neighbour that grew over the hole [start, end), or None; never `apart`."""
    prev, following = mm.vma_before(start), mm.find_vma(start)
    if vm_flags & VM_SPECIAL:
        return None
    left = prev if prev is not apart and prev is not None and prev.end == start else None
    if left is not None and not can_vma_merge_after(left, vm_flags, anon_vma, file, pgoff):
        left = None
    right = following if following is not apart and following is not None and following.start == end else None
    if right is not None and not can_vma_merge_before(right, vm_flags, anon_vma, file, pgoff + end - start):
        right = None
    if left is not None:
        left.end = end
        if right is not None and is_mergeable_anon_vma(left.anon_vma, right.anon_vma, None):
            left.end = right.end
            left.take_anon_vma(right)
            delete_vma(mm, right)
        return left
    if right is not None:
        right.pgoff -= right.start - start
        right.start = start
    return right


def change_flags_of_range(mm: MmStruct, vma: Vma, prev: Vma | None, start: int, end: int, vm_flags: int) -> tuple[Vma, bool]:
    """Give [start, end) of `vma` a VMA of its own or a place in a neighbour with those flags.

    Returns the VMA and whether it was a merge. The first steps of mlock_fixup(), mprotect_fixup() and
    madvise_update_vma(): the caller then sets the flags.
    """
    merged = vma_merge(mm, prev, start, end, vm_flags, vma.anon_vma, vma.file, vma.pgoff_of(start))
    if merged is not None:
        return merged, True
    if start != vma.start:
        split_vma(mm, vma, start, new_below=True)
    if end != vma.end:
        split_vma(mm, vma, end, new_below=False)
    return vma, False


def anon_vma_prepare(mm: MmStruct, vma: Vma) -> None:
    """anon_vma_prepare(), find_mergeable_anon_vma(): a neighbour's anon_vma, the next one's first, or a new one."""
    if vma.anon_vma is not None:
        return
    following, prev = mm.find_vma(vma.end), mm.vma_before(vma.start)
    anon_vma = None
    if following is not None:
        anon_vma = reusable_anon_vma(following, vma, following)
    if anon_vma is None and prev is not None:
        anon_vma = reusable_anon_vma(prev, prev, vma)
    if anon_vma is None:
        anon_vma = AnonVma()
    vma.set_anon_vma(anon_vma)
    vma.link_anon_vmas([anon_vma])


def reusable_anon_vma(owner: Vma, left: Vma, right: Vma) -> AnonVma | None:
    """`owner`'s anon_vma if the two VMAs touch and could merge were their protections equal."""
    if (
        left.end == right.start
        and left.file is right.file
        and not (left.vm_flags ^ right.vm_flags) & ~VM_ACCESS_FLAGS
        and right.pgoff == left.pgoff_of(right.start)
        and len(owner.anon_vma_chain) == 1
    ):
        return owner.anon_vma
    return None
