"""Files to map."""

from __future__ import annotations

import os

from mmmodel import syscalls as sys
from mmmodel.constants import MAX_LFS_FILESIZE, PAGE_SHIFT
from mmmodel.errno_codes import EFBIG, EINVAL
from mmmodel.space import AddressSpace


class File:
    """An open file whose pages may be mapped: :meth:`Mm.create_file`."""

    def __init__(self, mm: AddressSpace, number: int, nbytes: int) -> None:
        self._mm = mm
        self.number = number
        self.nbytes = nbytes

    def truncate(self, nbytes: int) -> None:
        """Change the size; pages beyond it are unmapped everywhere and dropped."""
        if not 0 <= nbytes <= MAX_LFS_FILESIZE:
            error = EINVAL if nbytes < 0 else EFBIG
            raise OSError(error, os.strerror(error), "truncate")
        self._mm._call(sys.TRUNCATE, "truncate", self.number, -(-nbytes >> PAGE_SHIFT))
        self.nbytes = nbytes
