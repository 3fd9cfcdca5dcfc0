"""The oracle against itself: after every call of a random program its references, maps and counters must add up."""

import random
from collections import Counter

import pytest

from oracle import OracleMm
from oracle import constants as c
from oracle.files import OracleFile
from oracle.folio import Folio
from oracle.lru import Lru61
from oracle.mmstruct import MmStruct
from support.facts import BASE, PAGE
from support.recordings import KERNELS

MREMAP_FLAGS = (0, c.MREMAP_MAYMOVE, c.MREMAP_MAYMOVE | c.MREMAP_FIXED, c.MREMAP_MAYMOVE | c.MREMAP_DONTUNMAP, 7)


class Program:
    """Up to three processes, two files and two CPUs, all in one small range of addresses."""

    def __init__(self, seed: int, impl: str) -> None:
        self.rng = random.Random(seed)
        thp = self.rng.choice(["never", "madvise", "always"])
        self.first = OracleMm(impl, thp=thp, nr_cpus=2, ram=1 << 30)
        self.mms = [self.first]
        self.files = [self.first.create_file(40 * PAGE), self.first.create_file(3 * PAGE)]
        self.span = self.rng.choice([64, 2048])

    def area(self) -> tuple[int, int]:
        """A random address and length."""
        rng = self.rng
        start, length = rng.randrange(self.span), rng.choice([1, 2, 3, 8, 512, rng.randrange(1, self.span)])
        return BASE + (start & ~511 if rng.random() < 0.3 else start) * PAGE, length * PAGE

    def step(self) -> None:
        """One random call, which may fail."""
        rng, mm, (addr, length) = self.rng, self.rng.choice(self.mms), self.area()
        self.first.cpu = rng.randrange(2)
        prot = rng.choice([0, 1, 3, 3, 3])
        share = rng.choice([c.MAP_PRIVATE, c.MAP_PRIVATE, c.MAP_SHARED])
        option = rng.choice([0, 0, c.MAP_LOCKED, c.MAP_POPULATE, c.MAP_NORESERVE])
        calls = {
            "mmap": lambda: mm.mmap(addr, length, prot, c.MAP_FIXED | share | option),
            "mmap_file": lambda: mm.mmap(addr, length, prot, c.MAP_FIXED | share, rng.choice(self.files), 2 * PAGE),
            "munmap": lambda: mm.munmap(addr, length),
            "mprotect": lambda: mm.mprotect(addr, length, prot),
            "swap_out": lambda: mm.swap_out(addr, length),
            "mlock": lambda: mm.mlock2(addr, length, rng.randrange(2)),
            "munlock": lambda: mm.munlock(addr, length),
            "mlockall": lambda: mm.mlockall(rng.choice([1, 2, 3, 5, 6, 7])),
            "munlockall": mm.munlockall,
            "touch": lambda: mm.touch(addr, length, rng.choice(["read", "write"])),
            "madvise": lambda: mm.madvise(addr, length, rng.choice([4, 14, 15, 24])),
            "mremap": lambda: mm.mremap(addr, length, self.area()[1], rng.choice(MREMAP_FLAGS), self.area()[0]),
            "fork": lambda: self.fork_or_exit(mm),
            "truncate": lambda: rng.choice(self.files).truncate(rng.randrange(40) * PAGE),
            "drain": self.first.lru_add_drain_all,
        }
        often = ("mmap", "mlock", "munlock", "touch", "touch", "swap_out")
        try:
            calls[rng.choice([*calls, *often])]()
        except OSError:
            return

    def fork_or_exit(self, mm: OracleMm) -> None:
        """Another process, or one less."""
        if len(self.mms) < 3:
            self.mms.append(mm.fork())
        elif mm is not self.first:
            mm.exit()
            self.mms.remove(mm)


def check(mms: list[MmStruct], files: list[OracleFile]) -> None:
    """Every reference is accounted for, and the counters are what the pages say."""
    lru = mms[0].lru
    held: list[Folio] = [folio for batch in lru.lru_add for folio in batch]
    if isinstance(lru, Lru61):
        held += [folio for batch in lru.mlock_batch for _, folio in batch]
    all_files = {file.file for file in files}
    for mm in mms:
        check_vmas(mm)
        held += check_tables(mm)
        all_files |= {vma.file for vma in mm.vmas if vma.file is not None}
    held += [folio for file in all_files for folio in file.cache.values()]
    swapped = [pte.slot for mm in mms for pte in mm.swapped.values()]
    cached = [slot.cache for slot in swapped if slot.cache is not None]
    references = Counter(map(id, held))
    folios = {id(folio): folio for folio in held + cached}.values()
    assert all(folio.refcount == references[id(folio)] + (folio.slot is not None) for folio in folios)
    assert all(slot.count == swapped.count(slot) for slot in swapped)
    assert lru.stat["nr_mlock"] == sum(folio.nr for folio in folios if folio.mlocked)
    assert lru.stat["nr_unevictable"] == sum(folio.nr for folio in folios if folio.on_lru and folio.unevictable)


def check_vmas(mm: MmStruct) -> None:
    """In order, not overlapping, and adding up."""
    bounds = [at for vma in mm.vmas for at in (vma.start, vma.end)]
    assert bounds == sorted(bounds)
    assert all(vma.nr_pages > 0 for vma in mm.vmas)
    assert all((vma.anon_vma is None) == (not vma.anon_vma_chain) for vma in mm.vmas)
    assert mm.total_vm == sum(vma.nr_pages for vma in mm.vmas)


def check_tables(mm: MmStruct) -> list[Folio]:
    """Entries lie in VMAs, agree with the reverse map and are writable only where the VMA is. Returns their folios."""
    folios = []
    for nr in mm.tables | mm.pmds.keys():
        assert all(nr << 9 >> kind in tables for kind, tables in mm.upper.items())
    for vpn in mm.swapped:
        assert mm.vma_at(vpn).anon_vma is not None
        assert vpn >> 9 in mm.tables
        assert vpn not in mm.ptes
    for vpn, pte in mm.ptes.items():
        vma = mm.vma_at(vpn)
        assert vpn >> 9 in mm.tables
        assert vma.vm_flags & c.VM_WRITE or not pte.write
        if pte.folio is not None:
            assert (mm, vpn) in pte.folio.pte_maps[pte.subpage]
            assert vma.anon_vma is not None or not pte.folio.anon
            folios.append(pte.folio)
    for nr, pmd in mm.pmds.items():
        vma = mm.vma_at(nr << 9)
        assert vma.end >= nr + 1 << 9
        assert nr not in mm.tables
        if pmd.folio is not None:
            assert (mm, nr << 9) in pmd.folio.pmd_maps
            folios.append(pmd.folio)
    return folios


@pytest.mark.parametrize("impl", KERNELS.values())
@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int, impl: str) -> None:
    program = Program(seed, impl)
    for _ in range(60):
        program.step()
        check([mm.mm for mm in program.mms], program.files)
    for mm in program.mms:
        mm.exit()
    for file in program.files:
        file.truncate(0)
    program.first.lru_add_drain_all()
    left = program.first.vmstat()
    assert (left["nr_mlock"], left["nr_unevictable"]) == (0, 0)
