"""Traces of machines that use large anonymous folios (mTHP): the sizes as a command line has them, and traces set to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

from msgspec.structs import replace

from bench.errors import UsageError, one_line
from bench.traces.ops import FolioSize, Madvise, Op, Trace
from bench.traces.trace_format import Loaded
from mmmodel.sizes import parse_bytes

SIZES: Final[tuple[FolioSize, ...]] = get_args(FolioSize)
HELP: Final = "sizes of large anonymous folios to use, such as 64KiB or 16KiB,1MiB (default: what each trace says, or none)"


def parse_sizes(text: str | None) -> tuple[FolioSize, ...]:
    """Return the sizes that `text` names, smallest first: "16KiB,64KiB", in any unit, none for None; UsageError for others."""
    if text is None:
        return ()
    by_bytes = {parse_bytes(size): size for size in SIZES}
    found = set()
    for word in text.split(","):
        try:
            size = by_bytes.get(parse_bytes(word))
        except ValueError:
            size = None
        if size is None:
            raise UsageError(f"--mthp {one_line(text, 60)}: sizes of large folios are {', '.join(SIZES)}")
        found.add(size)
    return tuple(size for size in SIZES if size in found)


def random_traces_of(traces: Mapping[str, Trace], sizes: tuple[FolioSize, ...]) -> dict[str, Trace]:
    """Return random traces set to `sizes`, without MADV_FREE: it splits folios that are not wholly in its range."""
    if not sizes:
        return dict(traces)
    return {name: replace(one, ops=tuple(filter(_is_kept, one.ops)), mthp=sizes) for name, one in traces.items()}


def _is_kept(op: Op) -> bool:
    """Tell whether an op is none that random traces of large folios leave out."""
    return not (isinstance(op, Madvise) and op.advice == "free")


def loaded_with(traces: Loaded[Trace], sizes: tuple[FolioSize, ...]) -> Loaded[Trace]:
    """Return a file's traces set to `sizes`, if any; UsageError for one that says otherwise itself."""
    if not sizes:
        return traces
    for name, one in traces.by_name.items():
        if one.mthp not in ((), sizes):
            raise UsageError(f"{traces.where(name)}: mthp: {', '.join(one.mthp)}, not --mthp {','.join(sizes)}")
    set_to = {name: replace(one, mthp=sizes) for name, one in traces.by_name.items()}
    return Loaded(traces.what, Path(traces.path), set_to, traces.lines)
