"""Which implementations take part in which operation; their registry says so.

Under the gate the model may be an older one, which knows no operation that some have another implementation of.
"""

from __future__ import annotations

from mmmodel import kernels
from mmmodel.kernels import Implementation


def every() -> tuple[Implementation, ...]:
    """Return all implementations, those of one operation alone among them, the baseline first."""
    return getattr(kernels, "every_implementation", kernels.implementations)()


def only(name: str) -> str:
    """Return the one operation that an implementation takes part in, "" for all; of a real kernel, too."""
    return next((getattr(one, "only", "") for one in every() if one.name == name), "")


def take_part(name: str, operation: str) -> bool:
    """Tell whether an implementation is measured on an operation; a real kernel is on any."""
    return only(name) in ("", operation)
