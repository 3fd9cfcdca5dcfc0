"""Where a command runs: directories, settings that subprocesses inherit, and facts of the machine."""

from __future__ import annotations

import functools
import os
import platform
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

import psutil

# pyperf gives its workers next to no environment, which would have them compile other code, into another cache.
_INHERITED = ("XDG_CACHE_HOME", "TMPDIR", "PYTHONHASHSEED", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS")
_INHERITED_PREFIXES = ("NUMBA_", "MMMODEL_")
_PACKAGES = ("numba", "llvmlite", "numpy", "pyperf")


def base_directory() -> Path:
    """Return where results/ and plots/ are: the checkout this runs from, else the current directory."""
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def shipped_results() -> Path:
    """Return the directory of what results/ of the checkout had when the package was built: in a checkout it does not exist."""
    return Path(__file__).resolve().parent / "data" / "results"


def results_directories(asked: Path | None = None) -> tuple[Path, ...]:
    """Return where runs that are named are looked for, in this order; new ones go to the first."""
    return (asked,) if asked else (base_directory() / "results", shipped_results())


def inherited_settings() -> list[str]:
    """Return the names of the environment variables that a measuring subprocess must get too, sorted."""
    return sorted(name for name in os.environ if name in _INHERITED or name.startswith(_INHERITED_PREFIXES))


def command_line() -> str:
    """Return the command of this process as somebody would type it to repeat it."""
    return " ".join(["python", "-m", "bench", *map(_quoted, sys.argv[1:])])


def _quoted(word: str) -> str:
    """Return a word as a shell takes it; bytes that are no UTF-8, as file names may have, stand as in $'\\xff'."""
    try:
        word.encode()
    except UnicodeEncodeError:
        plain = re.compile(rb"[A-Za-z0-9/._=-]")
        shown = (chr(byte) if plain.match(bytes([byte])) else f"\\x{byte:02x}" for byte in os.fsencode(word))
        return f"$'{''.join(shown)}'"
    return shlex.quote(word)


def _cpu_model() -> str:
    """Return the processor's name, "unknown" where the system does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


@functools.cache
def source_digest() -> str:
    """Return the digest of the model's sources and settings as this process first saw them."""
    from mmmodel.jit import source_digest as digest  # here, because it loads the compiler

    return digest()


def machine_facts() -> dict[str, str | int]:
    """Return what a time depends on: processor, system, Python, library versions, settings, sources."""
    facts: dict[str, str | int] = {
        "cpu_model": _cpu_model(),
        "cpu_count": os.cpu_count() or 0,
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "source_digest": source_digest(),
    }
    facts |= {package: metadata.version(package) for package in _PACKAGES}
    facts |= {
        f"env_{name}": os.environ[name]
        for name in inherited_settings()
        if name.startswith(_INHERITED_PREFIXES) and not name.endswith("_DIR")
    }
    return facts
