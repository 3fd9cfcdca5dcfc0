"""Pages are short enough to be read: README.md in one sitting, the architecture on one page."""

import re

import pytest

from support.pages import ROOT, blocks

MOST_LINES = {"README.md": 150, "CONTRIBUTING.md": 200, "docs/architecture.md": 120}
WIDEST = 100  # columns of a block, so that nobody has to scroll sideways


@pytest.mark.parametrize("page", MOST_LINES)
def test_pages_are_short(page: str) -> None:
    assert len((ROOT / page).read_text(encoding="utf-8").splitlines()) <= MOST_LINES[page]


def test_no_block_of_the_readme_is_wide() -> None:
    lines = [line for block in blocks() if block.page == "README.md" for line in block.text.splitlines()]
    assert lines and not [line for line in lines if len(line) > WIDEST]


def test_the_architecture_names_every_module_of_bench_in_the_row_of_its_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = {package: set(re.findall(r"`([\w.]+)`", rest)) for package, rest in re.findall(r"^\| `(\w+)` \| (.*)$", text, re.M)}
    packages = {path.parent.name for path in (ROOT / "bench").glob("*/__init__.py")}
    assert packages <= set(rows)
    for package in packages - {"commands"}:  # a module for each command
        there = {path.stem for path in (ROOT / "bench" / package).glob("*.py")} - {"__init__"}
        assert there <= {name.split(".")[0] for name in rows[package]}, package
