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


def test_only_drawings_and_the_style_know_matplotlib() -> None:
    assert users_of("matplotlib") == {"figures"}
    draws = [path for path in BENCH.rglob("*.py") if any(name.split(".")[0] == "matplotlib" for name in imported(path))]
    typed = BENCH / "figures" / "kind.py"  # names the type of what is drawn, and loads nothing
    assert {path.name for path in draws if path != typed} == {"drawing.py", "style.py"}
    assert all(path.parent.parent == BENCH / "figures" for path in draws if path.name == "drawing.py")


# What computes, words or reads for a figure; none of it may draw.
WITHOUT_DRAWING = sorted(
    ".".join(("bench", *path.relative_to(BENCH).with_suffix("").parts))
    for path in (BENCH / "figures").rglob("*.py")
    if path.name not in ("drawing.py", "style.py")
)


def test_numbers_and_words_of_figures_load_without_matplotlib() -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None  # an import of it fails\n"
        f"from importlib import import_module\nfor name in {WITHOUT_DRAWING}: import_module(name)\n"
        "from bench.figures.kinds import KERNEL_KINDS, KINDS, LAYOUT_KINDS; print(*KINDS, *KERNEL_KINDS, *LAYOUT_KINDS)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    parts = {f"bench.figures.{kind}.{part}" for kind in done.stdout.split() for part in ("numbers", "words")}
    assert parts and parts <= set(WITHOUT_DRAWING)


def test_numbers_of_figures_neither_word_nor_draw_and_drawings_do_not_take_from_runs() -> None:
    for folder in (path.parent for path in (BENCH / "figures").glob("*/numbers.py")):
        numbers, drawing = set(imported(folder / "numbers.py")), set(imported(folder / "drawing.py"))
        assert not [name for name in numbers if name.endswith((".words", ".drawing", ".style")) or ".tables" in name], folder
        assert not [name for name in drawing if name.startswith(("bench.runs", "bench.figures.inputs", "bench.analysis.stats"))]


def test_a_figure_is_a_folder_of_its_parts() -> None:
    from bench.figures.kinds import KERNEL_KINDS, KINDS, LAYOUT_KINDS

    every = {**KINDS, **KERNEL_KINDS, **LAYOUT_KINDS}
    folders = {path.parent.name for path in (BENCH / "figures").glob("*/__init__.py")}
    assert folders == set(every)
    for name, kind in every.items():
        assert (kind.name, kind.drawing) == (name, f"bench.figures.{name}.drawing")
        assert {path.name for path in (BENCH / "figures" / name).glob("*.py")} >= {"numbers.py", "words.py", "drawing.py"}


def test_only_timing_knows_the_runner() -> None:
    assert {path.name for path in BENCH.rglob("*.py") if "Runner" in names_in(path)} == {"timing.py"}


def test_only_pool_knows_dask() -> None:
    knows = {path.name for path in BENCH.rglob("*.py") if "distributed" in {name.split(".")[0] for name in imported(path)}}
    assert knows == {"pool.py"}
    assert users_of("dask") == set()


def test_imports_are_absolute() -> None:
    assert not [path.name for path in BENCH.rglob("*.py") if any(name.startswith(".") for name in imported(path))]


def test_bench_does_not_compile_anything() -> None:
    assert users_of("numba") == set()


# Which parts of bench a part may import, beside itself. What measures, what compares and what shows stay apart.
MEASURING = {"workloads", "targets", "runs", "measuring"}
SAYING = {"number_format", "runs", "analysis", "tables"}
MAY_IMPORT = {
    "errors": set(),
    "environment": set(),
    "number_format": set(),
    "progress": {"errors"},
    "workloads": {"errors", "number_format", "traces"},  # a set-up is told in the words of traces
    "traces": {"errors"},
    "kernels": {"errors", "traces", "workloads"},
    "races": {"errors"},
    "capture": {"errors", "number_format", "workloads"},
    "scan": {"errors", "number_format", "kernels", "traces", "analysis"} | MEASURING,
    # A target can be asked to carry out a trace, and may be a real kernel.
    "targets": {"errors", "environment", "number_format", "workloads", "traces", "kernels"},
    "runs": {"errors", "workloads"},
    "measuring": {"errors", "environment", "workloads", "targets", "traces", "runs", "kernels"},
    "analysis": {"errors", "workloads", "runs"},
    # It counts calls by the model, and keeps its file where runs keep theirs.
    "prediction": {"errors", "workloads", "targets", "traces", "kernels", "runs"},
    "tables": {"number_format", "runs", "analysis", "races", "prediction", "scan", "targets"},
    "figures": {"errors", "environment", "workloads", "capture", "scan", "targets"} | SAYING,
    "gate": {"errors", "environment", "number_format", "tables", "analysis"} | MEASURING,
    "commands": {"errors", "environment", "progress", "traces", "kernels", "races", "capture", "figures", "gate"}
    | {"prediction", "scan"}
    | MEASURING
    | SAYING,
    "__main__": {"errors", "commands"},
    "__init__": set(),
}


def parts() -> set[str]:
    """Return the packages and modules that lie in bench itself."""
    return {path.relative_to(BENCH).parts[0].removesuffix(".py") for path in BENCH.rglob("*.py")}


def test_every_part_has_its_place() -> None:
    assert parts() == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_parts_import_only_what_they_may(part: str) -> None:
    for path in BENCH.rglob("*.py"):
        if path.relative_to(BENCH).parts[0].removesuffix(".py") == part:
            used = {name.split(".")[1] for name in imported(path) if name.startswith("bench.")} & parts()
            assert used <= MAY_IMPORT[part] | {part}, path


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
