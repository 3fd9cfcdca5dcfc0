"""What compiled code sees of numpy arrays, for the type checker: integers in, integers out.

At run time these are numpy arrays; numpy's own annotations would make every field of a record ``Any``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, overload


class Record(Protocol):
    """One element of a structured array: fields by name."""

    def __getitem__(self, field: str) -> int: ...
    def __setitem__(self, field: str, value: int) -> None: ...


class Records(Protocol):
    """(n,) structured array: records by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> Record: ...


class Words(Protocol):
    """(n,) or (n, m) integers."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[int]: ...
    @overload
    def __getitem__(self, index: int | tuple[int, int, int]) -> int: ...
    @overload
    def __getitem__(self, index: slice | tuple[int, int]) -> Words: ...
    def __setitem__(self, index: int | slice | tuple[int, int] | tuple[int, int, int], value: int) -> None: ...


class Rows(Protocol):
    """(n, m) int64: a table to be filled in."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int) -> Words: ...
    @overload
    def __getitem__(self, index: tuple[int, int]) -> int: ...
    def __setitem__(self, index: tuple[int, int], value: int) -> None: ...
