"""docs/races.md: written from what exploring the races gives, and up to date."""

import importlib.util
from pathlib import Path

from bench.races.races import RACES
from support.raced import raced

SCRIPT = Path(__file__).parents[2] / "docs" / "races.py"
spec = importlib.util.spec_from_file_location("races_page", SCRIPT)
assert spec is not None
assert spec.loader is not None
races_page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(races_page)


def test_every_race_has_its_paragraph() -> None:
    assert list(races_page.TEXT) == list(RACES)


def test_the_page_is_up_to_date() -> None:
    page = races_page.render(lambda name, without: raced(name, *without))
    assert races_page.PAGE.read_text(encoding="utf-8") == page, "run: python3 docs/races.py"
