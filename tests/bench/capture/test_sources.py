"""What people paste: text of /proc and of pmap, whole, cut, foreign, and made up by hypothesis."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bench.capture import live, sources, text
from bench.capture.document import encode
from bench.errors import UsageError
from bench.workloads import layout
from bench.workloads.layout import Layout, Unplaced, first_problem
from support.captured import Child, child, smaps

MiB = 1 << 20
HEAD = "7f0000000000-7f0000004000 rw-p 00000000 00:00 0 "
OF_5_10 = """\
{head}
Size:                 16 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                  {rss} kB
Pss:                   4 kB
AnonHugePages:         0 kB
Swap:                  4 kB
THPeligible:    1
ProtectionKey:         0
VmFlags: rd wr mr mw me ac sd
"""
PMAP = """\
77:   some program
         Address Perm   Offset Device Inode Size Rss Swap Mapping
    7f0000000000 rw-p 00000000  00:00     0   16   8    0 [heap]
    7f0000010000 r--s 00001000  08:01    42   64   0    0 two words
                                            ==== === ====
                                              80   8    0 KB
"""


def read(given_text: str | bytes) -> Layout:
    """Read a text as standard input."""
    data = given_text if isinstance(given_text, bytes) else given_text.encode()
    return sources.read_stream(io.BufferedReader(io.BytesIO(data)), "it", "it")


def refused(given_text: str | bytes) -> str:
    """Return the one line that a text is refused with."""
    with pytest.raises(UsageError) as caught:
        read(given_text)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 1000
    return said


@pytest.fixture(scope="module")
def sparse() -> Iterator[Child]:
    """A process, some of whose pages are in memory."""
    with child() as one:
        one.area("sparse", "area", 64 * MiB, [1, 2, 77], 0)
        yield one


def test_smaps_says_how_many_pages_and_not_which(sparse: Child) -> None:
    found = sources.read(f"/proc/{sparse.pid}/smaps")
    sums = smaps(sparse.pid)
    assert found.document.source is not None and found.document.source.method == "smaps"
    for vma in (one for one in found.vmas if one.lockable):
        nr = sums[vma.first]["Rss"] // 4
        assert vma.unplaced is None if nr == 0 else (vma.unplaced is not None and vma.unplaced.least == vma.unplaced.most == nr)
    (area,) = [vma for vma in found.vmas if vma.first == sparse.areas["sparse"]["address"]]
    assert (area.present, area.unplaced) == ((), Unplaced(3, 3))
    captured = live.capture(sparse.pid)
    assert [
        (one.start, one.end, one.perms, one.vm_flags, one.path, one.lockable, one.inode, one.offset) for one in found.vmas
    ] == [(one.start, one.end, one.perms, one.vm_flags, one.path, one.lockable, one.inode, one.offset) for one in captured.vmas]


def test_maps_says_nothing_of_pages(sparse: Child) -> None:
    found = sources.read(f"/proc/{sparse.pid}/maps")
    (area,) = [vma for vma in found.vmas if vma.first == sparse.areas["sparse"]["address"]]
    assert area.unplaced is not None
    assert (area.unplaced.least, area.unplaced.most) == (0, 16384)
    assert [vma.start for vma in found.vmas] == [vma.start for vma in live.capture(sparse.pid).vmas]
    assert [vma.lockable for vma in found.vmas] == [vma.lockable for vma in live.capture(sparse.pid).vmas]


@pytest.mark.parametrize("option", ["-X", "-XX", "-x"])
def test_what_pmap_prints_is_what_smaps_says(sparse: Child, option: str) -> None:
    printed = subprocess.run(["pmap", option, str(sparse.pid)], capture_output=True, check=True).stdout
    found, expected = read(printed), sources.read(f"/proc/{sparse.pid}/smaps")
    assert [(vma.first, vma.last, vma.perms) for vma in found.vmas] == [
        (vma.first, vma.last, vma.perms) for vma in expected.vmas
    ]
    pairs = [(one.unplaced, two.unplaced) for one, two in zip(found.vmas, expected.vmas, strict=True) if two.lockable]
    assert all(one is not None and (one.least, one.most) == (two.least, two.most) for one, two in pairs if two is not None)
    assert all(one is None or one.most == 0 for one, two in pairs if two is None)
    if option == "-XX":
        assert [vma.vm_flags for vma in found.vmas] == [vma.vm_flags for vma in expected.vmas]


def test_text_of_other_kernels() -> None:
    old = OF_5_10.format(head=HEAD, rss=8)
    new = old.replace("Pss:  ", "Pss_Dirty:    4 kB\nTHP_swap_eligible: yes, in a way\nKSM: 0 kB\nPss:  ").replace(
        "sd\n", "sd sl dp gu\n"
    )
    assert read(old).vmas[0].unplaced == Unplaced(2, 2, (0, 0), (1, 1))
    assert read(new).vmas[0].unplaced is None  # dp: mlock leaves it alone
    assert read(old.replace("\n", "\r\n")).vmas == read("\n\n   " + old.replace("\n", "\n  ")).vmas == read(old).vmas


def test_text_of_pmap_by_its_columns() -> None:
    heap, shared = read(PMAP).vmas
    assert (heap.first, heap.last, heap.path, heap.unplaced) == (0x7F0000000000, 0x7F0000004000, "[heap]", Unplaced(2, 2))
    assert (shared.path, shared.inode, shared.offset, shared.unplaced) == ("two words", "08:01 42", "1000", None)


def test_what_is_read_is_a_layout_and_can_be_kept(tmp_path: Path) -> None:
    for given_text in (HEAD, OF_5_10.format(head=HEAD, rss=8), PMAP):
        path = tmp_path / "it.json"
        path.write_bytes(encode(read(given_text).document))
        assert sources.read(str(path)).document == read(given_text).document
        with pytest.raises(UsageError, match="does not say which pages are in memory"):
            layout.load(str(path))


WHOLE = OF_5_10.format(head=HEAD, rss=8)
NEXT = OF_5_10.format(head=HEAD.replace("7f00000", "7f00001"), rss=8)


@pytest.mark.parametrize(
    ("given_text", "line", "why"),
    [
        ("", 0, "it is empty"),
        (" \n\n", 0, "it is empty"),
        ("hello\n", 1, "none of what can be read"),
        ("\x1b[31mred\n", 1, "none of what can be read"),
        (HEAD + "\n" + HEAD, 2, "VMAs are in address order"),
        (HEAD.replace("4000", "0000"), 1, "not after the start"),
        (HEAD.replace("4000 ", "4001 "), 1, "not aligned"),
        (HEAD.replace("7f0000004000", "ffff000000004000"), 1, "beyond the 56-bit"),
        (HEAD.replace("7f0000000000", "-7f0000000000"), 1, "none of what can be read"),
        (HEAD.replace("rw-p", "rw-"), 1, "no line of maps"),
        (HEAD + "\n7f0000010000-7f00000", 2, "no line of maps"),
        (WHOLE.replace("    8 kB", "1.234 kB"), 5, "'1.234 kB' is no whole number of kB"),
        (WHOLE.replace("    8 kB", "1,234 kB"), 5, "'1,234 kB' is no whole number of kB"),
        (WHOLE.replace("    8 kB", "1 234 kB"), 5, "'1 234 kB' is no whole number of kB"),
        (WHOLE.replace("    8 kB", "\u0668 kB"), 5, "is no whole number of kB"),
        (WHOLE.replace("    8 kB", "-8 kB"), 5, "'-8 kB' is no whole number of kB"),
        (WHOLE.replace("    8 kB", "8 KiB"), 5, "'8 KiB' is no whole number of kB"),
        (WHOLE.replace("    8 kB", "9" * 40 + " kB"), 5, "is no whole number of kB"),
        (WHOLE.replace("    8 kB", "20 kB"), 1, "Rss is 20 kB, in a VMA of 16 kB"),
        (WHOLE.replace("    8 kB", "7 kB"), 1, "no whole number of pages"),
        (WHOLE.replace("16 kB", "12 kB"), 1, "Size is 12 kB, but the VMA has 16 kB"),
        (WHOLE.replace("KernelPageSize:        4", "KernelPageSize: 16"), 1, "its pages have 16 kB"),
        (WHOLE.replace("AnonHugePages:         0", "AnonHugePages: 12"), 1, "more than Rss"),
        (WHOLE.replace(" ac ", " accounted "), 11, "'accounted' is no flag"),
        (WHOLE + NEXT[: NEXT.index("VmFlags")], 21, "no VmFlags"),
        (WHOLE + NEXT[: NEXT.index("Rss")], 15, "no Rss"),
        (WHOLE + NEXT[: NEXT.index("Size")], 12, "lines are missing here"),
        (WHOLE + NEXT[: NEXT.index("Rss") + 2], 16, "'Rs' is no field"),
        (WHOLE + NEXT[NEXT.index("\n") + 1 :], 12, "Size is there twice"),
        (WHOLE[WHOLE.index("\n") + 1 :], 1, "none of what can be read"),
        (PMAP[: PMAP.index("    7f0000010000")], 3, "before the totals"),
        (PMAP.replace("   64   0    0 two words", "   64"), 4, "has no Rss"),
        (PMAP.replace("   64   0", "  64K   0"), 4, "Size '64K' is no whole number"),
        (PMAP.replace("Rss", "Resident"), 2, "not the heads of pmap"),
        (PMAP.replace("r--s", "r--sx"), 4, "no permissions"),
        (PMAP.replace("7f0000010000", "7f0000000000"), 4, "address order"),
        (PMAP.replace("    7f0000010000", "    zzz"), 4, "no hexadecimal number"),
        (PMAP + PMAP, 7, "a second process"),
        ("77:   some program\n0000560000000000    188K r---- bash\n total 188K\n", 2, "use pmap -X"),
        ("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n", 0, "no VMA"),
        (HEAD + "\0", 1, "byte of value 0"),
        (HEAD + "x" * 40_000, 1, "longer than"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(given_text: str, line: int, why: str) -> None:
    said = refused(given_text)
    assert why in said
    assert (f"it, line {line}: " in said) == bool(line)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_VMAS", 1)
    assert "more than 1 VMAs" in refused(WHOLE + NEXT)
    monkeypatch.setattr(text, "MAX_TEXT_BYTES", 100)
    assert "line 3: the text up to here" in refused(WHOLE)
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 10)
    assert "larger than" in refused('{"format": 1, "program": ""}')


def test_what_is_no_text(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="Is a directory"):
        sources.read(str(tmp_path))
    for word in (str(tmp_path / "pipe"), "/dev/zero"):
        with pytest.raises(UsageError, match="not a regular file"):
            sources.read(word)
    for word, why in (("nosuch", "unknown layout"), ("99999999999", "no process"), ("0", "no process"), ("\u0667", "unknown")):
        with pytest.raises(UsageError, match=why):
            sources.read(word)
    assert "not in the layout format" in refused(b'{"x":' + b"[" * 100_000)
    assert "truncated" in refused(b"\x1f\x8b")
    assert sources.read("go119").nr_unplaced == 0


def test_standard_input() -> None:
    program = "from bench.capture import sources; print(sources.read('-').vmas[0].unplaced)"
    done = subprocess.run([sys.executable, "-c", program], input=WHOLE, capture_output=True, text=True, check=True)
    assert done.stdout == f"{Unplaced(2, 2, (0, 0), (1, 1))}\n"


def consistent_or_refused(data: bytes) -> None:
    """Read; what comes out keeps the rules of layouts, or the one line names what is wrong."""
    try:
        found = read(data)
    except UsageError as error:
        assert str(error).isprintable() and len(str(error)) < 1000
    else:
        assert first_problem(found.document) == ""
        assert layout.decode(encode(found.document), "it", "it").document == found.document


# Parts that a text may have, right and wrong, in any order.
PIECES = some.one_of(
    some.sampled_from([*WHOLE.splitlines(), *PMAP.splitlines(), *NEXT.splitlines(), ""]),
    some.builds(
        lambda start, nr, perms, offset, rest: f"{start:x}-{start + nr:x} {perms} {offset:08x} {rest}",
        some.integers(-(1 << 13), 1 << 64).map(lambda n: n & ~4095),
        some.integers(-(1 << 13), 1 << 50).map(lambda n: n & ~4095),
        some.sampled_from(["rw-p", "---p", "r-xs", "rwx"]),
        some.integers(-1, 1 << 66),
        some.sampled_from(["00:00 0 ", "08:01 42 /a file", "0:0 0", "00:01 7 /dev/zero (deleted)", "00:00 0 [vvar]"]),
    ),
    some.builds(
        "{}: {} kB".format, some.sampled_from(["Rss", "Size", "Swap", "AnonHugePages", "Other"]), some.integers(-4, 1 << 60)
    ),
    some.text("Rs: 0-9akB\t\0é\u2028", max_size=12),
)


@given(some.lists(PIECES, max_size=12), some.integers(0, 400))
def test_texts_made_of_parts(pieces: list[str], cut: int) -> None:
    whole = "\n".join(pieces).encode("utf-8", "replace")
    consistent_or_refused(whole)
    consistent_or_refused(whole[:-cut])


@given(some.data())
def test_real_text_with_bytes_changed(data: some.DataObject) -> None:
    changed = bytearray(data.draw(some.sampled_from([WHOLE + NEXT, PMAP, HEAD])).encode())
    for _ in range(data.draw(some.integers(1, 4))):
        at = data.draw(some.integers(0, len(changed) - 1))
        changed[at : at + data.draw(some.integers(0, 9))] = data.draw(some.binary(max_size=6))
        if not changed:
            break
    consistent_or_refused(bytes(changed))


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
RUNS = some.lists(some.tuples(some.integers(-2, 1 << 70), some.integers(-1, 1 << 70)) | JSON, max_size=4)


@given(some.data())
def test_layouts_with_anything_in_any_field(data: some.DataObject) -> None:
    content = json.loads(encode(read(WHOLE + NEXT).document))
    vma = content["vmas"][data.draw(some.integers(0, 1))]
    few = {"least": 1, "most": 2, "thp": [0, 1], "swapped": [0, 0]}
    every = [
        (content, tuple(content)),
        (vma, (*vma, "zero", "thp")),
        (few, tuple(few)),
        (content["source"], tuple(content["source"])),
    ]
    places = some.sampled_from([(place, key) for place, keys in every for key in keys])
    for _ in range(data.draw(some.integers(1, 3))):
        place, key = data.draw(places)
        place[key] = data.draw(some.one_of(JSON, RUNS, some.integers(0, 1 << 66)))
    if isinstance(vma.get("unplaced"), dict):
        vma["unplaced"] = few
    consistent_or_refused(json.dumps(content).encode())
