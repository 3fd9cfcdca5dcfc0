"""How the model is compiled, and where compiled code is kept.

numba's cache knows the file of a function, not the files of what it calls, so after an edit elsewhere it would serve code older
than the sources.  The cache therefore lives in a directory named by a digest of everything that goes into the machine code: all
sources of this package, the versions of numba, llvmlite and numpy, and the settings below.  An edit makes a new directory;
checkouts of the same sources share one.

Environment: ``MMMODEL_COUNTING=0`` compiles the same source without the ``model_`` counters (to measure what counting costs);
``NUMBA_DISABLE_JIT``, ``NUMBA_BOUNDSCHECK`` as numba defines them, each with a cache of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, cast

import llvmlite.binding
import numba
from numba.core import config
from numba.core.caching import CacheImpl, UserProvidedCacheLocator
from numba.core.registry import CPUDispatcher
from numba.extending import models, register_model

COUNTING: Final = os.environ.get("MMMODEL_COUNTING", "1") != "0"
_PACKAGE: Final = Path(__file__).parent
_KEPT_DIRECTORIES: Final = 6  # of compiled code: older ones belong to sources that are no longer there
_MOST_COMPILERS: Final = 4
_SETTINGS: Final = ("MMMODEL_COUNTING", "NUMBA_BOUNDSCHECK", "NUMBA_OPT", "NUMBA_DEBUG", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")

F = TypeVar("F", bound=Callable[..., Any])
Progress = Callable[[int, int, str], None]  # units done, units in all, name of the next


def source_digest() -> str:
    """Digest of the sources, library versions and settings that the compiled code depends on: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(f"{package}={version(package)}\0".encode())
    for setting in _SETTINGS:
        digest.update(f"{setting}={os.environ.get(setting, '')}\0".encode())
    return digest.hexdigest()[:16]


def _cache_root() -> Path:
    """Where compiled code goes: the user's cache directory, or a private temporary one where that cannot be written."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        root = Path(home) / "unlockall-bench" / "numba"
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root
    except (OSError, RuntimeError):
        pass  # no home directory, or a read-only one: the temporary directory serves
    private = Path(tempfile.gettempdir()) / f"unlockall-bench-{os.getuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_uid != os.getuid():
        raise PermissionError(f"{private} belongs to another user: set XDG_CACHE_HOME to a directory that you can write")
    return private


def _prune(root: Path, keep: Path) -> None:
    """Remove all but the directories of compiled code that were used last; another process may be doing the same."""
    others = [path for path in root.iterdir() if path.is_dir() and path != keep]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_KEPT_DIRECTORIES - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _select_cache() -> Path:
    """Return the directory of these sources' compiled code; if it is needed, make it, or mark it as used just now."""
    root = _cache_root()
    directory = root / source_digest()
    if config.DISABLE_JIT:
        return directory
    fresh = not directory.exists()
    directory.mkdir(exist_ok=True)
    os.utime(directory)
    if fresh:
        _prune(root, directory)
    return directory


CACHE_DIRECTORY: Final = _select_cache()


_ideas: Final[dict[str, str]] = {}  # by the file of an idea: the folder of its compiled code


class SharedCode(UserProvidedCacheLocator):  # type: ignore[misc]  # numba has no types
    """Where numba keeps the model's machine code: all checkouts of the same sources share it.

    numba's own locators also go by where a source file lies and when it was written.
    """

    def __init__(self, py_func: Any, py_file: str) -> None:
        """See numba's class."""
        super().__init__(py_func, py_file)
        folder = _ideas.get(py_file) or Path(py_file).relative_to(_PACKAGE).parent
        self._cache_path = str(CACHE_DIRECTORY / folder)  # the name has the module alone

    def get_source_stamp(self) -> str:
        """Return what makes cached code invalid when it differs."""
        return CACHE_DIRECTORY.name

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> Any:
        """Return the locator of a function of the model; None leaves others to numba's."""
        own = py_file in _ideas or Path(py_file).is_relative_to(_PACKAGE)
        return super(UserProvidedCacheLocator, cls).from_function(py_func, py_file) if own else None


config.CACHE_LOCATOR_CLASSES = ",".join([f"{__name__}.SharedCode", *(one.__name__ for one in CacheImpl._locator_classes)])


_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "_nrt": False}  # no reference counts: nothing is allocated
_BARE: Final[dict[str, Any]] = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def kernel(function: F) -> F:
    """Compile a function into whatever calls it.

    Without the wrappers that Python and C callers would need, and without reference counts, since compiled code allocates
    nothing.
    """
    return cast(F, _for_compiled_code(numba.njit(**_BARE)(function), _Inner))


def primitive(function: F) -> F:
    """Compile a function of a few lines into the very loop that calls it, as ``static __always_inline`` does.

    Passing two arrays by value costs more than what such a function does: munlock of dense pages is half as fast without.
    """
    return cast(F, _for_compiled_code(numba.njit(**_BARE, forceinline=True)(function), _Inner))


def step(function: F) -> F:
    """Compile a function as :func:`primitive` does, which Python may call, too: what a task does between two visible moments.

    Called from Python it is compiled on its own when that first happens, and kept in the cache.  Parameters must be State, int,
    bool, or arrays by the name of their field in State, and ``pvec``.
    """
    return cast(F, _for_compiled_code(numba.njit(**_BARE, forceinline=True)(function), _Step))


def unit(function: F) -> F:
    """Compile a function once, on its own, and let compiled callers link to it by name, as object files are.

    numba compiles into each function all that it calls, and again into its callers: a function ten calls deep ten times.  For
    two hundred functions that took 70 s; with the larger ones as units it takes 25 s, less with several processes side by
    side.  A call to a unit is not inlined.
    Parameters must be State, int or bool, results int or None, as annotated.  Compiled by :func:`load_units`.
    """
    if config.DISABLE_JIT:
        return function
    symbol = f"{function.__module__}.{function.__qualname__}"
    signature = _signature(function)
    _UNITS[symbol] = (function, signature)
    return cast(F, _Unit(symbol, signature))


# ---- calls from Python ----


def _refuse_call(name: str) -> NoReturn:
    """Raise what a call from Python deserves that has no way in: without this the interpreter would crash."""
    raise TypeError(
        f"{name}() is compiled into its callers and has no way in from Python:"
        " call mmmodel.Mm, a step or an exported function, or run with NUMBA_DISABLE_JIT=1"
    )


class _Inner(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    """A compiled function for compiled code alone."""

    def __call__(self, *_arguments: Any, **_keywords: Any) -> NoReturn:
        _refuse_call(f"{self.py_func.__module__}.{self.py_func.__qualname__}")


class _Step(CPUDispatcher):  # type: ignore[misc]
    """A compiled function for compiled code, with a twin for Python."""

    def __call__(self, *arguments: Any) -> Any:
        twin = _twins.get(self.py_func)
        if twin is None:
            load_units()
            twin = numba.njit(_signature(self.py_func), **_OPTIONS, cache=True, no_cfunc_wrapper=True)(self.py_func)
            _twins[self.py_func] = twin
        return twin(*arguments)


class _Unit(numba.types.ExternalFunction):  # type: ignore[misc]
    """A function for compiled code that is linked by its name."""

    def __call__(self, *_arguments: Any, **_keywords: Any) -> NoReturn:
        _refuse_call(self.symbol)


register_model(_Unit)(models.OpaqueModel)  # as that of ExternalFunction: numba does not look for those of base classes


def _for_compiled_code(compiled: Any, kind: type) -> Any:
    """Give a compiled function the behaviour of ``kind`` when Python calls it; without JIT it is a plain function."""
    if not config.DISABLE_JIT:
        compiled.__class__ = kind
    return compiled


def exported(function: F) -> F:
    """Compile a function that Python calls; its machine code is kept.

    Other threads of Python run meanwhile: in a call of a minute a progress display should live, and Ctrl-C be heard.
    """
    compiled = cast(F, numba.njit(**_OPTIONS, cache=True, no_cfunc_wrapper=True, nogil=True)(function))
    if not config.DISABLE_JIT:
        _EXPORTED.append(compiled)
    return compiled


_UNITS: Final[dict[str, tuple[Callable[..., Any], Any]]] = {}
_EXPORTED: Final[list[Any]] = []
_twins: Final[dict[Callable[..., Any], Any]] = {}  # of the steps that Python has called
_machine_code: Final[dict[str, Any]] = {}  # of the units that are loaded


def _signature(function: Callable[..., Any]) -> Any:
    """numba's signature of a function by its annotations."""
    from mmmodel.statetype import ARRAY_TYPES, STATE_TYPE

    types = numba.types
    known = {"State": STATE_TYPE, "Rows": types.int64[:, ::1], "int": types.int64, "bool": types.boolean, "None": types.void}
    annotations = dict(function.__annotations__)
    returned = known[annotations.pop("return")]
    return returned(*(known.get(annotation) or ARRAY_TYPES[name] for name, annotation in annotations.items()))


def _compile_unit(symbol: str) -> Any:
    """Machine code of a unit, compiled or from the cache."""
    function, signature = _UNITS[symbol]
    return numba.cfunc(signature, **_OPTIONS, cache=True)(function)


def load_units(progress: Progress | None = None) -> None:
    """Make every unit known to the linker by its name, compiling what is not in the cache.

    With nothing there yet, one process for each CPU compiles first.  ``progress`` is called before each piece.
    """
    missing = [symbol for symbol in _UNITS if symbol not in _machine_code]
    if missing and not _cached_pieces():
        _compile_side_by_side(progress)
    for symbol in missing:
        if progress is not None:
            progress(len(_machine_code), len(_UNITS), f"loading {symbol}")
        _machine_code[symbol] = _compile_unit(symbol)
        llvmlite.binding.add_symbol(symbol, _machine_code[symbol].address)


def compile_idea(function: Callable[..., None], nr_numbers: int, digest: str, *, bounds: bool) -> Any:
    """Machine code of a function from outside the package, of a State and so many ints, compiled as a unit or from the cache.

    ``digest``: of its file, by which it is cached.  ``bounds``: every index is checked.
    """
    from mmmodel.statetype import STATE_TYPE

    _ideas[function.__code__.co_filename] = f"ideas/{digest}{'-bounds' if bounds else ''}"
    signature = numba.types.void(STATE_TYPE, *nr_numbers * [numba.types.int64])
    return numba.cfunc(signature, **_OPTIONS, cache=True, **({"boundscheck": True} if bounds else {}))(function)


# ---- the first time ----


def _cached_pieces() -> int:
    """Units and exported functions that are in the cache."""
    return sum(1 for _ in CACHE_DIRECTORY.rglob("*.nbi"))


def compile_share(number: int, shares: int) -> None:
    """Compile one of ``shares`` equal shares of the pieces into the cache: the work of one helper process.

    Nothing is run here, so whatever a piece links to may have any address.
    """
    for symbol in _UNITS:
        llvmlite.binding.add_symbol(symbol, id(None))
    pieces = [partial(_compile_unit, symbol) for symbol in _UNITS]
    pieces += [partial(function.compile, _signature(function.py_func).args) for function in _EXPORTED]
    for piece in pieces[len(pieces) * number // shares : len(pieces) * (number + 1) // shares]:  # neighbours share callees
        piece()


def _compile_side_by_side(progress: Progress | None) -> None:
    """Fill the cache with one process for each CPU that this one may use; what they leave out is compiled later."""
    shares = min(len(os.sched_getaffinity(0)), _MOST_COMPILERS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    helpers = [
        subprocess.Popen([sys.executable, "-m", "mmmodel.compile", str(number), str(shares)], env=environment)
        for number in range(shares if shares > 1 else 0)
    ]
    try:
        while any(helper.poll() is None for helper in helpers):
            if progress is not None:
                progress(_cached_pieces(), len(_UNITS) + len(_EXPORTED), f"compiling, {shares} processes")
            time.sleep(0.1)
    finally:
        for helper in helpers:
            helper.terminate()
            helper.wait()


if not config.DISABLE_JIT:
    import mmmodel.statetype  # noqa: F401  # registers the type of State
