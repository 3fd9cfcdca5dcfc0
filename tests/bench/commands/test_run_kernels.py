"""What `run` prints of real kernels: one line a point, the middle value, the least and the greatest."""

from collections.abc import Sequence

import pytest

from bench.commands.run_kernels import tell
from support import real


@pytest.mark.parametrize(
    ("starts", "told"),
    [
        ([[700]], "700 instructions (1 call; "),
        ([[700, 300]], "300 instructions (300 .. 700 in 2 calls, 1 start; "),  # one that was measured, not a mean
        ([[900, 700], [300]], "700 instructions (300 .. 900 in 3 calls, 2 starts; "),
        ([[900, 700], [300, 500]], "500 instructions (300 .. 900 in 4 calls, 2 starts; "),
        ([[0.00411, 0.00215, 0.00325]], "3.25 ms (2.15 ms .. 4.11 ms in 3 calls, 1 start; "),
    ],
)
def test_middle_value_and_range_over_all_starts(
    starts: Sequence[Sequence[int | float]], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = real.cost("6.1.192", *starts)
    tell([cost])
    assert capsys.readouterr().out == f"{cost.point.name}: {told}Linux 6.1.192, QEMU)\n"
