"""Which calls of a run figures show."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from bench.analysis.reported import REPORTED
from bench.analysis.stats import Interval
from bench.figures import inputs
from bench.figures.report import numbers
from support import kept


def test_groups_of_no_suite_are_known_by_their_largest(tmp_path: Path) -> None:
    sizes = (3 << 20, 12 << 20, 5 << 20)  # of no suite, and in another order by their names
    points = [kept.point("page-walk", span, name) for name in ("report", "dense") for span in sizes]
    run = inputs.load_run(kept.write(tmp_path / "own", [kept.counted(one, 5) for one in points]))
    assert [*inputs.main_groups(run.points.values(), 6)] == ["munlockall/report/12MiB", "munlockall/dense/12MiB"]
    assert [*inputs.main_groups(run.points.values(), 1)] == ["munlockall/report/12MiB"]
    without = [msgspec.structs.replace(one, span=None) for one in run.points.values()]
    assert [*inputs.main_groups(without, 6)] == ["munlockall/report/5MiB", "munlockall/dense/5MiB"]


@pytest.mark.parametrize(("seconds", "marked"), [(0.33, True), (0.32, False), (0.1, False)])
def test_real_kernels_are_marked_where_the_slowest_is_near(seconds: float, marked: bool) -> None:
    """A hundred times what was measured must reach all of them: one took 32.126 s, the others about 5."""
    report = SimpleNamespace(at_reported_span=lambda: [SimpleNamespace(seconds=Interval(seconds, seconds, seconds))])
    assert numbers._marks(report) == (REPORTED if marked else ())  # type: ignore[arg-type]
