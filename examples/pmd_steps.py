"""per-page, but a missing page table is one step of 2 MiB, however much is missing above it."""

from mmmodel.idea import PAGE_SIZE, PMD_SHIFT, PMD_SIZE, clear_vm_locked, cond_resched, follow_page, munlock_pages

KERNEL = "5.10"


def munlock_vma_pages_range(s, mm, vma, start, end):
    clear_vm_locked(s, vma)
    while start < end:
        found = follow_page(s, mm, start)
        cond_resched(s)
        if found > 0:
            start = munlock_pages(s, mm, found, start, end)
        else:
            step = PMD_SIZE if -found >= PMD_SHIFT else PAGE_SIZE
            start = (start & -step) + step
