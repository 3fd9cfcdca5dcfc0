"""What the tests of the benchmark share."""

import pyperf
import pytest

from bench import progress


@pytest.fixture(autouse=True)
def no_plain_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the lines that tell of long work out of standard error: how long a test works is the machine's."""
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 1e6)


@pytest.fixture(autouse=True)
def a_runner_for_each_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pyperf allow its one Runner of a process to each test anew."""
    monkeypatch.setattr(pyperf.Runner, "_created", set())
