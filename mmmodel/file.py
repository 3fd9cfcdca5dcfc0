"""Files to map."""

from __future__ import annotations

import os
from typing import SupportsIndex

from mmmodel import syscalls as sys
from mmmodel.arguments import Size, c_int, register, size
from mmmodel.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_SUPPORTED_MASK,
    FALLOC_FL_ZERO_RANGE,
    MAX_LFS_FILESIZE,
    PAGE_SHIFT,
)
from mmmodel.errno_codes import EFBIG, EINVAL, EOPNOTSUPP
from mmmodel.filemap import CACHE_END
from mmmodel.modelled import refuse_fallocate, refuse_file_size
from mmmodel.space import AddressSpace


class File:
    """An open file whose pages may be mapped by every process of its machine: :meth:`Mm.create_file`."""

    def __init__(self, mm: AddressSpace, number: int, nbytes: int) -> None:
        self._mm = mm
        self._number = number
        self.nbytes = nbytes

    @property
    def number(self) -> int:
        """Index in :attr:`State.files`."""
        return self._number

    def number_on(self, mm: AddressSpace) -> int:
        """The number, for a call of ``mm``; ValueError if that is a process of another machine, or the file is no more."""
        if mm.machine is not self._mm.machine:
            raise ValueError("file: it is on another machine")
        if not mm.machine.has_file(self._number):
            raise ValueError("file: the machine was restored to a time before it was created")
        return self._number

    def truncate(self, nbytes: Size) -> None:
        """Change the size; pages beyond it are unmapped everywhere and dropped."""
        nbytes = size("nbytes", nbytes)
        if not 0 <= nbytes <= MAX_LFS_FILESIZE:
            error = EINVAL if nbytes < 0 else EFBIG
            raise OSError(error, os.strerror(error), "truncate")
        refuse_file_size("truncate", nbytes)
        self._mm._call(sys.TRUNCATE, "truncate", self.number_on(self._mm), -(-nbytes >> PAGE_SHIFT))
        self.nbytes = nbytes

    def fallocate(self, mode: SupportsIndex, offset: Size, length: Size) -> None:
        """fallocate(2): ``mode`` FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE.

        Whole pages in the range go, mapped or locked or not.  Private copies stay, and so does the size.
        NotModelled: other modes.
        """
        mode, start, nbytes = c_int("mode", mode), register("offset", offset), register("length", length)
        if start < 0 or nbytes <= 0:
            raise OSError(EINVAL, os.strerror(EINVAL), "fallocate")
        both = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE
        unkept = mode & FALLOC_FL_PUNCH_HOLE and not mode & FALLOC_FL_KEEP_SIZE
        if mode & ~FALLOC_FL_SUPPORTED_MASK or mode & both == both or unkept:
            raise OSError(EOPNOTSUPP, os.strerror(EOPNOTSUPP), "fallocate")
        refuse_fallocate(mode)
        end = start + nbytes
        if end > MAX_LFS_FILESIZE:
            raise OSError(EFBIG, os.strerror(EFBIG), "fallocate")
        last_page = CACHE_END >> PAGE_SHIFT
        first, stop = (min(page, last_page) for page in (-(-start >> PAGE_SHIFT), end >> PAGE_SHIFT))
        self._mm._call(sys.PUNCH_HOLE, "fallocate", self.number_on(self._mm), first, max(first, stop))
