"""A layout without what its paths and command line tell: what is mapped keeps its kind and a number."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from bench.workloads.layout import Document, Source, Vma

_KERNELS: Final = re.compile(r"\[(?:heap|stack|vdso|vvar|vvar_vclock|vsyscall|uprobes|anon_shmem)\]")  # names that say nothing
# What a path is, and what stands in its place; {} is its number. The first that matches.
_KINDS: Final = (
    (re.compile(r"\[anon:.*\]"), "[anon:{}]"),
    (re.compile(r"\[anon_shmem:.*\]"), "[anon_shmem:{}]"),
    (re.compile(r"\[stack:\d+\]"), "[stack:{}]"),
    (re.compile(r"\[.*\]"), "[{}]"),
    (re.compile(r"/memfd:.*"), "/memfd:{}"),
    (re.compile(r"/dev/zero.*"), "/dev/zero"),
    (re.compile(r"/dev/shm/.*"), "/dev/shm/{}"),
    (re.compile(r"/SYSV.*"), "/SYSV{}"),
    (re.compile(r"/dev/.*"), "/dev/{}"),
    (re.compile(r"/secretmem.*"), "/secretmem"),
    (re.compile(r"/anon_hugepage.*"), "/anon_hugepage"),
    (re.compile(r"anon_inode:.*"), "anon_inode:{}"),
    (re.compile(r"(?:/.*)?\.so(?:[.\d]*)(?: \(deleted\))?"), "/file/{}.so"),
    (re.compile(r".+", re.DOTALL), "/file/{}"),
)
DELETED: Final = " (deleted)"


def anonymise(document: Document) -> Document:
    """Return the same layout without program, command line, comments, paths, inodes, and the end of the kernel's version.

    Numbers go by first appearance, so that the same file has the same number everywhere. Addresses stay.
    """
    names: dict[str, str] = {}
    inodes: dict[str, str] = {}
    vmas = tuple(
        msgspec.structs.replace(
            vma,
            path=_name(vma, names),
            inode=inodes.setdefault(vma.inode, str(len(inodes) + 1)) if vma.inode else "",
            comment="",
        )
        for vma in document.vmas
    )
    version = re.match(r"Linux \d+(?:\.\d+)*", document.kernel)
    source = document.source or Source("unknown")
    return msgspec.structs.replace(
        document,
        program="anonymous",
        command="",
        comment="",
        kernel=version[0] if version else "",
        vmas=vmas,
        source=msgspec.structs.replace(source, anonymised=True),
    )


def _name(vma: Vma, names: dict[str, str]) -> str:
    """Return what stands in the place of a VMA's path."""
    if not vma.path or _KERNELS.fullmatch(vma.path):
        return vma.path
    if vma.path not in names:
        made = next(to for kind, to in _KINDS if kind.fullmatch(vma.path))
        deleted = DELETED if vma.path.endswith(DELETED) else ""
        names[vma.path] = made.format(len(names) + 1) + deleted
    return names[vma.path]
