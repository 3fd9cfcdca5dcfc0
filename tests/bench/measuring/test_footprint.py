"""What the model's memory is measured to be: of a populated page, and of the largest reservation."""

import sys

import pytest

from bench.errors import MeasurementError
from bench.measuring import footprint
from mmmodel import Mm


def test_a_page_takes_its_record_its_entry_and_little_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "NR_TOUCHED", 1 << 15)
    state = Mm().state
    least = state.array("pages").itemsize + state.array("entries").itemsize
    assert least <= footprint.bytes_per_page() < 1.5 * least  # arrays grow by more than is asked for


def test_a_reservation_takes_a_vma_however_large_it_is() -> None:
    assert 0 <= footprint.reservation_bytes() < 1 << 20


def test_a_number_comes_from_a_process_of_its_own() -> None:
    assert footprint.in_subprocess("reservation_bytes") == footprint.reservation_bytes()


def test_a_process_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(MeasurementError, match="reservation_bytes failed"):
        footprint.in_subprocess("reservation_bytes")
