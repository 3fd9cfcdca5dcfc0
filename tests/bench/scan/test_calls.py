"""The calls as data: programs of the guest, and C that compiles and runs."""

import re
import subprocess
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.kernels.build import compiler
from bench.kernels.errors import MissingError
from bench.kernels.host import Host
from bench.kernels.protocol import Program
from bench.scan.call import PLACE, SMALL_PLACE, Call, probe, program
from bench.scan.calls import CALLS
from bench.scan.layouts import LAYOUTS
from bench.scan.machine import KernelMachine, Shot, core_goes_to_a_file
from bench.scan.reproducer import text
from bench.scan.steps import Put, Spot, Sys, Text
from bench.targets import kernel

SPOT = Spot(1 << 40, 1 << 30, 8, 1 << 41, 1 << 39)


def compiler_of_the_machine() -> list[str]:
    """Return a C compiler with a C library; skip without."""
    try:
        return compiler()
    except MissingError as error:
        pytest.skip(str(error))


def test_words_stand_for_what_they_name() -> None:
    found = [SPOT.value(word) for word in (7, "start", "start+half", "n*4096", "n/2", "pages*8", "start/4096*8", "scratch+16")]
    assert found == [7, 1 << 40, (1 << 40) + (1 << 29), 32768, 4, 1 << 21, 1 << 31, (1 << 39) + 16]


def test_text_is_put_as_words_of_eight_bytes() -> None:
    (order,) = Text(8, "cgroup2").orders(SPOT)
    assert order == f"m 0 {(1 << 39) + 8:x} 1 {int.from_bytes(b'cgroup2' + bytes(1), 'little'):x}"
    assert len([*Text(0, "x" * 48).orders(SPOT)]) == 2  # 49 bytes with its end
    assert [*Put(0, ("start", "span")).orders(SPOT)] == ["m 0 8000000000 2 10000000000 40000000"]


def test_calls_are_orders_and_c() -> None:
    call = Sys("mprotect", ("start", "span", 1))
    assert [*call.orders(SPOT)] == ["c 0 a 10000000000 40000000 1"]
    assert call.c() == "syscall(10 /* mprotect */, start, span, 1L);"
    opening = Sys("open", ("scratch", 0), 110)
    assert [*opening.orders(SPOT)] == ["g 0 6e00 2 8000000000 0"]
    assert opening.c() == "dup2(syscall(2 /* open */, scratch, 0L), 110);"


@pytest.mark.parametrize("name", CALLS)
def test_every_call_has_programs_whose_last_order_is_measured(name: str) -> None:
    call = CALLS[name]
    assert call.layouts and set(call.layouts) <= set(LAYOUTS)
    for one in call.layouts:
        layout = call.on(one)
        assert layout.sizes == tuple(sorted(set(layout.sizes))) and len(layout.sizes) >= 3
        assert layout.sizes[-1] <= layout.most
        for place in (PLACE, SMALL_PLACE):
            made = program(call, layout, layout.sizes[1], place)
            assert isinstance(made, Program) and not made.watch
            last = [
                *call.measured.orders(
                    Spot(place.start, layout.span(layout.sizes[1]), layout.sizes[1], place.target, place.scratch)
                )
            ]
            assert made.orders[-len(last) :] == tuple(last)
            assert probe(call, layout, place).orders


def test_a_page_per_gib_varies_pages_in_a_span_that_stays() -> None:
    layout = LAYOUTS["page per GiB"]
    for n in layout.sizes:
        mapped, touched, _ = program(CALLS["munmap"], layout, n).orders
        assert mapped.split()[3:5] == [f"{PLACE.start:x}", f"{16 << 30:x}"]
        assert touched == f"t 0 {PLACE.start:x} {n << 30:x} {1 << 30:x} 1"  # one access a GiB
    assert layout.most << 30 == layout.span(1) == layout.span(layout.most)


@pytest.mark.parametrize("name", CALLS)
def test_every_call_and_layout_is_c_that_compiles(name: str, tmp_path: Path) -> None:
    command = compiler_of_the_machine()
    call = CALLS[name]
    varied = [one for one in call.layouts if LAYOUTS[one].axis == "span"]
    sources = []
    for number, one in enumerate(varied):
        source = text(call, call.on(one))
        assert 15 <= len(source.splitlines()) <= 45
        assert max(map(len, source.splitlines()[1:])) <= 140
        sources.append(re.sub(r"\b(main|now)\(", rf"\1_{number}(", source))
    path = tmp_path / "all.c"
    path.write_text("\n".join(sorted(sources, key=lambda source: "_GNU_SOURCE" not in source)))  # before any header
    done = subprocess.run(
        [*command, "-Wall", "-Werror", "-fsyntax-only", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["core dump", "munlockall", "munmap", "fork", "exit", "mremap move", "madvise unmergeable"])
def test_a_reproducer_of_an_offender_has_about_twenty_lines(name: str) -> None:
    call = CALLS[name]
    assert len(text(call, call.on("one page")).splitlines()) <= 23


def test_a_reproducer_runs_alone_and_tells_times(tmp_path: Path) -> None:
    command = compiler_of_the_machine()
    for name, layout in (("munmap", "one page"), ("exit", "rw"), ("madvise populate_write", "rw")):
        call = CALLS[name]
        path = tmp_path / "scan.c"
        path.write_text(text(call, call.on(layout)))
        subprocess.run([*command, "-O2", "-o", str(tmp_path / "scan"), str(path)], check=True)
        said = subprocess.run([str(tmp_path / "scan")], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
        assert re.fullmatch(rf"({layout}, +\d+ MiB: \d+\.\d{{6}} s\n){{7}}", said), said


def test_a_layout_without_a_span_has_no_reproducer() -> None:
    with pytest.raises(UsageError, match="varies pages"):
        text(CALLS["munmap"], LAYOUTS["pages"])


HARMLESS = [call for call in CALLS.values() if not call.only_in and not call.needs]


@pytest.mark.parametrize("call", HARMLESS, ids=lambda call: call.name)
def test_the_running_kernel_carries_every_call_out_on_every_layout_or_says_why_not(call: Call) -> None:
    """On the smallest size and a larger one; a call may be missing here, and memory may not be locked by this user."""
    machine = KernelMachine(kernel.find("host"))
    layouts = [call.on(name) for name in call.layouts if not machine.problem(call, call.on(name))]
    shots = [Shot(call, layouts[0], 0), *(Shot(call, one, size) for one in layouts for size in one.sizes[:2])]
    found = [outcome for _, outcome in machine.carry_out(shots)]
    assert len(found) == len(shots)
    if found[0].fate in ("absent", "refused"):
        return
    for (_, layout, size, _), outcome in zip(shots[1:], found[1:], strict=True):
        locked = "locked" in layout.name and outcome.fate in ("failed", "refused")
        assert outcome.fate == "done" or locked, (layout.name, size, outcome)
        assert locked or outcome.cost > 0


def test_a_core_dump_of_the_running_kernel_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not core_goes_to_a_file():
        pytest.skip("core files go to a program here")
    monkeypatch.chdir(tmp_path)
    call = CALLS["core dump"]
    programs = [program(call, call.on("one page"), 1 << 21)]
    ((*_, last),) = Host().run(programs, lambda hello: None, 60)
    assert last.died == 6 | 0x80  # SIGABRT, and a core was written
    assert [*tmp_path.iterdir()] == []
