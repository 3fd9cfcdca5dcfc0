"""The house rules about who imports whom, held by reading the sources."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from mmmodel import constants

BENCH = Path(bench.__file__).parent
MMMODEL = Path(constants.__file__).parent
HEAVY = ("numba", "numpy", "matplotlib", "pandas", "scipy", "pyperf", "rich")


def imported(path: Path) -> Iterator[str]:
    """Yield every module, and module.name, that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def users_of(package: str) -> set[str]:
    """Return the modules and packages of bench that import a package."""
    return {
        path.relative_to(BENCH).parts[0].removesuffix(".py")
        for path in BENCH.rglob("*.py")
        if any(name == package or name.startswith(package + ".") for name in imported(path))
    }


def names_in(path: Path) -> set[str]:
    """Return all names and attributes that a file uses."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_the_model_does_not_know_the_bench() -> None:
    for path in MMMODEL.rglob("*.py"):
        assert not any(name.split(".")[0] == "bench" for name in imported(path)), path


def test_only_plot_knows_matplotlib() -> None:
    assert users_of("matplotlib") == {"plot"}


def test_only_measure_knows_the_runner() -> None:
    assert {path.stem for path in BENCH.rglob("*.py") if "Runner" in names_in(path)} == {"measure"}


def test_only_pool_knows_dask() -> None:
    assert users_of("distributed") == {"pool"}
    assert users_of("dask") == set()


def test_imports_are_absolute() -> None:
    assert not [path.name for path in BENCH.rglob("*.py") if any(name.startswith(".") for name in imported(path))]


def test_bench_does_not_compile_anything() -> None:
    assert users_of("numba") == set()


# What a module may not import: measuring, comparing and drawing stay apart.
APART = {
    "measure": {"bench.compare", "bench.table", "bench.plot"},
    "counting": {"bench.compare", "bench.table", "bench.plot", "bench.measure"},
    "compare": {"bench.measure", "bench.table", "bench.plot", "rich", "matplotlib", "pyperf"},
    "table": {"bench.measure", "bench.plot"},
    "plot": {"bench.measure", "bench.table"},
    "figures": {"bench.measure", "bench.table", "bench.captions", "bench.plot", "bench.page", "rich", "matplotlib"},
    "captions": {"bench.measure", "bench.plot", "bench.page"},
    "page": {"bench.measure", "bench.compare", "bench.plot"},
    "loading": {"bench.measure", "bench.table", "bench.plot", "rich", "matplotlib", "pandas"},
    "frames": {"bench.measure", "bench.table", "bench.formats", "bench.plot", "rich", "matplotlib", "pyperf"},
    "differences": {"bench.measure", "bench.table", "bench.formats", "bench.plot", "rich", "matplotlib", "pyperf"},
    "formats": {"bench.measure", "bench.results", "bench.frames", "bench.differences", "bench.stats", "bench.plot", "pyperf"},
    "sheets": {"bench.measure", "bench.results", "bench.plot", "pyperf", "numpy"},
    "results": {"bench.measure", "bench.compare", "bench.table", "bench.plot"},
    "pool": {"bench.measure", "bench.compare", "bench.table", "bench.listing", "bench.plot"},
    "collect": {"bench.compare", "bench.table", "bench.listing", "bench.plot"},
    "changes": {"bench.measure", "bench.table", "bench.listing", "bench.plot", "bench.results"},
    "listing": {"bench.measure", "bench.collect", "bench.plot", "bench.results"},
    "scenario": {"bench.workload", "bench.measure", "bench.results"},
}


@pytest.mark.parametrize("module", APART)
def test_jobs_stay_apart(module: str) -> None:
    files = [BENCH / f"{module}.py"] if (BENCH / f"{module}.py").exists() else list((BENCH / module).rglob("*.py"))
    assert files
    for file in files:
        assert not set(imported(file)) & APART[module], file


def test_files_stay_short() -> None:
    long = {path.name: n for path in BENCH.rglob("*.py") if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nosuch"], []])
def test_light_commands_load_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from bench.__main__ import main; main(sys.argv[1:]); "
        f"print('loaded:', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_only_commands_know_commands() -> None:
    assert users_of("bench.commands") <= {"__main__", "commands"}
