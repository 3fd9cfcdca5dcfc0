"""Captured address spaces as the model builds them: no VMA lost, pages shared where the capture shares them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.targets import model
from bench.workloads import layout
from bench.workloads.scenario import Point
from bench.workloads.selection import layout_scenario
from mmmodel import Mm, check_mm
from mmmodel import constants as const

PAGE = 4096
MAY = ["mr", "mw", "me"]


def built(path: Path | str, impl: str) -> Mm:
    """Return the address space of a layout, locked as it was captured."""
    captured = layout.load(str(path))
    mm = model.lay_out(captured, impl)
    mm.mlockall(const.MCL_CURRENT | (const.MCL_FUTURE if captured.locked else const.MCL_ONFAULT))
    check_mm(mm)
    return mm


def write(path: Path, vmas: list[dict[str, Any]]) -> Path:
    """Write a layout of these VMAs."""
    head = {"format": 1, "program": "p", "command": "p", "kernel": "Linux 6.18", "page_size": PAGE, "threads": 1}
    path.write_text(json.dumps({**head, "vmas": vmas}))
    return path


def vma(start: int, nbytes: int, flags: list[str], **more: Any) -> dict[str, Any]:
    """Return one anonymous VMA."""
    ends = {"start": f"{start:x}", "end": f"{start + nbytes:x}"}
    return {**ends, "perms": "rw-p", "flags": ["rd", "wr", *MAY, "ac", *flags], "present": [], **more}


def test_neighbours_that_differ_in_a_flag_stay_apart(impl: str, tmp_path: Path) -> None:
    flags = ["", "dd", "wf", "dc", "mg", "sr", "rr"]
    vmas = [vma(0x10000000 + i * PAGE, PAGE, [flag] if flag else [], present=[[0, 1]]) for i, flag in enumerate(flags)]
    mm = built(write(tmp_path / "seven.json", vmas), impl)
    assert mm.map_count == 7
    shown = mm.vmas_frame()["flags"].str.split()
    assert [sorted(set(one) & set(flags)) for one in shown] == [[flag] if flag else [] for flag in flags]
    assert mm.locked_vm == 7


@pytest.mark.parametrize(("name", "vmas"), [("c_tsan_clang", 278), ("chromium_renderer", 749)])
def test_captured_programs_keep_their_vmas(name: str, vmas: int) -> None:
    assert built(name, "page-walk").map_count == vmas == len(layout.load(name).vmas)


def views(nbytes: int, pages: list[list[int]]) -> list[dict[str, Any]]:
    """Return ZGC's heap: one memfd, mapped at three addresses."""
    shared = {"perms": "rw-s", "path": "/memfd:java_heap (deleted)", "inode": "0:1 1024", "offset": "200000"}
    flags = ["rd", "wr", "sh", *MAY, "ms", "lo"]
    return [
        vma(start, nbytes, [], **shared, present=pages, file=pages) | {"flags": flags} for start in (1 << 42, 1 << 43, 1 << 44)
    ]


def test_views_of_one_file_share_its_pages(tmp_path: Path) -> None:
    """16,384 pages, each mapped three times: 5.10 looks for other locked mappings of all 49,152."""
    path = write(tmp_path / "zgc.json", views(64 << 20, [[0, 16384]]))
    mm = built(path, "per-page")
    assert mm.vmstat()["nr_mlock"] == 16384
    assert sum(vma.rss_kb for vma in mm.smaps()) == 3 * (64 << 10)
    mm.munlockall()
    counted = mm.call_counters()
    assert (counted["model_rmap_lock"], counted["model_pages_looked_up"]) == (49152, 49152)
    check_mm(mm)
    assert (mm.vmstat()["nr_mlock"], mm.locked_vm) == (0, 0)


def test_without_an_inode_each_vma_has_a_file_of_its_own(tmp_path: Path) -> None:
    vmas = [{key: value for key, value in one.items() if key not in ("inode", "offset")} for one in views(1 << 20, [[0, 256]])]
    mm = built(write(tmp_path / "old.json", vmas), "per-page")
    mm.munlockall()
    assert mm.call_counters()["model_rmap_lock"] == 0


def test_a_view_has_only_the_pages_that_it_had(impl: str, tmp_path: Path) -> None:
    """Not those around them, which a fault would map too, once they are in the page cache."""
    vmas = views(1 << 20, [[0, 256]])
    vmas[1] |= {"present": [[3, 1]], "file": [[3, 1]]}
    vmas = [one | {"flags": [flag for flag in one["flags"] if flag != "lo"]} for one in vmas]
    mm = built(write(tmp_path / "views.json", vmas), impl)
    assert [vma.rss_kb for vma in mm.smaps()] == [1024, 4, 1024]


def test_offsets_say_which_part_of_a_file(impl: str, tmp_path: Path) -> None:
    one, two, _ = views(1 << 20, [[0, 256]])
    two |= {"offset": "280000"}  # overlaps the first by half
    path = write(tmp_path / "half.json", [one, two])
    mm = built(path, impl)
    assert mm.vmstat()["nr_mlock"] == 384


def test_what_cannot_be_built_ends_in_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "wiped.json", [vma(0x10000000, PAGE, ["wf"], path="/etc/passwd")])
    point = Point(layout_scenario(str(path)), "page-walk")
    with pytest.raises(UsageError, match="cannot be built"):
        model.build(point)
