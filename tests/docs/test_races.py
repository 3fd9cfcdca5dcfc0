"""docs/races.md: written from what exploring the races gives, and up to date."""

import importlib.util
from pathlib import Path

from bench.races.races import RACES
from bench.races.results import Result, variants
from support.raced import raced, reduced

SCRIPT = Path(__file__).parents[2] / "docs" / "races.py"
spec = importlib.util.spec_from_file_location("races_page", SCRIPT)
assert spec is not None
assert spec.loader is not None
races_page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(races_page)


def test_every_race_has_its_paragraph() -> None:
    assert list(races_page.TEXT) == list(RACES)


def test_the_page_is_up_to_date() -> None:
    page = races_page.render(explored, races_page.recorded())
    assert races_page.PAGE.read_text(encoding="utf-8") == page, "run: python3 docs/races.py"


def explored(name: str, without: tuple[str, ...], reduce: bool | None) -> Result:
    return reduced(name, *without) if reduce else raced(name, *without)


def test_what_it_took_is_of_the_races_that_there_are() -> None:
    record = races_page.recorded()
    work = [(name, without) for name, race in RACES.items() for without in variants(race)]
    assert record["explorations"] == len(work)
    assert record["states"] == sum(raced(name, *without).stored for name, without in work)
    assert record["cpu_seconds"] < 120 and record["longest_of_two_tasks"]["cpu_seconds"] < 10
