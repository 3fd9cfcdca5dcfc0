"""The guest program and the keeper that runs guests: built by the machine's compiler at first use, kept by their digest."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench.errors import one_line
from bench.kernels.errors import KernelError, MissingError

SOURCES: Final = Path(__file__).parent / "guest"
FLAGS: Final = (
    "-O2",
    "-Wall",
    "-Wextra",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-pie",
    "-no-pie",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fcf-protection=none",
    "-Wl,-Ttext-segment=0x400000",  # where traces know the program's own memory to be
    "-Wl,--build-id=none",
    "-Wl,-z,norelro",
    "-Wl,-z,noseparate-code",  # fewer VMAs of the program's own to be read each time
)


def cache_directory() -> Path:
    """Return where kernels and the guest program are kept: unlockall-bench in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "unlockall-bench"


def compiler() -> list[str]:
    """Return the command of a C compiler: $CC, cc, gcc, clang, or the one in the package ziglang; MissingError without."""
    if named := os.environ.get("CC"):
        return named.split()
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    if find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu"]
    raise MissingError("no C compiler found: apt-get install gcc, or pip install ziglang")


def _digest(command: list[str]) -> str:
    """Return what a built program is kept by: its sources, how it is compiled, and by what."""
    digest = hashlib.sha256(repr((command, FLAGS)).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def built(name: str) -> Path:
    """Return one of the programs, "guest" or "keeper", built if the cache lacks it; KernelError if the compiler refuses."""
    command = compiler()
    program = cache_directory() / "guest" / f"{name}-{_digest(command)}"
    if program.is_file():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        output = Path(scratch) / name
        try:
            done = subprocess.run(
                [*command, *FLAGS, "-o", str(output), str(SOURCES / f"{name}.c")], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise KernelError(f"cannot run the compiler {one_line(command[0], 80)}: {error.strerror}") from None
        if done.returncode:
            raise KernelError(f"{command[0]} cannot build {name}.c: {one_line(done.stderr, 400)}")
        output.chmod(0o755)
        output.replace(program)
    return program
