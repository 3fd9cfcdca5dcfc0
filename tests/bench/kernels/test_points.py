"""Where the VMAs of a layout come to lie on a real kernel, whose guest program has a place of its own."""

import pytest

from bench.kernels import points
from bench.traces.checks import PROGRAM_BYTES, PROGRAM_START
from bench.workloads.layout import Vma
from mmmodel.constants import PAGE_SIZE, PUD_SIZE

PROGRAM_END = PROGRAM_START + PROGRAM_BYTES


def vma(first: int, last: int) -> Vma:
    return Vma(hex(first), hex(last), "rw-p", ("rd", "wr"), ())


@pytest.mark.parametrize(
    ("first", "last", "moves"),
    [
        (PROGRAM_START - PAGE_SIZE, PROGRAM_START, False),  # up to it
        (PROGRAM_END, PROGRAM_END + PAGE_SIZE, False),  # right behind it
        (PROGRAM_START - PAGE_SIZE, PROGRAM_START + PAGE_SIZE, True),
        (PROGRAM_END - PAGE_SIZE, PROGRAM_END + PAGE_SIZE, True),
        (PROGRAM_START, PROGRAM_END, True),
        (PROGRAM_START - PAGE_SIZE, PROGRAM_END + PAGE_SIZE, True),
    ],
)
def test_what_lies_in_the_programs_place_moves(first: int, last: int, moves: bool) -> None:
    assert points._moved([vma(first, last)]) == ({first: first + PUD_SIZE} if moves else {})


def test_it_moves_to_where_nothing_lies() -> None:
    own = vma(PROGRAM_START, PROGRAM_END)
    behind = vma(PROGRAM_START + PUD_SIZE + PROGRAM_BYTES - PAGE_SIZE, PROGRAM_START + PUD_SIZE + PROGRAM_BYTES)
    assert points._moved([own, behind]) == {PROGRAM_START: PROGRAM_START + 2 * PUD_SIZE}
    beside = vma(PROGRAM_END + PUD_SIZE, PROGRAM_END + PUD_SIZE + PAGE_SIZE)  # its end is where that begins
    assert points._moved([own, beside]) == {PROGRAM_START: PROGRAM_START + PUD_SIZE}
