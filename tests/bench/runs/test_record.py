"""The record of a counted call: what reads it stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

import mmmodel
from bench.runs.record import Counted, digest_of
from bench.workloads.scenario import SCENARIOS, Point

COUNTERS_FILE = Path(__file__).parents[3] / "results" / "reference" / "counters.json"
MODEL = ("mmmodel.machine", "mmmodel.mm", "mmmodel.jit", "numba", "bench.measuring", "bench.targets")
PROGRAM = """
import sys
from pathlib import Path
from bench.runs import storage
points = storage.load_counters(Path(sys.argv[1])).points
assert points and all(one.counters for one in points)
{more}
print("loaded:", sorted(name for name in {watched} if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("more", "loaded"),
    [("", []), ("import bench.targets.model, mmmodel.jit", ["bench.targets", "mmmodel.jit", "numba"])],
)
def test_reading_counters_does_not_load_the_model(more: str, loaded: list[str]) -> None:
    """The second program loads it on purpose: the test can fail."""
    program = PROGRAM.format(more=more, watched=MODEL)
    done = subprocess.run([sys.executable, "-c", program, str(COUNTERS_FILE)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"loaded: {loaded}"


def test_a_record_is_known_by_its_counters_and_its_point() -> None:
    point = Point(SCENARIOS["report"], mmmodel.IMPLEMENTATIONS[0])
    one = Counted(point.name, point, 1 << 41, 1, 0, {"b": 2, "a": 1})
    assert digest_of(one.counters) == digest_of({"a": 1, "b": 2}) != digest_of({"a": 1, "b": 2, "c": 0})
    assert one.facts == {"parameters": point.digest, "span": 1 << 41, "nr_vmas": 1, "nr_populated": 0, "b": 2, "a": 1}
