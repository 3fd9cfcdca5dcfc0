"""A model of Linux's mlock family on x86-64: page tables, VMAs, pages, and the calls, in three implementations.

``from mmmodel import Mm`` loads numba; :mod:`mmmodel.kernels`, :mod:`mmmodel.constants` and :mod:`mmmodel.counters` do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmmodel.constants import *  # noqa: F403
from mmmodel.errors import NotModelled
from mmmodel.kernels import IMPLEMENTATIONS

if TYPE_CHECKING:
    from mmmodel.check import check_mm
    from mmmodel.file import File
    from mmmodel.mm import Mm
    from mmmodel.observe import ObservableState, PageRun, VmaInfo
    from mmmodel.warm import warm_up

_LAZY = {
    "Mm": "mmmodel.mm",
    "File": "mmmodel.file",
    "check_mm": "mmmodel.check",
    "ObservableState": "mmmodel.observe",
    "PageRun": "mmmodel.observe",
    "VmaInfo": "mmmodel.observe",
    "warm_up": "mmmodel.warm",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


__all__ = [
    "IMPLEMENTATIONS",
    "File",
    "Mm",
    "NotModelled",
    "ObservableState",
    "PageRun",
    "VmaInfo",
    "check_mm",
    "warm_up",
]
