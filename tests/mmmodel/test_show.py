"""An address space shown to people: repr, notebooks, tables."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mmmodel import MADV_DONTDUMP, MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MCL_CURRENT, PROT_NONE, PROT_READ, PROT_WRITE, Mm

PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
BASE = 0x10_0000_0000
FAR = 1 << 40


@pytest.fixture
def mm(impl: str) -> Mm:
    """2 GiB reserved, two pages of three touched beside it."""
    mm = Mm(impl)
    mm.mmap(BASE, 3 * 4096, PROT_READ | PROT_WRITE, PRIVATE)
    mm.madvise(BASE, 3 * 4096, MADV_DONTDUMP)
    mm.touch(BASE, 2 * 4096, "write")
    mm.mmap(FAR, "2GiB", PROT_NONE, PRIVATE)
    return mm


def test_repr_is_one_line(mm: Mm) -> None:
    assert repr(mm) == f"<Mm {mm.impl}: 2 VMAs, 2097164KiB mapped, 0B locked>"
    mm.munmap(BASE, 3 * 4096)
    mm.mlockall(MCL_CURRENT)
    assert repr(mm) == f"<Mm {mm.impl}: 1 VMAs, 2GiB mapped, 2GiB locked>"
    mm.exit()
    assert repr(mm) == f"<Mm {mm.impl}: 0 VMAs, 0B mapped, 0B locked>"


def test_a_notebook_gets_a_table(mm: Mm) -> None:
    page = mm._repr_html_()
    assert "<p>&lt;Mm " in page
    row = "<tr><td>1000000000-1000003000</td><td>12KiB</td><td>rw-p</td><td>rd wr mr mw me ac dd</td><td>8</td><td>0</td></tr>"
    assert row in page
    assert page.count("<tr>") == 3
    for number in range(30):
        mm.mmap(BASE + (2 * number + 8) * 4096, 4096, PROT_READ, PRIVATE)
    page = mm._repr_html_()
    assert page.count("<tr>") == 21
    assert page.endswith("<p>and 12 more</p>")


def test_vmas_as_a_table(mm: Mm) -> None:
    frame = mm.vmas_frame()
    assert list(frame.columns) == ["start", "end", "perms", "locked", "vm_flags", "rss_kb", "locked_kb", "flags"]
    assert frame["start"].tolist() == [BASE, FAR]
    assert (frame["end"] - frame["start"]).sum() == mm.total_vm * 4096
    assert frame["rss_kb"].tolist() == [8, 0]
    assert frame["flags"].tolist() == ["rd wr mr mw me ac dd", "mr mw me"]


def test_an_empty_table_has_its_columns(impl: str) -> None:
    frame = Mm(impl).vmas_frame()
    assert len(frame) == 0
    assert "flags" in frame.columns


def test_counters_as_a_table(mm: Mm) -> None:
    mm.mlock(BASE, 2 * 4096)
    frame = mm.counters_frame()
    assert frame.loc["nr_mlock", "value"] == 2
    assert frame.loc["nr_mlock", "unit"] == "pages"
    assert frame["value"].to_dict() == mm.call_counters()


def test_pandas_is_not_needed_before() -> None:
    program = "import sys; from mmmodel import Mm; repr(Mm()); assert 'pandas' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
