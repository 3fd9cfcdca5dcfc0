"""What others measured on real kernels: data, for scale beside what is measured here."""

from __future__ import annotations

import msgspec


class Reported(msgspec.Struct, frozen=True):
    """One munlockall() of the reproducer, 2 TiB PROT_NONE, timed by the reporter."""

    seconds: float  # system time
    kernel: str
    remark: str


# Milan Broz, "Very slow unlockall()", linux-mm, January and February 2021.
REPORTED = (
    Reported(4.172, "5.11-rc2", "in a virtual machine"),
    Reported(5.310, "5.10.12", "system time; 6.123 s of wall time"),
    Reported(32.126, "5.11-rc2 debug", "system time, lock debugging on"),
)
REPORTED_SPAN = 1 << 41  # bytes
