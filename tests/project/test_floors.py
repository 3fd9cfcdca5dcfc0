"""What CI installs at the floors is what pyproject.toml says that they are."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ROOT / ".ci" / "floors.txt"
EXTRAS = ("browser", "dask")  # of the user; the tools of the tests are the newest


def wanted() -> list[str]:
    """The line of each dependency that holds it to its floor."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    matches = [re.fullmatch(r"([a-z-]+)>=([0-9.]+)", one) for one in found]
    assert all(matches), found
    return sorted(f"{one[1]}=={one[2]}" for one in matches if one)


def test_the_constraints_are_the_floors() -> None:
    """To renew the file after an edit of pyproject.toml, write what this test says is missing."""
    lines = FLOORS.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == wanted()
