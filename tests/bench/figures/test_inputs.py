"""Which calls of a run figures show."""

from pathlib import Path

import msgspec

from bench.figures import inputs
from support import kept


def test_groups_of_no_suite_are_known_by_their_largest(tmp_path: Path) -> None:
    sizes = (3 << 20, 7 << 20, 5 << 20)  # of no suite
    points = [kept.point("page-walk", span, name) for name in ("report", "dense") for span in sizes]
    run = inputs.load_run(kept.write(tmp_path / "own", [kept.counted(one, 5) for one in points]))
    assert [*inputs.main_groups(run.points.values(), 6)] == ["munlockall/report/7MiB", "munlockall/dense/7MiB"]
    assert [*inputs.main_groups(run.points.values(), 1)] == ["munlockall/report/7MiB"]
    without = [msgspec.structs.replace(one, span=None) for one in run.points.values()]
    assert [*inputs.main_groups(without, 6)] == ["munlockall/report/7MiB", "munlockall/dense/7MiB"]
