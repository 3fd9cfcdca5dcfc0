"""The cache of compiled code: what is in use stays, whoever else imports the model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("plain", "left"), [("1", 9), ("0", 5)])
def test_only_who_compiles_makes_room_and_what_was_used_last_stays(plain: str, left: int, tmp_path: Path) -> None:
    root = tmp_path / "unlockall-bench" / "numba"
    for day in range(9):
        (root / f"old{day}").mkdir(parents=True)
        os.utime(root / f"old{day}", (day, day))
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "NUMBA_DISABLE_JIT": plain}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", "import mmmodel.jit"], env=environment, check=True)
    names = {path.name for path in root.iterdir()}
    assert {name for name in names if name.startswith("old")} == {f"old{day}" for day in range(9 - left, 9)}
    assert len(names) == left + (plain == "0")
