"""Numbers of a comparison."""

import math

import pytest

from bench.analysis import report_rows
from bench.errors import MeasurementError
from bench.workloads.scenario import SCENARIOS
from support import rows


def test_a_row_has_the_numbers_of_its_call() -> None:
    small = SCENARIOS["report"].resized(1 << 20)
    done = [rows.counted(small, "per-page"), rows.counted(small, "page-walk")]
    slow, fast = report_rows.rows(done, {done[0].name: [4.0, 1.0, 2.0], done[1].name: [0.5]})
    assert slow.seconds and fast.seconds
    assert slow.seconds.estimate == pytest.approx(2.0) and slow.nr_processes == 3
    # ln 2, by Student's t at 0.975 for 2 degrees of freedom, by the root of 3
    assert slow.seconds.high == pytest.approx(2 * math.exp(math.log(2) * 4.302653 / math.sqrt(3)))
    assert not fast.seconds.is_known  # one process
    assert slow.ns_per_page == pytest.approx(2e9 / 256)
    assert (slow.nr_looked_up, slow.nr_entries, fast.nr_entries) == (256, 256, 5)
    assert slow.speedup and fast.speedup
    assert (slow.speedup.estimate, fast.speedup.estimate) == pytest.approx((1.0, 4.0))
    assert slow.group == fast.group == "munlockall/report/1MiB"


def test_without_the_baseline_there_is_no_ratio() -> None:
    one = rows.counted(SCENARIOS["report"], "page-walk")
    assert report_rows.rows([one], {one.name: [1.0]})[0].speedup is None


def test_ratios_are_within_a_scenario() -> None:
    small, large = (SCENARIOS["report"].resized(span) for span in (1 << 20, 1 << 21))
    done = [rows.counted(scenario, name) for scenario in (small, large) for name in ("page-walk", "per-page")]
    seconds = dict(zip((one.name for one in done), ([1.0], [2.0], [10.0], [30.0]), strict=True))
    found = [row.speedup.estimate for row in report_rows.rows(done, seconds) if row.speedup]
    assert found == pytest.approx([2.0, 1.0, 3.0, 1.0])


@pytest.mark.parametrize("times", [{}, {"munlockall/report/2TiB/per-page": []}])
def test_a_missing_time_is_an_error(times: dict[str, list[float]]) -> None:
    with pytest.raises(MeasurementError, match="no time for munlockall/report/2TiB/per-page"):
        report_rows.rows([rows.counted(SCENARIOS["report"], "per-page")], times)


def test_every_level_counts() -> None:
    names = ("pgd", "p4d", "pud", "pmd", "pte")
    assert report_rows.entries_read({f"model_{name}_read": 10**i for i, name in enumerate(names)}) == 11111
    with pytest.raises(KeyError):
        report_rows.entries_read({"model_pte_read": 1})
