"""The list of deliberately broken models: each is one replacement in one module of mmmodel."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """One broken model. `old` occurs exactly once in the file."""

    name: str
    file: str  # name of a module's file, in whichever folder of the package it lies
    old: str
    new: str


MUTANTS = (
    Mutant(
        "6.1 drops the zero-page check",
        "folio.py",
        "return SPECIAL if entry & _PAGE_SPECIAL != 0 else pte_pfn(entry)",
        "return pte_pfn(entry)",
    ),
    Mutant(
        "5.10 drops the zero-page check",
        "per_page.py",
        "return pte_present(entry) and entry & _PAGE_SPECIAL == 0",
        "return pte_present(entry)",
    ),
    Mutant(
        "6.1 skips PROT_NONE VMAs",
        "page_walk.py",
        "if is_walked(s, vma):",
        "if is_walked(s, vma) and newflags & 7 != 0:",
    ),
    Mutant(
        "5.10 skips PROT_NONE VMAs",
        "per_page.py",
        '    top = s.mms[mm]["pgd"]\n',
        '    if s.vmas[vma]["vm_flags"] & 7 == 0:\n        return\n    top = s.mms[mm]["pgd"]\n',
    ),
    Mutant(
        "the anon_vma rule is forgotten",
        "vma.py",
        "    return anon_vma1 == anon_vma2\n",
        "    return True\n",
    ),
    Mutant(
        "mlock_count counts twice",
        "mlock_batch.py",
        "    mlocked = 1 if flags & PG_mlocked != 0 else 0\n",
        "    mlocked = 2 if flags & PG_mlocked != 0 else 0\n",
    ),
    Mutant(
        "a second mlock counts pages again",
        "mlock.py",
        "(s.ctl[KERNEL] < V6_1 or oldflags & VM_LOCKED != 0)",
        "s.ctl[KERNEL] < V6_1",
    ),
    Mutant(
        "a second mlock counts locked_vm again",
        "mlock.py",
        "    elif oldflags & VM_LOCKED != 0:\n        nr_pages = 0\n",
        "",
    ),
    Mutant(
        "an unlocked VMA is unlocked again",
        "mlock.py",
        "if newflags == oldflags or not vma_supports_mlock(oldflags):",
        "if not vma_supports_mlock(oldflags):",
    ),
    Mutant(
        "6.1 populates for MLOCK_ONFAULT",
        "gup.py",
        "    if vm_flags & VM_LOCKONFAULT != 0:\n        return 0\n",
        "",
    ),
    Mutant(
        "5.10 populates without FOLL_MLOCK",
        "gup.py",
        "mlock = five_ten and vm_flags & VM_LOCKED != 0",
        "mlock = five_ten and vm_flags & VM_LOCKED != 0 and vm_flags & VM_LOCKONFAULT != 0",
    ),
    Mutant(
        "MCL_FUTURE is never taken back",
        "mlock.py",
        '    s.mms[mm]["def_flags"] &= VM_LOCKED_CLEAR_MASK\n',
        "",
    ),
    Mutant(
        "MLOCK_ONFAULT sticks to a VMA",
        "constants.py",
        "VM_LOCKED_CLEAR_MASK: Final = ~(VM_LOCKED | VM_LOCKONFAULT)",
        "VM_LOCKED_CLEAR_MASK: Final = ~VM_LOCKED",
    ),
    Mutant(
        "the limit counts what is locked already",
        "mlock.py",
        "        locked -= count_mm_mlocked_page_nr(s, mm, first, pages)\n",
        "",
    ),
    Mutant(
        "mlockall(MCL_ONFAULT) alone is no error",
        "mlock.py",
        " or flags == MCL_ONFAULT:",
        ":",
    ),
    Mutant(
        "MADV_DONTNEED is allowed on locked memory",
        "madvise.py",
        "        refused |= VM_LOCKED\n",
        "        refused |= 0\n",
    ),
    Mutant(
        "batches of fourteen",
        "constants.py",
        "PAGEVEC_SIZE: Final = 15",
        "PAGEVEC_SIZE: Final = 14",
    ),
    Mutant(
        "a huge page is stepped through in 5.10",
        "munlock_page.py",
        "    return nr_pages - 1\n",
        "    return 0\n",
    ),
    Mutant(
        "6.1 counts parts of huge pages",
        "page_walk.py",
        "    return COMPOUND if pfn > 0 and page_trans_compound(pages, pfn) else pfn\n",
        "    return pfn\n",
    ),
    Mutant(
        "a split leaves a huge page mlocked in 5.10",
        "split.py",
        "        clear_page_mlock(s, pfn)\n",
        "        pass\n",
    ),
    Mutant(
        "hole-skip steps too far from an unaligned start",
        "per_page.py",
        "start = min((start & -size) + size, end)",
        "start = min(start + size, end)",
    ),
    Mutant(
        "a locked VMA that becomes writable is not populated",
        "mprotect.py",
        "if oldflags & (VM_WRITE | VM_SHARED | VM_LOCKED) == VM_LOCKED and newflags & VM_WRITE != 0:",
        "if False:",
    ),
    Mutant(
        "fork keeps VM_LOCKONFAULT",
        "fork.py",
        'record["vm_flags"] = vm_flags & VM_LOCKED_CLEAR_MASK',
        'record["vm_flags"] = vm_flags & ~0x2000',
    ),
    Mutant(
        "mlockall refuses at the limit",
        "mlock.py",
        's.mms[mm]["total_vm"] > limit',
        's.mms[mm]["total_vm"] >= limit',
    ),
    Mutant(
        "6.1 does not split off the head before MREMAP_DONTUNMAP",
        "mremap.py",
        'if s.vmas[s.order[position]]["vm_end"] != old + length:',
        'if s.vmas[s.order[position]]["vm_end"] != old + length and s.vmas[s.order[position]]["vm_start"] != old:',
    ),
    Mutant(
        "5.10 asks on after a file's VMA has locked a page",
        "munlock_page.py",
        """            if _relock_if_vma_locks(s, pfn, vma):
                return
            vma = s.vmas""",
        """            _relock_if_vma_locks(s, pfn, vma)
            vma = s.vmas""",
    ),
    Mutant(
        "5.10 asks on after an anonymous VMA has locked a page",
        "munlock_page.py",
        """            if _relock_if_vma_locks(s, pfn, s.avcs[avc]["vma"]):
                return
""",
        """            _relock_if_vma_locks(s, pfn, s.avcs[avc]["vma"])
""",
    ),
    Mutant(
        "populating steps a whole huge page from inside it",
        "gup.py",
        "(1 + (~(start >> PAGE_SHIFT) & page_mask))",
        "(1 + page_mask)",
    ),
    Mutant(
        "an exact gap is refused top-down",
        "mmap.py",
        "if high - floor >= length:",
        "if high - floor > length:",
    ),
    Mutant(
        "an exact gap is refused bottom-up",
        "mmap.py",
        "return low if low + length <= high else 0",
        "return low if low + length < high else 0",
    ),
    Mutant(
        "6.1 steps a missing top entry of five levels by 512 GiB",
        "page_walk.py",
        "    size = 1 << PGD_SHIFT_LA57\n",
        "    size = P4D_SIZE\n",
    ),
    Mutant(
        "hole-skip steps a missing top entry of five levels by 512 GiB",
        "lookup.py",
        "return P4D_SHIFT if result == NONE_AT_P4D else PGD_SHIFT_LA57",
        "return P4D_SHIFT",
    ),
)


def file_of(package: Path, mutant: Mutant) -> Path:
    """The file that a mutant breaks in a package; ValueError if there is not exactly one of that name."""
    found = sorted(package.rglob(mutant.file))
    if len(found) != 1:
        raise ValueError(f"{mutant.name}: {len(found)} files {mutant.file} in {package.name}, not one")
    return found[0]


def broken_source(package: Path, mutant: Mutant) -> str:
    """The source of the mutant's file with the replacement made; ValueError if it does not fit exactly once."""
    source = file_of(package, mutant).read_text(encoding="utf-8")
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: {mutant.file} holds {mutant.old!r} {source.count(mutant.old)} times, not once")
    return source.replace(mutant.old, mutant.new)
