"""The page allocator's lists of free pages of one processor: what a call takes from the free areas behind them, and gives back.

A page that is given up goes to the processor's list, which costs little; when that is full a part of it goes on to the free
areas, where neighbours are joined, which costs a third as much again. So what a call costs depends on how full the list was:
pages that were just brought into memory came from it, and their places are free.

Models mm/page_alloc.c: rmqueue_pcplist(), free_unref_page_commit(), free_pcppages_bulk() of the zone of a machine with 2 GiB
and one processor, as weights were measured on; simplified: one list of pages that can be moved and one of page tables, nothing
of what else the kernel allocates, no decay with time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from bench.prediction.terms import REFILLED, SPILLED
from mmmodel.kernels import V6_1, V6_12

Kind = Literal["pages", "tables"]
BATCH: Final = 63  # pages that go to and fro at a time, at least
SCALE: Final = 5  # 6.12: a batch doubles up to so many times
# Pages that the lists may hold, as /proc/zoneinfo shows it there; 6.12 raises it with each batch, up to an eighth of the zone.
HIGH_5_10: Final = 6 * BATCH
HIGH_6_1: Final = 1906
HIGHEST_6_12: Final = 62_702
FORGOTTEN: Final = 12  # after so many allocations what grew while pages were freed is as small as it was


class Moved(NamedTuple):
    """Pages that went between the lists and the free areas."""

    refilled: int  # to the lists
    spilled: int  # from them

    def counters(self) -> dict[str, int]:
        """Return them by the names that terms know."""
        return {REFILLED: self.refilled, SPILLED: self.spilled}


class PageLists:
    """The lists of one processor, empty at first; `kernel` as mmmodel.kernels orders them.

    5.10 moves one batch at a time, and how far one is begun is not known: here a page at a time, as it is on the average.
    """

    def __init__(self, kernel: int) -> None:
        self._kernel = kernel
        self._high = HIGH_5_10 - BATCH if kernel < V6_1 else HIGH_6_1
        self._lists: dict[Kind, int] = {"pages": 0, "tables": 0}
        self._freed = 0  # 6.1: batches freed in a row; 6.12: pages
        self._taken = 0  # 6.12: batches taken in a row

    @property
    def count(self) -> int:
        """Pages on the lists."""
        return sum(self._lists.values())

    def move(self, pages: int, tables: int) -> Moved:
        """Take pages for user memory and for page tables from the lists, or, where negative, give them back."""
        changes: tuple[tuple[Kind, int], ...] = (("pages", pages), ("tables", tables))
        refilled = sum(self._take(kind, number) for kind, number in changes if number > 0)
        return Moved(refilled, sum(self._give(kind, -number) for kind, number in changes if number < 0))

    def _take(self, kind: Kind, wanted: int) -> int:
        """Take pages; return how many came from the free areas."""
        if self._kernel < V6_1:
            refilled = max(0, wanted - self._lists[kind])
            self._lists[kind] += refilled - wanted
            return refilled
        refilled = 0
        while wanted > 0:
            if self._lists[kind] == 0:
                refilled += self._refill(kind)
            taken = min(wanted, self._lists[kind])
            self._lists[kind] -= taken
            self._freed >>= min(taken, FORGOTTEN)
            wanted -= taken
        return refilled

    def _refill(self, kind: Kind) -> int:
        """Bring a batch from the free areas; 6.12 takes more each time, and lets the lists hold so many more."""
        number = BATCH
        if self._kernel >= V6_12:
            number <<= self._taken
            self._high = min(self._high + number, HIGHEST_6_12)
            most = max(self._high - self.count - BATCH, BATCH)
            self._taken = min(self._taken + (number <= most), SCALE)
            number = min(number, most)
        self._lists[kind] += number
        return number

    def _give(self, kind: Kind, number: int) -> int:
        """Give pages back; return how many went on to the free areas."""
        if self._kernel < V6_1:
            self._lists[kind] += number
            spilled = max(0, self.count - self._high)
            self._drop(kind, spilled, spilled // 2)
            return spilled
        spilled = 0
        while number > 0:
            given = min(number, max(1, self._high - self.count))
            self._lists[kind] += given
            number -= given
            self._taken = 0
            if self._kernel >= V6_12:
                self._freed = min(self._freed + given, BATCH << SCALE)
            if self.count >= self._high:
                spilled += self._spill(kind)
        return spilled

    def _spill(self, kind: Kind) -> int:
        """Send a part of full lists on: 6.1 twice as much each time, 6.12 as much as was given in a row."""
        most = self._high - BATCH
        if self._kernel >= V6_12:
            number = min(max(self._freed, BATCH), most)
            self._high = min(max(self._high, self._freed + BATCH), HIGHEST_6_12)
        else:
            number = min(BATCH << self._freed, most)
            self._freed += (BATCH << self._freed) < most
        self._drop(kind, number, 0)
        return number

    def _drop(self, kind: Kind, number: int, of_other: int) -> None:
        """Take pages off the lists: off that which was given to, but for so many off the other; what one lacks off the other.

        5.10 takes off one and the other in turn.
        """
        other: Kind = "tables" if kind == "pages" else "pages"
        first = max(min(number - of_other, self._lists[kind]), number - self._lists[other])
        self._lists[kind] -= first
        self._lists[other] -= number - first


class Unknown(NamedTuple):
    """What lists of which it is not known how full they are may do in a call."""

    least: Moved
    usual: Moved  # full of nothing else than what the process itself took from them, and left
    most: Moved


def unknown(kernel: int, counters: Mapping[str, int]) -> Unknown:
    """Return what a call may move that counts this: a page for each fault, and what it unmaps with its tables."""
    taken = counters.get("model_faults", 0)
    pages, tables = counters.get("model_zapped", 0), counters.get("model_tables_freed", 0)
    lists = PageLists(kernel)
    lists.move(pages, tables)
    usual = Moved(lists.move(taken, 0).refilled, lists.move(-pages, -tables).spilled)
    highest = HIGH_5_10 if kernel < V6_1 else HIGH_6_1 if kernel < V6_12 else HIGHEST_6_12
    least = Moved(max(0, taken - highest), max(0, pages + tables - highest))
    return Unknown(least, usual, Moved(taken, pages + tables))
