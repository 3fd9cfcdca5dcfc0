"""The allocator's lists, held to what /proc/zoneinfo showed on real kernels of 2 GiB and one processor."""

from __future__ import annotations

import pytest

from bench.prediction import weights
from bench.prediction.page_lists import BATCH, HIGH_5_10, HIGH_6_1, PageLists, unknown
from bench.prediction.terms import REFILLED, SPILLED
from mmmodel.kernels import V5_10, V6_1, V6_12

# Pages that were touched side by side with their page tables, each lot unmapped before the next: the list's length after it was
# touched and after it was unmapped, on 6.1.176. Before the first lot it was 165.
SEEN_6_1 = ((4_000, 62, 275), (6_000, 58, 432), (10_000, 50, 746), (20_000, 46, 1_547))


def test_lists_of_6_1_are_as_long_as_a_kernels() -> None:
    lists = PageLists(V6_1)
    for nr_pages, touched, unmapped in SEEN_6_1:
        tables = -(-nr_pages // 512) + 2
        lists.move(nr_pages, tables)
        assert abs(lists.count - touched) <= 2 * BATCH  # other allocations of the kernel are on it, too
        lists.move(lists.count - touched, 0)  # from the length that was seen on
        lists.move(-nr_pages, -tables)
        assert abs(lists.count - unmapped) <= 2


def test_what_was_just_taken_finds_room_and_more_goes_on() -> None:
    for kernel, high in ((V5_10, HIGH_5_10), (V6_1, HIGH_6_1)):
        lists = PageLists(kernel)
        lists.move(-3 * high, 0)
        lists.move(100, 0)
        assert lists.move(-100, 0).spilled == 0
        assert high - BATCH <= lists.move(-3 * high, 0).spilled <= 4 * high


def test_6_12_keeps_as_many_as_it_has_taken() -> None:
    lists = PageLists(V6_12)
    assert lists.move(20_000, 40).refilled >= 20_000
    assert lists.move(-20_000, -40).spilled == 0
    lists.move(100_000, 200)
    assert lists.move(-100_000, -200).spilled > 30_000  # the list's highest is an eighth of the zone


@pytest.mark.parametrize("series", ["5.10", "6.1", "6.12"])
def test_lists_that_are_not_known_widen_the_interval_of_unmapping(series: str) -> None:
    kernel = weights.shipped().of(series)
    counters = {"model_zapped": 10_000, "model_zap_read": 10_000, "model_tables_freed": 20, "model_vmas_freed": 1}
    cost = weights.predict(kernel, "munmap", counters)
    all_, none = (weights.predict(kernel, "munmap", {**counters, SPILLED: number, REFILLED: 0}) for number in (10_020, 0))
    assert none.low <= cost.low < cost.instructions <= cost.high == pytest.approx(all_.high)
    assert unknown(V6_1, {}) == ((0, 0), (0, 0), (0, 0))
