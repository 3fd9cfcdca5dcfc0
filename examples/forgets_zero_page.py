"""page-walk by hand, wrong on purpose: it takes the zero page, which nobody owns, for a page like others."""

from mmmodel.idea import (
    HUGE,
    PMD_SIZE,
    VM_IO,
    VM_LOCKED,
    begin_pte_range,
    is_walked,
    lru_add_drain,
    mlock_folio,
    munlock_page,
    page_trans_compound,
    pte_offset,
    pte_pfn,
    pte_present,
    set_vm_flags,
    walk_to_pmd,
)

KERNEL = "6.1"


def mlock_vma_pages_range(s, mm, vma, start, end, newflags):
    lock = newflags & VM_LOCKED != 0
    set_vm_flags(s, vma, newflags | VM_IO if lock else newflags)
    lru_add_drain(s)
    while start < end and is_walked(s, vma):
        following = min((start & -PMD_SIZE) + PMD_SIZE, end)
        pmd = walk_to_pmd(s, mm, start)
        read = begin_pte_range(s, pmd, start, following) if pmd != 0 else 0
        first = pmd if read == HUGE else pte_offset(s, pmd, start)
        for slot in range(first, first + abs(read)):
            pfn = pte_pfn(s.entries[slot])
            if not pte_present(s.entries[slot]) or (read != HUGE and page_trans_compound(s.pages, pfn)):
                continue  # and here the kernel's vm_normal_page() would leave out what is special
            if lock:
                mlock_folio(s, pfn)
            else:
                munlock_page(s, pfn)
        start = following
    lru_add_drain(s)
    set_vm_flags(s, vma, newflags)
