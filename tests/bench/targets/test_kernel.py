"""Real kernels as targets: what they are called, what they can carry out, and on what machines."""

import struct
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.kernels import selection
from bench.kernels.qemu import Qemu
from bench.kernels.uml import Uml
from bench.targets import kernel
from bench.workloads.scenario import SCENARIOS, GiB, MiB, Point, TiB
from bench.workloads.selection import layout_scenario
from support import real


def image(path: Path, release: str = "6.12.7-mine") -> Path:
    """Write what begins as a kernel image for x86 does."""
    data = bytearray(4096)
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x400)
    data[0x600 : 0x600 + len(release) + 1] = release.encode() + b" "
    path.write_bytes(data)
    return path


def test_a_kernel_of_ones_own_has_its_files_name_and_digest(tmp_path: Path) -> None:
    path = image(tmp_path / "bzImage")
    plain, named = kernel.find(str(path)), kernel.find(f"qemu:{path}")
    assert plain.name == named.name and plain.name == f"bzImage-{plain.digest[:8]}"
    assert (plain.kernel, plain.unit, plain.runs_as) == ("6.12.7-mine", "instructions", "QEMU")
    image(path, "6.12.8-mine")
    kernel._digest_of.cache_clear()
    assert kernel.find(str(path)).name != plain.name  # other bytes are another kernel


def test_a_user_mode_linux_by_its_path_says_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "linux.uml"
    path.write_bytes(b"\0 Linux version 6.6.9-uml (me@here)")
    found = kernel.find(f"uml:{path}")
    assert (found.kernel, found.unit, found.runs_as) == ("6.6.9-uml", "seconds", "user-mode Linux")
    assert found.name == f"linux.uml-{found.digest[:8]}"
    path.write_bytes(b"no kernel")
    with pytest.raises(UsageError, match="is no user-mode Linux"):
        kernel.find(f"uml:{path}")
    with pytest.raises(UsageError, match="no kernel 'uml:/nonexistent'"):
        kernel.find("uml:/nonexistent")


@pytest.mark.parametrize(
    ("target", "scenario", "problem"),
    [
        (real.uml(), SCENARIOS["report"], r"report/2TiB cannot be measured on uml-5\.10: .* up to 256 GiB \(--size\)"),
        (real.uml(), SCENARIOS["report"].resized(1 << 50, 5), r"up to 256 GiB \(--size\)"),  # what comes first is said
        (real.uml(), SCENARIOS["thp"], "has no huge pages"),
        (real.uml(), layout_scenario("redis7"), "do not fit into the 512 GiB"),
        (real.host("never"), SCENARIOS["thp"], "runs with huge pages never, it needs always"),
        (real.host("always"), SCENARIOS["dense"], "runs with huge pages always, it needs never"),
        (real.qemu(), SCENARIOS["report"].resized(1 << 50, 5), "5 levels of page tables are not booted"),
    ],
)
def test_what_a_kernel_cannot_carry_out_is_refused(target: kernel.KernelTarget, scenario: object, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        target.check(Point(scenario, target.name))  # type: ignore[arg-type]


def test_what_a_kernel_can_carry_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    real.uml().check(Point(SCENARIOS["report"].resized(256 * GiB), "uml-5.10"))
    real.qemu().check(Point(SCENARIOS["report"].resized(100 * TiB), "6.1.192"))
    real.qemu().check(Point(SCENARIOS["thp"], "6.1.192"))
    real.host().check(Point(SCENARIOS["dense"], "host"))
    with pytest.raises(UsageError, match="touch is not measured on report"):
        real.qemu().check(Point(SCENARIOS["report"], "6.1.192", "touch"))


def test_a_core_dump_has_a_file_in_a_guests_memory_and_nowhere_else() -> None:
    point = Point(SCENARIOS["dense"].resized(256 * MiB), "x", "coredump")
    for target in (real.host(), real.uml()):
        with pytest.raises(UsageError, match="its file would lie on this machine"):
            target.check(point)
    real.qemu().check(point)
    unlocks = Point(point.scenario, "x")
    ((dumps, _),), ((other, _),) = (real.qemu().machines([one]) for one in (point, unlocks))
    assert isinstance(dumps, Qemu) and isinstance(other, Qemu)
    assert dumps.memory_mib >= other.memory_mib + 256  # the pages once more
    added = {**dumps.settings}.items() - {**other.settings}.items()
    assert added == {("/proc/sys/kernel/core_pattern", "/core")}
    small, large = (Point(SCENARIOS["one-page"].resized(span), "x", "coredump") for span in (GiB, TiB))
    assert real.qemu().expected_seconds(large) > 500 * real.qemu().expected_seconds(small) > 0


def test_an_old_kernel_takes_as_long_as_the_span_is() -> None:
    small, large = (Point(SCENARIOS["report"].resized(span), "x") for span in (GiB, TiB))
    old, new = real.qemu("5.10.262"), real.qemu("6.1.192")
    assert old.expected_seconds(large) > 100 * old.expected_seconds(small) > 0
    assert new.expected_seconds(large) == new.expected_seconds(small) == 0


def test_machines_differ_in_huge_pages_and_have_room_for_their_points() -> None:
    never, always = (Point(SCENARIOS[name], "6.1.192") for name in ("dense", "thp"))
    machines = real.qemu().machines([never, always])
    assert [points for _, points in machines] == [(always,), (never,)]
    for machine, _ in machines:
        assert isinstance(machine, Qemu) and machine.count_instructions
        assert machine.memory_mib > 1024 + 256  # a GiB of pages, and the rest
    assert [machine.thp for machine, _ in machines if isinstance(machine, Qemu)] == ["always", "never"]
    ((small, _),) = real.uml().machines([Point(SCENARIOS["dense"].resized(MiB), "uml-5.10")])
    assert isinstance(small, Uml) and small.memory_mib < 1024


def test_what_this_user_may_not_lock_is_refused_on_the_running_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("resource.getrlimit", lambda _: (8 * MiB, 8 * MiB))
    real.host().check(Point(SCENARIOS["report"].resized(7 * MiB), "host"))  # the guest program takes the other MiB
    with pytest.raises(UsageError, match=r"its 8 MiB get locked, and this user may lock 8 MiB \(ulimit -l\)"):
        real.host().check(Point(SCENARIOS["report"].resized(8 * MiB), "host"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    real.host().check(Point(SCENARIOS["report"], "host"))


def test_words_of_kernels() -> None:
    assert all(map(selection.is_kernel, ("host", "5.10", "uml-6.1", "uml:/x", "qemu:/x")))
    assert not any(map(selection.is_kernel, ("page-walk", "/nonexistent", "linux")))
