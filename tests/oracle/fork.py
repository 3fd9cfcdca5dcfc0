"""fork and exit: kernel/fork.c dup_mmap(), mm/memory.c copy_page_range(), mm/mmap.c exit_mmap()."""

from __future__ import annotations

from .constants import VM_ACCOUNT, VM_DONTCOPY, VM_LOCK_BITS, VM_LOCKED, VM_MAYWRITE, VM_NOHUGEPAGE, VM_SHARED, VM_WIPEONFORK
from .folio import AnonVma, Folio
from .mlock import munlock_vma_pages_range
from .mmap import release_file
from .mmstruct import MmStruct
from .pagetable import Pmd, Pte, alloc_upper_tables, finish_mmu, free_pgtables, zap_range
from .swap import SwapPte
from .vma import Vma


def fork(parent: MmStruct) -> MmStruct:
    """dup_mmap(): nothing is locked in the child, and MCL_FUTURE is not inherited."""
    child = MmStruct(parent.machine)
    child.rlimit_memlock, child.cap_ipc_lock = parent.rlimit_memlock, parent.cap_ipc_lock
    child.def_flags = parent.def_flags & VM_NOHUGEPAGE
    child.total_vm = parent.total_vm
    for vma in parent.vmas:
        if vma.vm_flags & VM_DONTCOPY:
            child.total_vm -= vma.nr_pages
        elif vma.vm_flags & VM_ACCOUNT:
            parent.machine.enough_memory(vma.nr_pages)
    for vma in parent.vmas:
        if vma.vm_flags & VM_DONTCOPY:
            continue
        twin = Vma(vma.start, vma.end, vma.vm_flags & ~VM_LOCK_BITS, vma.pgoff, vma.file)
        if not vma.vm_flags & VM_WIPEONFORK:
            anon_vma_fork(twin, vma)
        child.insert(twin)
        if vma.anon_vma is not None and not vma.vm_flags & VM_WIPEONFORK:  # else faults will fill it just as well
            copy_page_range(child, parent, vma)
    return child


def anon_vma_fork(twin: Vma, vma: Vma) -> None:
    """anon_vma_fork(): the parent's chain, oldest first, then an anon_vma of its own.

    One of the chain is reused instead if no VMA has it as its own any more and it has but one child.
    """
    if vma.anon_vma is None:
        return
    twin.link_anon_vmas(vma.anon_vma_chain)
    for candidate in vma.anon_vma_chain:
        if candidate.nr_children < 2 and not candidate.nr_active_vmas:
            twin.set_anon_vma(candidate)
            return
    own = AnonVma(vma.anon_vma)
    twin.set_anon_vma(own)
    twin.link_anon_vmas([own])


def copy_page_range(child: MmStruct, parent: MmStruct, vma: Vma) -> None:
    """Share every page; what either process may write to later is write-protected in both."""
    cow = vma.vm_flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE
    copied = {nr for nr in parent.tables | parent.pmds.keys() if vma.start >> 9 <= nr <= (vma.end - 1) >> 9}
    child.tables |= copied & parent.tables  # the empty ones too
    for nr in copied:
        alloc_upper_tables(child, nr << 9)
    for vpn in parent.in_swap(vma.start, vma.end):
        swapped = parent.swapped[vpn]
        swapped.exclusive = False
        swapped.slot.count += 1
        child.swapped[vpn] = SwapPte(swapped.slot, exclusive=False)
    for vpn in parent.entries(vma.start, vma.end):
        pte = parent.ptes.get(vpn)
        if pte is None:
            pmd = parent.pmds[vpn >> 9]
            pmd.write = False
            child.pmds[vpn >> 9] = Pmd(pmd.folio)
            if pmd.folio is not None:
                pmd.folio.refcount += 1
                pmd.folio.map_pmd(child, vpn)
                pmd.folio.exclusive.discard(0)
            continue
        if cow:
            pte.write = False
        child.ptes[vpn] = Pte(pte.folio, pte.subpage, pte.write, pte.dirty and cow)
        if pte.folio is not None:
            pte.folio.refcount += 1
            pte.folio.map_pte(child, vpn, pte.subpage)
            pte.folio.exclusive.discard(pte.subpage)


def exit_mmap(mm: MmStruct) -> None:
    """exit_mmap(): 5.10 munlocks every locked VMA first, if locked_vm is not 0. Without VMAs there is nothing to do."""
    if not mm.vmas:
        return
    if not mm.series and mm.locked_vm:
        for vma in mm.vmas:
            if vma.vm_flags & VM_LOCKED:
                munlock_vma_pages_range(mm, vma, vma.start, vma.end)
    mm.lru.drain()
    gather: list[Folio] = []
    for vma in mm.vmas:
        gather += zap_range(mm, vma, vma.start, vma.end)
    free_pgtables(mm, [(vma.start, vma.end) for vma in mm.vmas], 0, None)
    finish_mmu(mm, gather)
    for vma in list(mm.vmas):
        mm.remove(vma)
        vma.unlink_anon_vmas()
        release_file(mm, vma.file)
    mm.total_vm = mm.locked_vm = 0
