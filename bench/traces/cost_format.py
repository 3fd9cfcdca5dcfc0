"""Traces with what their calls cost: one JSON object a line, a trace and the instructions of each op on each kernel.

`instructions` has, by kernel (`linux-6.1`), a number for each op, or null where it was not taken. A stride may be a number or,
as addresses are, hexadecimal text; names may have signs that names of traces may not (`untouched_2^30`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from bench.errors import UsageError, one_line
from bench.traces.ops import MAX_OPS, Hex, Op, Trace
from bench.traces.trace_format import MAX_ALL_OPS, explain, lines_of, located, trace_problem

WHAT: Final = "cost file"
MAX_KERNELS: Final = 32
CostName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._^+-]{0,99}\Z")]
KernelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}\Z")]
Cost = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Costs(Struct, frozen=True):
    """A trace, and what each of its ops cost each kernel in instructions."""

    name: CostName
    window: tuple[Hex, Hex]
    ops: Annotated[tuple[Op, ...], Meta(max_length=MAX_OPS)]
    instructions: Annotated[dict[KernelName, tuple[Cost | None, ...]], Meta(max_length=MAX_KERNELS)]

    @property
    def trace(self) -> Trace:
        """The calls alone."""
        return Trace(self.name, self.window, self.ops)


def load_costs(path: Path) -> list[Costs]:
    """Read and check such a file; UsageError, which names file, line and field, for one that is none."""
    found: dict[str, Costs] = {}
    nr_ops = 0
    for number, line in lines_of(path, WHAT):
        where = located(WHAT, path, number)
        try:
            one = msgspec.convert(_with_numbers(msgspec.json.decode(line)), Costs)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{where}: {one_line(explain(error), 500)}") from None
        nr_ops += len(one.ops)
        if nr_ops > MAX_ALL_OPS:
            raise UsageError(f"{where}: more than {MAX_ALL_OPS:,} ops in one file")
        if problem := _problem(one, found):
            raise UsageError(f"{where}: {one_line(problem, 500)}")
        found[one.name] = one
    if not found:
        raise UsageError(f"{WHAT} {one_line(path, 120)} is empty")
    return list(found.values())


def _problem(one: Costs, before: Iterable[str]) -> str:
    """Return what is wrong with a line of the right form, the field in front; "" if nothing is."""
    if one.name in before:
        return f"name: {one.name!r} is the name of an earlier line too"
    for kernel, costs in one.instructions.items():
        if len(costs) != len(one.ops):
            return f"instructions.{kernel}: {len(costs)} numbers for {len(one.ops)} ops"
    return trace_problem(one.trace)


def _with_numbers(line: Any) -> Any:
    """Return a decoded line whose strides are numbers where they were hexadecimal text; all else is checked later."""
    ops = line.get("ops") if isinstance(line, dict) else None
    for op in ops if isinstance(ops, list) else ():
        if isinstance(op, dict) and isinstance(op.get("stride"), str):
            try:
                op["stride"] = int(op["stride"], 16)
            except ValueError:
                continue  # it stays a text, and is refused as one
    return line


def encode_costs(found: Sequence[Costs]) -> bytes:
    """Return the lines of such a file."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in found)
