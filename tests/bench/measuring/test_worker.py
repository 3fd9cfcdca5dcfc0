"""Single measuring processes: one that fails is told in one line, with the point it was at and its own last words."""

from pathlib import Path

import pytest

from bench.errors import MeasurementError
from bench.measuring.timing import Plan
from bench.measuring.worker import SourceTree, run_worker
from support import kept


def test_last_words_of_a_process_that_fails(tmp_path: Path) -> None:
    tree = tmp_path / "old"
    (tree / "bench").mkdir(parents=True)
    (tree / "bench" / "__init__.py").write_text("import sys; sys.exit('first\\nbroken on purpose')")
    plan = Plan((kept.point(), kept.point("page-walk")))
    with pytest.raises(MeasurementError) as caught:
        run_worker(plan, SourceTree(tree, "f" * 16))
    assert str(caught.value) == f"{kept.point().name} ended with exit code 1 in old: broken on purpose"
