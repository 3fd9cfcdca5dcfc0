"""A tmpfs file as its owner holds it, and truncation (mm/shmem.c, mm/truncate.c)."""

from __future__ import annotations

import errno

from .constants import EINVAL, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, PAGE_SHIFT, failure
from .folio import File
from .lru import Lru
from .pagetable import finish_mmu, unmap_pte, zap_page_range


class OracleFile:
    """An open file."""

    def __init__(self, lru: Lru, nbytes: int) -> None:
        self.lru = lru
        self.file = File(nbytes, is_open=True)

    def truncate(self, nbytes: int) -> None:
        """ftruncate(2), shmem_setattr(): unmap what lies beyond the end, everywhere, then drop it from the cache."""
        if nbytes < 0:
            raise failure(EINVAL)
        before, self.file.nbytes = self.file.nbytes, nbytes
        if before <= self.file.nr_pages << PAGE_SHIFT:
            return
        unmap_mapping_pages(self.file, self.file.nr_pages)
        for index in sorted(i for i in self.file.cache if i >= self.file.nr_pages):
            folio = self.file.cache.pop(index)
            folio.file = None
            self.lru.put(folio)

    def fallocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2), to punch holes: the pages that lie in the range as a whole."""
        if offset < 0 or length <= 0:
            raise failure(EINVAL)
        if mode != FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
            raise failure(errno.EOPNOTSUPP)
        if offset + length >= 1 << 63:
            raise failure(errno.EFBIG)
        punch_hole(self.lru, self.file, -(-offset >> PAGE_SHIFT), offset + length >> PAGE_SHIFT)


def punch_hole(lru: Lru, file: File, first: int, end: int) -> None:
    """shmem_fallocate(FALLOC_FL_PUNCH_HOLE): what maps these pages of the file loses them; private copies stay."""
    for mm, vma in sorted(file.vmas, key=lambda pair: (pair[1].pgoff, pair[1].start)):
        low, high = max(vma.start, vma.start + first - vma.pgoff), min(vma.end, vma.start + end - vma.pgoff)
        if low < high:
            lru.drain()
            of_file = [vpn for vpn in mm.populated(low, high) if (folio := mm.ptes[vpn].folio) is not None and not folio.anon]
            finish_mmu(mm, [folio for vpn in of_file if (folio := unmap_pte(mm, vma, vpn)) is not None])
    for index in sorted(i for i in file.cache if first <= i < end):
        folio = file.cache.pop(index)
        folio.file = None
        lru.put(folio)


def unmap_mapping_pages(file: File, first: int) -> None:
    """unmap_mapping_range() with even_cows: private copies go as well. One zap per VMA that maps the file."""
    for mm, vma in sorted(file.vmas, key=lambda pair: (pair[1].pgoff, pair[1].start)):
        start = max(vma.start, vma.start + first - vma.pgoff)
        if start < vma.end:
            zap_page_range(mm, vma, start, vma.end)
