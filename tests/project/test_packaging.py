"""What goes into the wheel."""

import tomllib
from pathlib import Path

from setuptools import find_namespace_packages

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_the_two_packages_and_nothing_else_are_packed() -> None:
    assert "namespaces" not in SETTINGS["packages"]["find"]  # so folders without __init__.py are packages, too
    packed = find_namespace_packages(str(ROOT), include=SETTINGS["packages"]["find"]["include"])
    assert {name.split(".")[0] for name in packed} == {"bench", "mmmodel"}
    on_disk = {path.parent for top in ("bench", "mmmodel") for path in (ROOT / top).rglob("*.py")}
    assert on_disk <= {ROOT / name.replace(".", "/") for name in packed}


def test_both_packages_tell_type_checkers_that_they_are_typed() -> None:
    for package in ("bench", "mmmodel"):
        assert "py.typed" in SETTINGS["package-data"][package]
        assert (ROOT / package / "py.typed").is_file()
