"""A tmpfs file as its owner holds it, and truncation (mm/shmem.c, mm/truncate.c)."""

from __future__ import annotations

from .constants import EINVAL, PAGE_SHIFT, failure
from .folio import File
from .lru import Lru
from .pagetable import zap_page_range


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


def unmap_mapping_pages(file: File, first: int) -> None:
    """unmap_mapping_range() with even_cows: private copies go as well. One zap per VMA that maps the file."""
    for mm, vma in sorted(file.vmas, key=lambda pair: (pair[1].pgoff, pair[1].start)):
        start = max(vma.start, vma.start + first - vma.pgoff)
        if start < vma.end:
            zap_page_range(mm, vma, start, vma.end)
