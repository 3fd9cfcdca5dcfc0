"""A kernel as a command line names it, ready to carry out traces and points: by version, by path, or the running one."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import Final, Literal, NamedTuple

from bench.errors import UsageError, one_line
from bench.kernels.errors import MissingError
from bench.kernels.host import Host
from bench.kernels.images import find, is_word
from bench.kernels.qemu import Accelerator, Qemu, kvm_problem
from bench.kernels.recording import Kernel
from bench.kernels.uml import Uml, check_binary

Thp = Literal["never", "always"]
HOST: Final = "host"
ALLOWED: Final = "host, a version such as 5.10, 6.1.176 or uml-5.10, qemu:PATH or just PATH of a bzImage, or uml:PATH"
# What a guest does shall not hang on chance: addresses that the kernel chooses are the same each time, as the model's, and
# khugepaged sleeps for 49 days before it looks for pages to make huge ones of.
REPEATING: Final = ("norandmaps",)
SETTINGS: Final = {"/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs": str((1 << 32) - 1)}
LARGE_FOLIOS_SINCE: Final = (6, 8)
# Before a path: what it is run as. A path alone is an image for QEMU.
AS_UML: Final = "uml:"
AS_QEMU: Final = "qemu:"
_THP_OF_HOST: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# The boot protocol of x86: where an image has its magic number and, less 0x200, the place of its version as text.
_MAGIC_AT: Final = 0x202
_VERSION_AT: Final = 0x20E
_HEAD_BYTES: Final = 1 << 16
_BANNER: Final = re.compile(rb"Linux version (\d+\.\d+[-.\w]*) ")  # of a user-mode Linux


class Selected(NamedTuple):
    """A kernel that was asked for."""

    word: str  # as it was asked for, a version of the cache in full
    release: str  # as uname -r has it, or the beginning of that
    kernel: Kernel
    thp: Thp  # what it runs with
    ram: int | None  # bytes, where it is not the recording machine's
    without_kvm: str = ""  # why it is emulated although KVM was asked for


def is_kernel(word: str) -> bool:
    """Tell whether a word is meant to name a kernel: what it names need not be there."""
    return word == HOST or is_word(word) or word.startswith((AS_UML, AS_QEMU)) or Path(word).is_file()


def select(word: str, thp: Thp | None, kvm: bool = False) -> Selected:
    """Return the kernel that a word names; UsageError if there is none, or if it cannot have huge pages as asked.

    `thp`: None for "never", on the running kernel for what that has. `kvm`: QEMU uses it, where it boots the kernel.
    """
    if word == HOST:
        return _host(thp)
    path = Path(word.removeprefix(AS_QEMU).removeprefix(AS_UML))
    if is_word(word):
        image = find(word)
        if image.is_uml:
            return _user_mode(image.word, image.word.partition("-")[2], image.path, thp)
        word, path = image.word, image.path
    elif not path.is_file():
        raise UsageError(f"no kernel {one_line(word, 120)!r}: give {ALLOWED}")
    elif word.startswith(AS_UML):
        return _user_mode(word, binary_release(path), path.resolve(), thp)
    release, problem = image_release(path), kvm_problem(path) if kvm else ""
    accelerator: Accelerator = "kvm" if kvm and not problem else "tcg"
    kernel = Qemu(path, thp or "never", accelerator=accelerator, command_line=REPEATING, settings=SETTINGS)
    return Selected(word, release, kernel, thp or "never", None, problem)


def refuse_large_folios(selected: Selected) -> None:
    """Raise UsageError for a kernel that a guest cannot set to large anonymous folios: one too old, or not under QEMU."""
    if not isinstance(selected.kernel, Qemu):
        raise UsageError(f"--mthp: {selected.word} is not set by its guest; give a kernel under QEMU")
    if series_of(selected.release) < LARGE_FOLIOS_SINCE:
        raise UsageError(f"--mthp: {selected.word} is older than Linux 6.8, the first with large anonymous folios")


def _user_mode(word: str, release: str, binary: Path, thp: Thp | None) -> Selected:
    """Return a user-mode Linux, which has no huge pages."""
    if thp == "always":
        raise UsageError(f"{word} is a user-mode Linux, which has no huge pages: only --thp never")
    check_binary(binary)
    return Selected(word, release, Uml(binary), "never", None)


def _host(thp: Thp | None) -> Selected:
    """Return the running kernel, as it is set."""
    try:
        found: Thp = "always" if "[always]" in _THP_OF_HOST.read_text() else "never"  # "madvise" is never, without advice
    except OSError:
        found = "never"  # built without
    if thp not in (None, found):
        raise UsageError(f"--thp {thp}: this machine runs with --thp {found}; {_THP_OF_HOST} says so")
    ram = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Selected(HOST, os.uname().release, Host(), found, ram)


def image_release(path: Path) -> str:
    """Return the version that a kernel image for x86 carries; UsageError if it is no such image."""
    shown = one_line(path, 120)
    try:
        with path.open("rb") as handle:
            head = handle.read(_HEAD_BYTES)
    except OSError as error:
        raise MissingError(f"cannot read the kernel image {shown}: {error.strerror}") from None
    if head[_MAGIC_AT : _MAGIC_AT + 4] != b"HdrS":
        raise UsageError(f"{shown} is no kernel image for x86-64 (a bzImage or vmlinuz, not a vmlinux)")
    start = struct.unpack_from("<H", head, _VERSION_AT)[0] + 0x200
    return one_line(head[start:].partition(b"\0")[0].partition(b" ")[0].decode("ascii", "replace"), 80)


def binary_release(path: Path) -> str:
    """Return the version that a user-mode Linux carries; UsageError if it is none."""
    try:
        found = _BANNER.search(path.read_bytes())
    except OSError as error:
        raise MissingError(f"cannot read the user-mode Linux {one_line(path, 120)}: {error.strerror}") from None
    if not found:
        raise UsageError(f"{one_line(path, 120)} is no user-mode Linux")
    return found[1].decode("ascii")


def series_of(release: str) -> tuple[int, int]:
    """Return a release's first two numbers: (6, 1) of "6.1.0-50-cloud-amd64"; UsageError if it does not begin with them."""
    major, _, rest = release.partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    if not (major.isdecimal() and minor):
        raise UsageError(f"{one_line(release, 60)!r} is no version of Linux")
    return int(major), int(minor)
