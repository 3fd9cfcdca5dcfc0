"""An address space for people: one line, a page for notebooks, tables of its VMAs and counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from mmmodel import constants as c
from mmmodel.counters import COUNTERS
from mmmodel.observe import VmaInfo
from mmmodel.sizes import format_size

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_VMAS: Final = 20  # rows of a notebook's table
# VmFlags of /proc/PID/smaps, fs/proc/task_mmu.c, for the flags that the model has.
VM_FLAG_LETTERS: Final = {
    c.VM_READ: "rd",
    c.VM_WRITE: "wr",
    c.VM_EXEC: "ex",
    c.VM_SHARED: "sh",
    c.VM_MAYREAD: "mr",
    c.VM_MAYWRITE: "mw",
    c.VM_MAYEXEC: "me",
    c.VM_MAYSHARE: "ms",
    c.VM_PFNMAP: "pf",
    c.VM_LOCKED: "lo",
    c.VM_IO: "io",
    c.VM_SEQ_READ: "sr",
    c.VM_RAND_READ: "rr",
    c.VM_DONTCOPY: "dc",
    c.VM_DONTEXPAND: "de",
    c.VM_LOCKONFAULT: "lf",
    c.VM_ACCOUNT: "ac",
    c.VM_NORESERVE: "nr",
    c.VM_HUGETLB: "ht",
    c.VM_WIPEONFORK: "wf",
    c.VM_DONTDUMP: "dd",
    c.VM_MIXEDMAP: "mm",
    c.VM_HUGEPAGE: "hg",
    c.VM_NOHUGEPAGE: "nh",
    c.VM_MERGEABLE: "mg",
}


def vm_flag_letters(vm_flags: int) -> str:
    """VM_* as the VmFlags line of smaps writes them: "rd wr mr mw me ac"."""
    return " ".join(letters for bit, letters in VM_FLAG_LETTERS.items() if vm_flags & bit)


def one_line(impl: str, vmas: int, total_vm: int, locked_vm: int) -> str:
    """What ``repr()`` says; sizes in pages."""
    sizes = (format_size(pages << c.PAGE_SHIFT) for pages in (total_vm, locked_vm))
    return "<Mm {}: {} VMAs, {} mapped, {} locked>".format(impl, vmas, *sizes)


def notebook_page(title: str, vmas: Sequence[VmaInfo]) -> str:
    """HTML: the line of ``repr()``, and the first VMAs as a table."""
    heads = "".join(f"<th>{name}</th>" for name in ("addresses", "size", "perms", "VmFlags", "Rss kB", "Locked kB"))
    rows = []
    for vma in vmas[:_SHOWN_VMAS]:
        size = format_size(vma.end - vma.start)
        cells = (
            f"{vma.start:x}-{vma.end:x}",
            size,
            vma.perms,
            vm_flag_letters(vma.vm_flags),
            str(vma.rss_kb),
            str(vma.locked_kb),
        )
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    left = len(vmas) - len(rows)
    more = f"<p>and {left:,} more</p>" if left else ""
    return f"<p>{escape(title)}</p><table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"


def vmas_table(vmas: Sequence[VmaInfo]) -> pd.DataFrame:
    """One row a VMA: the fields of :class:`VmaInfo`, and its VmFlags as text in ``flags``."""
    import pandas as pd

    frame = pd.DataFrame(list(vmas), columns=list(VmaInfo._fields))
    frame["flags"] = [vm_flag_letters(vma.vm_flags) for vma in vmas]
    return frame


def counters_table(counters: Mapping[str, int]) -> pd.DataFrame:
    """One row a counter, by its name: ``value``, ``unit`` and ``help``."""
    import pandas as pd

    rows = [(counters[one.name], one.unit, one.help) for one in COUNTERS]
    index = pd.Index([one.name for one in COUNTERS], name="counter")
    return pd.DataFrame(rows, columns=["value", "unit", "help"], index=index)
