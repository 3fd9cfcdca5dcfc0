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
NEED_ROOM: Final = 4096  # not an errno: the arrays must grow before the call can go on; State.ctl[CURSOR] says from where
