"""What a program can see of an address space: fs/proc/task_mmu.c, fs/proc/page.c."""

from __future__ import annotations

from typing import NamedTuple

from .constants import (
    HPAGE_PMD_NR,
    PAGE_SHIFT,
    PAGE_SIZE,
    VM_EXEC,
    VM_LOCKED,
    VM_MAYSHARE,
    VM_READ,
    VM_WRITE,
)
from .folio import Folio
from .mmstruct import MmStruct
from .vma import Vma

PSS_SHIFT = 12


class VmaInfo(NamedTuple):
    """One VMA as in /proc/self/smaps; addresses in bytes."""

    start: int
    end: int
    perms: str
    locked: bool
    vm_flags: int
    rss_kb: int
    locked_kb: int


def smaps(mm: MmStruct) -> list[VmaInfo]:
    """/proc/self/smaps."""
    return [vma_info(mm, vma) for vma in mm.vmas]


def vma_info(mm: MmStruct, vma: Vma) -> VmaInfo:
    """smap_gather_stats(): zero pages do not count; Pss is rounded per page to a 4096th of a byte."""
    rss = pss = 0
    for vpn in mm.huge_pmds(vma.start, vma.end):
        folio = mm.pmds[vpn >> 9].folio
        if folio is not None and (vma.is_accessible or not mm.series or mm.folios):  # 6.1 sees no huge page made PROT_NONE
            rss += HPAGE_PMD_NR
            pss += sum((PAGE_SIZE << PSS_SHIFT) // folio.mapcount(i) for i in range(HPAGE_PMD_NR))
    for vpn in mm.populated(vma.start, vma.end):
        pte = mm.ptes[vpn]
        if pte.folio is not None:
            rss += 1
            pss += (PAGE_SIZE << PSS_SHIFT) // pte.folio.mapcount(pte.subpage)
    locked = bool(vma.vm_flags & VM_LOCKED)
    letters = ((VM_READ, "r"), (VM_WRITE, "w"), (VM_EXEC, "x"))
    perms = "".join(letter if vma.vm_flags & bit else "-" for bit, letter in letters)
    return VmaInfo(
        vma.start << PAGE_SHIFT,
        vma.end << PAGE_SHIFT,
        perms + ("s" if vma.vm_flags & VM_MAYSHARE else "p"),
        locked,
        vma.vm_flags,
        rss << 2,
        pss >> PSS_SHIFT + 10 if locked else 0,
    )


def page_state(folio: Folio | None, subpage: int, *, huge: bool, of_folio: bool) -> str:
    """Letters of one page, from /proc/kpageflags: of a compound page only the head shows PG_mlocked, PG_unevictable, unless
    the kernel shows the folio's flags of each page.
    """
    if folio is None:
        return "PZT" if huge else "PZ"
    state = "P"
    if subpage == 0 or of_folio:
        state += "M" * folio.mlocked + "U" * folio.unevictable
    return state + "T" * folio.is_large


def pagemap(mm: MmStruct, start: int, end: int) -> list[tuple[int, int, str]]:
    """/proc/self/pagemap of [start, end) (page numbers): runs (first page from start, pages, state)."""
    states: dict[int, str] = {}
    for first in mm.huge_pmds(start, end):
        folio = mm.pmds[first >> 9].folio
        for i in range(HPAGE_PMD_NR):
            if start <= first + i < end:
                states[first + i] = page_state(folio, i, huge=True, of_folio=mm.folios)
    for vpn in mm.populated(start, end):
        pte = mm.ptes[vpn]
        states[vpn] = page_state(pte.folio, pte.subpage, huge=False, of_folio=mm.folios)
    runs: list[tuple[int, int, str]] = []
    for vpn in sorted(states):
        if runs and runs[-1][0] + runs[-1][1] == vpn - start and runs[-1][2] == states[vpn]:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1, states[vpn])
        else:
            runs.append((vpn - start, 1, states[vpn]))
    return runs
