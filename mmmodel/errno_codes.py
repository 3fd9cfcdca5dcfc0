"""The errno values that calls return, as frozen ints (include/uapi/asm-generic/errno*.h)."""

from __future__ import annotations

import errno
from typing import Final

EPERM: Final = errno.EPERM
ESRCH: Final = errno.ESRCH
EINTR: Final = errno.EINTR
EAGAIN: Final = errno.EAGAIN
ENOMEM: Final = errno.ENOMEM
EACCES: Final = errno.EACCES
EFAULT: Final = errno.EFAULT
EBUSY: Final = errno.EBUSY
EEXIST: Final = errno.EEXIST
EINVAL: Final = errno.EINVAL
EFBIG: Final = errno.EFBIG
EDEADLK: Final = errno.EDEADLK
EOPNOTSUPP: Final = errno.EOPNOTSUPP
EOVERFLOW: Final = errno.EOVERFLOW
MAX_ERRNO: Final = 4095  # include/linux/err.h: results of -4095 to -1 are errors, whatever was meant
NEED_ROOM: Final = 4096  # not an errno: the arrays must grow before the call can go on; State.ctl[CURSOR] says from where
