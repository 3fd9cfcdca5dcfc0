"""Sizes: every way of writing one, every way of getting it wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.workloads import sizes
from mmmodel.constants import PAGE_SIZE

TIB = 1 << 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2TiB", 2 * TIB),
        ("2 TiB", 2 * TIB),
        ("2t", 2 * TIB),
        ("512GiB", 1 << 39),
        ("512gib", 1 << 39),
        ("1.5G", 3 << 29),
        ("1<<41", 1 << 41),
        ("1 << 41", 1 << 41),
        ("2^41", 1 << 41),
        ("2**41", 1 << 41),
        ("0x20000000000", 1 << 41),
        ("2_199_023_255_552", 1 << 41),
        ("4096", 4096),
        ("4096B", 4096),
        ("64KiB", 65536),
    ],
)
def test_sizes_as_people_write_them(text: str, expected: int) -> None:
    assert sizes.parse_size(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no number"),
        ("many", "no number"),
        ("TiB", "no number"),
        ("1e12", "no number"),
        ("nan", "no number"),
        ("inf", "no number"),
        ("2TiB\n", None),  # blank space around it is harmless
        ("\u0662TiB", "no number"),  # a digit, but not one that is meant
        ("1<<999999999", "no number"),
        ("2TB", "unknown unit"),
        ("2 parsecs", "unknown unit"),
        ("-4096", "negative"),
        ("-2TiB", "negative"),
        ("0", "zero"),
        ("1", "page size"),
        ("4095", "page size"),
        ("4097", "page size"),
        ("2KiB", "page size"),
        ("10KiB", "page size"),  # two pages and a half
        ("10240", "page size"),
        ("1<<11", "page size"),
        ("0x2800", "page size"),
        ("0.3GiB", "whole number"),
        ("128TiB", "larger than the address space"),
        ("1<<47", "larger than the address space"),
        ("999^999", "page size"),
        ("2^999", "larger than the address space"),
    ],
)
def test_wrong_sizes_say_why_in_one_line(text: str, why: str | None) -> None:
    if why is None:
        assert sizes.parse_size(text) == 2 * TIB
        return
    with pytest.raises(UsageError) as caught:
        sizes.parse_size(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_five_levels_have_more_address_space() -> None:
    assert sizes.parse_size("1<<55", levels=5) == 1 << 55
    with pytest.raises(UsageError, match="5-level"):
        sizes.parse_size("1<<56", levels=5)


@given(st.integers(0, 1 << 56))
def test_formatted_sizes_are_exact(size: int) -> None:
    assert sizes.parse_bytes(sizes.format_size(size)) == size


@given(st.integers(1, (1 << 35) - 17).map(lambda pages: pages * PAGE_SIZE))
def test_every_span_of_pages_is_accepted(size: int) -> None:
    assert sizes.parse_size(str(size)) == size


@given(st.integers(1, 1 << 46).filter(lambda size: size % PAGE_SIZE != 0))
def test_every_other_span_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match="page size"):
        sizes.parse_size(str(size))


@pytest.mark.parametrize(("levels", "end"), [(4, (1 << 47) - PAGE_SIZE), (5, (1 << 56) - PAGE_SIZE)])
def test_the_largest_span_ends_at_the_guard_page(levels: int, end: int) -> None:
    """It begins at vm.mmap_min_addr, 64 KiB."""
    largest = end - (64 << 10)
    assert sizes.parse_size(str(largest), levels) == largest
    with pytest.raises(UsageError, match="larger than the address space"):
        sizes.parse_size(str(largest + PAGE_SIZE), levels)


def test_sizes_in_names() -> None:
    assert sizes.format_size(1 << 41) == "2TiB"
    assert sizes.format_size(4097) == "4097B"
