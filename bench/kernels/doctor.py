"""What this machine has for running real kernels, what it lacks, and the command that mends it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from bench.kernels.build import built, compiler
from bench.kernels.errors import KernelError, MissingError
from bench.kernels.images import cached
from bench.kernels.mirror import sources
from bench.kernels.qemu import PROGRAM_NAME, kvm_problem
from bench.kernels.uml import check_binary

_EMULATED: Final = "guests are emulated, which repeats on any machine, unless --kvm is given"


class Finding(NamedTuple):
    """One thing that is looked for."""

    what: str
    state: str  # what was found
    mend: str  # the command or setting that mends it; "" if nothing is wrong


def _compiler() -> Finding:
    """Look for a compiler, and have it build what runs guests."""
    try:
        command = compiler()
        built("guest"), built("keeper")
    except (MissingError, KernelError) as error:
        return Finding("C compiler", str(error), "apt-get install gcc libc6-dev, or pip install ziglang")
    return Finding("C compiler", " ".join(command), "")


def _qemu() -> Finding:
    """Look for QEMU."""
    found = shutil.which(PROGRAM_NAME)
    return Finding("QEMU", found or "not installed", "" if found else "apt-get install qemu-system-x86")


def _kvm() -> Finding:
    """Tell whether KVM works, by booting a kernel of the cache; nothing needs it."""
    images = [one.path for one in cached() if not one.is_uml]
    if not images or shutil.which(PROGRAM_NAME) is None:
        return Finding("KVM", f"not tried, without QEMU and a kernel; {_EMULATED}", "")
    return Finding("KVM", f"{kvm_problem(images[-1]) or 'works'}; {_EMULATED}", "")


def _apt() -> Finding:
    """Look for apt and an archive of Debian."""
    missing = [name for name in ("apt-get", "apt-cache", "dpkg-deb") if shutil.which(name) is None]
    if missing:
        return Finding("apt", f"no {', '.join(missing)}", "put a kernel image into a file, and name it by its path")
    known = sources()
    mend = "" if known else "add an archive of Debian to /etc/apt/sources.list.d"
    return Finding("apt", ", ".join(one.address for one in known) or "no archive of Debian is configured", mend)


def _kernels() -> list[Finding]:
    """Look at the kernels of the cache."""
    found = []
    for image in cached():
        state, mend = str(image.path), ""
        if image.is_uml:
            try:
                check_binary(image.path)
            except MissingError as error:
                state, mend = str(error), f"unlockall-bench kernel fetch {image.word.removeprefix('uml-')}"
        found.append(Finding(f"kernel {image.word}", state, mend))
    return found or [Finding("kernels", "none in the cache", "unlockall-bench kernel fetch 5.10 6.1")]


def _root() -> Finding:
    """Tell what an ordinary user does not see of the running kernel."""
    may = os.access(Path("/proc/kpageflags"), os.R_OK)
    state = "flags of pages can be read" if may else "flags of pages and exact vmstat are root's: --on host compares the rest"
    return Finding("the running kernel", state, "")


def findings() -> list[Finding]:
    """Return all that was looked for."""
    return [_compiler(), _qemu(), _kvm(), _apt(), *_kernels(), _root()]
