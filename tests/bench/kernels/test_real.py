"""Kernels that are booted here: the recorded answers of 5.10 and 6.1 come out again, and broken kernels end in one line.

They need QEMU and the kernels in the cache (`unlockall-bench kernel fetch 5.10 6.1 uml-5.10 uml-6.1`), and are skipped without.
"""

import shutil
import struct
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from bench.kernels.errors import DeadlineError, EarlyEndError, MissingError
from bench.kernels.images import find
from bench.kernels.protocol import Program, system_call, touch
from bench.kernels.qemu import PROGRAM_NAME, Qemu, write_swap
from bench.kernels.recording import Kernel, results
from bench.kernels.uml import Uml, check_binary, glibc_needed
from bench.traces.replay import differences
from bench.traces.trace_format import load_results, load_traces

RECORDED = Path(__file__).resolve().parents[2] / "data" / "traces"
START = 0x1000000000
HAVE_QEMU = shutil.which(PROGRAM_NAME) is not None


def image(word: str) -> Path:
    """Return a kernel of the cache, or skip the test."""
    try:
        return find(word).path
    except MissingError as error:
        pytest.skip(str(error))


def differing(kernel: Kernel, prefix: str, version: str) -> Counter[str]:
    """Return how many fields of which kind a kernel answers otherwise than was recorded."""
    traces = load_traces(RECORDED / f"{prefix}traces.jsonl").by_name
    expected = load_results(RECORDED / f"{prefix}linux-{version}.jsonl").by_name
    found: Counter[str] = Counter()
    for got in results(kernel, [*traces.values()]):
        for one, other in zip(expected[got.name].steps, got.steps, strict=True):
            found.update(difference.field for difference in differences(one, other))
    return found


@pytest.mark.skipif(not HAVE_QEMU, reason="QEMU is not installed")
@pytest.mark.parametrize("version", ["5.10", "6.1"])
@pytest.mark.parametrize(("prefix", "thp"), [("", "never"), ("thp-", "always"), ("all-", "never"), ("all-thp-", "always")])
def test_the_recorded_answers_come_out_again(version: str, prefix: str, thp: Literal["never", "always"]) -> None:
    assert differing(Qemu(image(version), thp), prefix, version) == {}


@pytest.mark.parametrize("version", ["5.10", "6.1"])
def test_user_mode_linux_answers_all_but_the_flags_of_pages(version: str) -> None:
    binary = image(f"uml-{version}")
    check_binary(binary)
    assert {*differing(Uml(binary), "", version)} <= {"pages"}


@pytest.mark.skipif(not HAVE_QEMU, reason="QEMU is not installed")
def test_instructions_repeat() -> None:
    nbytes = 16 << 20
    orders = (
        system_call("mmap", START, nbytes, 3, 0x100022, -1, 0),
        touch(START, nbytes),
        *(system_call(name, START, nbytes) for name in ("mlock", "munlock") * 6),
    )
    kernel = Qemu(image("6.1"), count_instructions=True)
    settle, got = kernel.run([Program(START, START + nbytes, orders, 0)] * 2, lambda hello: None)
    counts = [one.cycles for one in got[5::2]]  # the first is dearer: it is the first
    assert len(settle) == len(orders)
    assert max(counts) / min(counts) < 1.003
    assert 600 < min(counts) / 4096 < 900  # per page, as was seen: 719


@pytest.mark.skipif(not HAVE_QEMU, reason="QEMU is not installed")
def test_a_guest_whose_memory_runs_out_is_told_and_the_rest_goes_on() -> None:
    nbytes = 1 << 30
    flood = (system_call("mmap", START, nbytes, 3, 0x104022, -1, 0), touch(START, nbytes))
    well = (system_call("mmap", START, 4096, 3, 0x100022, -1, 0),)
    programs = [Program(START, START + nbytes, orders, 0) for orders in (flood, well)]
    first, last = Qemu(image("6.1"), memory_mib=256).run(programs, lambda hello: None)
    assert [one.errno for one in first] == [0, "SIG9"]
    assert [one.errno for one in last] == [0]


@pytest.mark.skipif(not HAVE_QEMU, reason="QEMU is not installed")
def test_an_image_that_is_no_kernel(tmp_path: Path) -> None:
    bad = tmp_path / "vmlinuz"
    bad.write_bytes(b"not a kernel" * 1000)
    with pytest.raises((EarlyEndError, DeadlineError)):
        [*Qemu(bad).run([], lambda hello: None, 20)]
    with pytest.raises(MissingError, match="no kernel image"):
        [*Qemu(tmp_path / "absent").run([], lambda hello: None, 20)]


@pytest.mark.skipif(not HAVE_QEMU, reason="QEMU is not installed")
def test_a_kernel_that_panics_has_its_last_words_kept() -> None:
    kernel = Qemu(image("6.1"), command_line=("rdinit=/absent", "root=/dev/absent"))
    with pytest.raises(EarlyEndError) as caught:
        [*kernel.run([], lambda hello: None, 120)]
    assert "Kernel panic - not syncing: VFS: Unable to mount root fs" in str(caught.value)


def test_what_a_user_mode_linux_needs(tmp_path: Path) -> None:
    assert glibc_needed(b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0") == (2, 34)
    assert glibc_needed(b"static") == (0, 0)
    binary = tmp_path / "linux.uml"
    binary.write_bytes(b"\0GLIBC_9.99\0")
    with pytest.raises(MissingError, match=r"needs glibc 9\.99 or later"):
        check_binary(binary)
    with pytest.raises(MissingError, match="cannot read"):
        check_binary(tmp_path / "absent")


def test_an_empty_swap_area(tmp_path: Path) -> None:
    write_swap(tmp_path / "swap", 1 << 20)
    data = (tmp_path / "swap").read_bytes()
    assert len(data) == 1 << 20
    assert data[4086:4096] == b"SWAPSPACE2"
    assert struct.unpack_from("<II", data, 1024) == (1, 255)
