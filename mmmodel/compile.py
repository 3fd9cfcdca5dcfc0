"""A helper process of the first run: ``python -m mmmodel.compile NUMBER SHARES`` compiles its share into the cache."""

from __future__ import annotations

import sys

import mmmodel.estimate
import mmmodel.observe
import mmmodel.syscalls  # noqa: F401  # these three load all that is compiled
from mmmodel import jit

if __name__ == "__main__":
    jit.compile_share(int(sys.argv[1]), int(sys.argv[2]))
