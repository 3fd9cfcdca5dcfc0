"""Which implementations must do what a kernel did: all of that kernel that are registered."""

from mmmodel.kernels import implementations


def of_kernel(name: str) -> tuple[str, ...]:
    """Return the implementations of a kernel, "5.10", in the order of the registry."""
    return tuple(one.name for one in implementations() if one.kernel.name == name)
