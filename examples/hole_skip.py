"""per-page, but what a missing table would map is one step."""

from mmmodel.idea import clear_vm_locked, cond_resched, follow_page, munlock_pages

KERNEL = "5.10"


def munlock_vma_pages_range(s, mm, vma, start, end):
    clear_vm_locked(s, vma)
    while start < end:
        found = follow_page(s, mm, start)
        cond_resched(s)
        if found > 0:
            start = munlock_pages(s, mm, found, start, end)
        else:
            start = ((start >> -found) + 1) << -found
