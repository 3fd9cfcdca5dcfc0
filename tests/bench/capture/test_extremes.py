"""Address spaces of which only a text tells: as cheap and as dear as it allows, and what is true lies in between."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bench.capture import sources
from bench.capture.extremes import extremes
from bench.prediction import forecast, weights
from bench.workloads.layout import Layout, Unplaced, Vma
from mmmodel.constants import HPAGE_PMD_NR, PAGE_SIZE
from support.captured import child

KNOWN = sources.read("python_plain")


def of_one(start: int, nr_pages: int, unplaced: Unplaced, perms: str = "rw-p") -> Layout:
    """Return an address space of one VMA."""
    vma = Vma(hex(start), hex(start + nr_pages * PAGE_SIZE), perms, (), (), unplaced=unplaced)
    return replace(KNOWN, document=replace(KNOWN.document, vmas=(vma,)))


def test_what_is_known_stays() -> None:
    assert extremes(KNOWN) == (KNOWN, KNOWN) and extremes(KNOWN)[0] is KNOWN


@given(st.data(), st.integers(0, HPAGE_PMD_NR - 1), st.integers(1, 1 << 22), st.sampled_from(["rw-p", "rw-s"]))
def test_as_many_pages_as_the_text_says_each_once_and_inside(
    data: st.DataObject, shift: int, nr_pages: int, perms: str
) -> None:
    most = data.draw(st.integers(0, nr_pages))
    least = data.draw(st.integers(0, most))
    huge = data.draw(st.integers(0, least))
    captured = of_one((1 << 32) + shift * PAGE_SIZE, nr_pages, Unplaced(least, most, (0, huge), (0, 0)), perms)
    for placed, number in zip(extremes(captured), (least, most), strict=True):
        (vma,) = placed.vmas
        assert vma.unplaced is None and sum(nr for _, nr in vma.present) == number
        ends = [0, *(first + nr for first, nr in vma.present)]
        assert all(nr > 0 for _, nr in vma.present) and ends[-1] <= nr_pages
        assert all(end <= first for end, (first, _) in zip(ends, vma.present, strict=False))
        assert set(vma.thp) <= set(vma.present) and sum(nr for _, nr in vma.thp) <= huge
        assert all((first + shift) % HPAGE_PMD_NR == 0 for first, _ in vma.thp)
        assert vma.file == (vma.present if perms[3] == "s" else ())


def test_few_pages_spread_out_need_a_page_table_each() -> None:
    captured = of_one(1 << 32, 1 << 20, Unplaced(100, 100))
    packed, spread = (one.vmas[0].present for one in extremes(captured))
    assert packed == ((0, 100),)
    assert len({first // HPAGE_PMD_NR for first, _ in spread}) == 100


def test_what_a_process_would_cost_lies_between_what_its_smaps_tells(tmp_path: Path) -> None:
    """A child that waits, read twice."""
    text = tmp_path / "smaps.txt"
    with child() as one:
        one.area("sparse", "area", 1 << 30, list(range(0, 1 << 18, 1 << 12)))
        text.write_bytes(Path(f"/proc/{one.pid}/smaps").read_bytes())
        exact, told = sources.read(str(one.pid)), sources.read(str(text))
    cheap, dear = extremes(told)
    for kernel in weights.shipped().kernels:
        costs = [
            next(one for one in forecast.forecast(layout, kernel) if one.call == "munlockall")
            for layout in (cheap, exact, dear)
        ]
        least, between, most = (one.cost.instructions for one in costs if one.cost)
        assert least * 0.98 <= between <= most * 1.02
        assert least < most
