"""The cache of compiled code: what is in use stays, whoever else imports the model."""

import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mmmodel
from mmmodel import jit


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


def hits(checkout: Path, cache: Path) -> str:
    """Have a checkout compile a unit and a function; return how often each was found in the cache."""
    program = """
import mmmodel.compile
from mmmodel import jit
unit = jit._compile_unit("mmmodel.pages.free_frames")
function = jit._EXPORTED[0]
function.compile(jit._signature(function.py_func).args)
print(unit.cache_hits, sum(function.stats.cache_hits.values()))
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment = {**clean, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_checkouts_of_the_same_sources_share_compiled_code_and_an_edit_ends_that(tmp_path: Path) -> None:
    sources = Path(jit.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("a", "b"):
        shutil.copytree(sources, tmp_path / name / "mmmodel", ignore=ignored, copy_function=shutil.copy)  # not the times
    assert [hits(tmp_path / name, tmp_path / "cache") for name in "abab"] == ["0 0", "1 1", "1 1", "1 1"]
    with (tmp_path / "b" / "mmmodel" / "constants.py").open("a") as file:
        file.write("# edited\n")
    assert hits(tmp_path / "b", tmp_path / "cache") == "0 0"
    assert hits(tmp_path / "a", tmp_path / "cache") == "1 1"


def digest(package: Path) -> str:
    """Return the source digest that a copy of the package has."""
    program = "from mmmodel import jit; print(jit.source_digest())"
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=package.parent, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_digest_tells_folders_apart(tmp_path: Path) -> None:
    package = tmp_path / "mmmodel"
    shutil.copytree(Path(jit.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    digests = {digest(package)}
    for name in ("zzz1", "zzz2"):  # last of all, so that the order of the files stays
        (package / name).mkdir()
        (package / name / "extra.py").write_text("")
        digests.add(digest(package))
        (package / name / "extra.py").unlink()
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("path", "own"), [("mm/lru.py", True), ("mm/proc/smaps.py", True), ("mm2/lru.py", False), ("other.py", False)]
)
def test_code_of_every_folder_of_the_package_is_shared_and_no_other(
    path: str, own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jit, "_PACKAGE", tmp_path / "mm")
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("")
    assert (jit.SharedCode.from_function(digest, str(tmp_path / path)) is not None) == own


def test_functions_of_one_name_in_two_folders_have_code_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_PACKAGE", tmp_path)
    paths = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lru.py").write_text("")
        paths.add(jit.SharedCode.from_function(digest, str(tmp_path / name / "lru.py")).get_cache_path())
    assert len(paths) == 2


def compiled_inside() -> list[tuple[str, object]]:
    """Return the functions of the package that are compiled for compiled code alone: full names and what Python has of them."""
    found = {}
    for module in pkgutil.iter_modules(mmmodel.__path__, "mmmodel."):
        for one in vars(importlib.import_module(module.name)).values():
            if isinstance(one, jit._Inner):
                found[f"{one.py_func.__module__}.{one.py_func.__qualname__}"] = one
            elif isinstance(one, jit._Unit):
                found[one.symbol] = one
    return sorted(found.items())


def test_what_only_compiled_code_may_call_says_so_to_python() -> None:
    found = compiled_inside()
    assert len(found) > 150 and {"mmmodel.counting.count", "mmmodel.mlock.do_mlock", "mmmodel.mlock.c_int"} <= {
        n for n, _ in found
    }
    for name, function in found:
        for arguments in ((), (1,), (1, 2, 3)):
            with pytest.raises(TypeError, match=rf"{name}\(\) is compiled into its callers .* NUMBA_DISABLE_JIT=1"):
                function(*arguments)  # type: ignore[operator]
