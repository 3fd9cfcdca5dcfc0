"""What `pmap -X`, `-XX` and `-x` print, of procps 3.3 and 4: columns by their heads, whichever a kernel gives it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bench.capture.smaps import FIELDS
from bench.capture.text import KIB, Line, Region, checked, flags_of, number_of
from bench.errors import one_line

_TITLE: Final = re.compile(r"[0-9]{1,10}:\s.*")  # 1234:   the command
_RULE: Final = re.compile(r"(?:=+|-+)(?:\s+(?:=+|-+))*")  # before the totals
_NAMES: Final = {"Kbytes": "Size", "RSS": "Rss"}  # of -x, as smaps has them
_MODE: Final = re.compile(r"([r-][w-][x-])([s-])[R-]")  # of -x
# VmFlags of kernels up to 7.0: -XX does not say where they end and the name of what is mapped begins.
_FLAGS: Final = re.compile(
    "rd|wr|ex|sh|m[rwesp]|gd|pf|dw|lo|io|[sr]r|dc|de|lf|ac|nr|ht|sf|nl|ar|wf|dd|bt|sd|m[mtg]|hg|nh|u[mwi]|ss|dp|sl|p[0-3]"
)
_PLAIN: Final = re.compile(r"[0-9a-f]+\s+[0-9]+K\s")  # a row of pmap without options


def is_title(text: str) -> bool:
    """Tell whether a line may be one that output of pmap begins with."""
    return bool(_TITLE.fullmatch(text)) or text.startswith("Address ")


def regions(lines: Iterable[Line]) -> Iterator[Region]:
    """Yield the VMAs of a process. UsageError names the line that is wrong; the totals must be there, for they end it."""
    columns: list[str] = []
    before: Region | None = None
    nr_before, ended, last = 0, False, None
    for line in lines:
        last = line
        if not columns and _TITLE.fullmatch(line.text):
            continue
        if not columns:
            columns = _columns(line)
        elif ended:
            if _TITLE.fullmatch(line.text):
                raise line.bad("a second process begins here; give one at a time")
        elif _RULE.fullmatch(line.text):
            ended = True
        else:
            before = checked(_region(line, columns), before, nr_before)
            nr_before += 1
            yield before
    if last is not None and not ended:
        raise last.bad("the text ends here, before the totals that pmap ends with")


def _columns(line: Line) -> list[str]:
    """Return the heads of the columns."""
    if _PLAIN.match(line.text):
        raise line.bad("pmap without -X does not say how much is in memory; use pmap -X PID, or /proc/PID/smaps")
    heads = [_NAMES.get(word, word) for word in line.text.split()]
    heads = [*heads[:-1], "VmFlags", "Mapping"] if heads[-1] == "VmFlagsMapping" else heads
    whole = {"Size", "Rss"} <= set(heads) and {"Perm", "Mode"} & set(heads)
    if heads[0] != "Address" or heads[-1] != "Mapping" or not whole:
        raise line.bad("these are not the heads of pmap -X, -XX or -x, which begin with Address and end with Mapping")
    return heads


def _region(line: Line, columns: Sequence[str]) -> Region:
    """Return the VMA of a row."""
    words = line.text.split()
    cells: dict[str, str] = {}
    flags: tuple[str, ...] | None = None
    for name in columns[:-1]:
        if name == "VmFlags":
            letters = []
            while words and _FLAGS.fullmatch(words[0]):
                letters.append(words.pop(0))
            flags = flags_of(line, letters)
            continue
        if not words:
            raise line.bad(f"{one_line(line.text, 80)!r} has no {name}: a part of the row is missing")
        cells[name] = words.pop(0)
    path = " ".join(words)
    start = _hexadecimal(line, "Address", cells["Address"])
    kib: dict[str, int] = {name: number_of(line, name, cells[name]) for name in FIELDS if name in cells}
    inode = number_of(line, "Inode", cells.get("Inode", "0"))
    return Region(
        line,
        start,
        start + kib["Size"] * KIB,
        _perms(line, cells),
        re.sub(r"^\[ (.*) \]$", r"[\1]", path).replace("[anon]", ""),
        _hexadecimal(line, "Offset", cells.get("Offset", "0")),
        f"{cells.get('Device', '')} {inode}" if inode else "",
        flags,
        kib,
    )


def _perms(line: Line, cells: dict[str, str]) -> str:
    """Return the permissions as maps writes them."""
    text = cells.get("Perm", cells.get("Mode", ""))
    if mode := _MODE.fullmatch(text):
        return mode[1] + ("s" if mode[2] == "s" else "p")
    if not re.fullmatch("[r-][w-][x-][ps]", text):
        raise line.bad(f"{one_line(text, 40)!r} are no permissions, as rw-p")
    return text


def _hexadecimal(line: Line, name: str, text: str) -> int:
    """Return an address or an offset."""
    if not re.fullmatch("[0-9a-f]{1,16}", text):
        raise line.bad(f"{name} {one_line(text, 40)!r} is no hexadecimal number")
    return int(text, 16)
