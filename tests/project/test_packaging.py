"""What goes into the wheel."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
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


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with what the wheel installs, built from a copy of the tree."""
    base = tmp_path_factory.mktemp("wheel")
    for name in ("bench", "mmmodel", "results/reference"):
        shutil.copytree(ROOT / name, base / "tree" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "results/expectation.json"):
        shutil.copyfile(ROOT / name, base / "tree" / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(base), str(base / "tree")]
    subprocess.run(wheel, check=True, capture_output=True)
    (file,) = base.glob("*.whl")
    with zipfile.ZipFile(file) as packed:
        data = [one for one in packed.infolist() if not one.filename.endswith(".py")]
    assert {one.filename.split("/")[0].split("-")[0] for one in data} == {"bench", "mmmodel", "unlockall_bench"}
    assert sum(one.compress_size for one in data) < 1 << 20  # layouts and the reference: no other runs, records or figures
    subprocess.run([*pip, "install", "--no-deps", "--target", str(base / "site"), str(file)], check=True, capture_output=True)
    return base / "site"


def run_there(site: Path, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty directory with what was installed."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, *words], cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_has_what_results_has(installed: Path) -> None:
    for name in ("expectation.json", "reference/counters.json", "reference/wall.json"):
        assert (installed / "bench" / "data" / "results" / name).read_bytes() == (ROOT / "results" / name).read_bytes()


def test_outside_a_checkout_the_reference_is_shown_and_plotted(installed: Path, tmp_path: Path) -> None:
    shown = run_there(installed, tmp_path, "-m", "bench", "table", "reference", "--exponents", "--format", "csv")
    assert shown.returncode == 0 and shown.stdout.startswith("operation,scenario,implementation,nr_sizes"), shown.stderr
    plotted = run_there(installed, tmp_path, "-m", "bench", "plot")
    assert plotted.returncode == 0, plotted.stderr
    assert (tmp_path / "plots" / "index.html").is_file()
    assert not list((installed / "bench").rglob("*.svg"))


def test_outside_a_checkout_the_gate_knows_what_is_expected(installed: Path, tmp_path: Path) -> None:
    program = "import sys; from bench.commands import gate; print(gate.read_request(gate._parse(sys.argv[1:])).expectation)"
    shipped = installed / "bench" / "data" / "results" / "expectation.json"
    assert run_there(installed, tmp_path, "-c", program).stdout.strip() == str(shipped)
    own = tmp_path / "results" / "expectation.json"
    assert run_there(installed, tmp_path, "-c", program, "--accept").stdout.strip() == str(own)
    own.parent.mkdir()
    own.write_text(json.dumps({}))
    assert run_there(installed, tmp_path, "-c", program).stdout.strip() == str(own)


def test_without_any_run_it_is_said_what_to_do(installed: Path, tmp_path: Path) -> None:
    done = run_there(installed, tmp_path, "-m", "bench", "table", "nosuch")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("has reference")
