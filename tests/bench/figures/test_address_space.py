"""The picture of an address space: numbers held against the model's counters and by calculation, words, drawing."""

import pytest

from bench.capture.document import from_text, layout_of
from bench.capture.text import Line, Region
from bench.figures.address_space.numbers import MOST_COLUMNS, OTHERS, AddressSpace, looked_up, prepare
from bench.figures.kind import Prepared
from bench.figures.kinds import LAYOUT_KINDS
from bench.measuring.counting import count
from bench.workloads import layout
from bench.workloads.layout import Layout, Unplaced, Vma
from bench.workloads.scenario import Point
from bench.workloads.selection import layout_scenario
from mmmodel.kernels import IMPLEMENTATIONS

MiB = 1 << 20


def numbers(of: Layout) -> AddressSpace:
    """Return the numbers of a layout."""
    (one,) = prepare(of)
    assert isinstance(one, AddressSpace)
    return one


@pytest.mark.parametrize("name", ["java17_g1_1g_thp", "go119"])
def test_pages_looked_up_are_those_that_the_model_counts(name: str) -> None:
    counted = count(Point(layout_scenario(name), IMPLEMENTATIONS[0])).counted.counters["model_pages_looked_up"]
    assert sum(row.looked_up for row in numbers(layout.load(name)).rows) == counted


@pytest.mark.parametrize("name", layout.shipped_names())
def test_rows_and_columns_are_of_every_vma(name: str) -> None:
    found, data = layout.load(name), numbers(layout.load(name))
    assert sum(row.nr_vmas for row in data.rows) == len(found.vmas)
    assert sum(row.reserved for row in data.rows) == found.span
    assert {sum(row.least for row in data.rows), sum(row.most for row in data.rows)} == {found.nr_present * 4096}
    assert max(column.reserved for column in data.columns) == max(vma.last - vma.first for vma in found.vmas)
    assert len(data.columns) <= MOST_COLUMNS
    shares = [row.looked_up for row in data.rows if row.name != OTHERS]
    assert shares == sorted(shares, reverse=True)


def test_a_huge_page_is_looked_up_once_and_what_cannot_be_locked_never() -> None:
    vma = Vma("0x200000", "0x800000", "rw-p", (), ((0, 1024),), thp=((512, 512),))
    assert looked_up(vma) == 1024 + 1
    assert looked_up(Vma("0x200000", "0x800000", "rw-p", (), (), lockable=False)) == 0


def test_what_is_not_known_is_told_as_a_range_and_drawn() -> None:
    line = Line("it", 1, "")
    region = Region(line, MiB, 3 * MiB, "rw-p")
    unknown = layout_of(from_text([region], "maps", "it"), "it")
    assert unknown.vmas[0].unplaced == Unplaced(0, 512, (0, 0), (0, 512))
    (prepared,) = LAYOUT_KINDS["address_space"].prepared(unknown)
    assert isinstance(prepared, Prepared)
    words = prepared.words()
    assert "0 B to 2 MiB in memory" in words.title and "100 % of the look-ups" in words.alternative
    assert len(prepared.draw().axes) == 2
