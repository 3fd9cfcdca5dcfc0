"""The kernel command: the recorded answers, played by a guest, against the model's; bad input in one line."""

import argparse
import errno
import json
import os
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.commands import kernel_conform
from bench.errors import UsageError
from bench.kernels import images, selection
from bench.kernels.errors import EarlyEndError
from bench.kernels.protocol import Answer, Hello, Memory, Program, program
from bench.kernels.qemu import Qemu
from bench.kernels.selection import Selected, Thp, image_release, select, series_of
from bench.kernels.uml import Uml
from bench.traces.generate import MAX_TRACES, random_traces
from bench.traces.generate_all import all_ops_traces
from bench.traces.ops import Trace, op_name
from bench.traces.replay import RECORDED_RAM, replay
from bench.traces.trace_format import Memory as SeenMemory
from bench.traces.trace_format import Result, Step, load_results, load_traces
from mmmodel import Mm
from mmmodel.kernels import implementations
from support.progress_lines import said
from support.recordings import KERNELS

DATA = Path(__file__).resolve().parents[2] / "data" / "traces"
TRACES = DATA / "traces.jsonl"
ERRNO = {
    0: 0,
    "ENOMEM": -12,
    "EINVAL": -22,
    "EPERM": -1,
    "EAGAIN": -11,
    "EFAULT": -14,
    "EEXIST": -17,
    "EBUSY": -16,
    "EACCES": -13,
}


def answered(step: Step) -> Answer:
    """Return a recorded step as a guest's answer."""
    assert step.errno is not None and step.vmas is not None and step.pages is not None and step.locked_vm_kb is not None
    memory = {0: Memory(step.locked_vm_kb, step.vmas, step.pages)}
    return Answer(ERRNO[step.errno], 0, None, memory, step.vmstat or {})


class Recorded:
    """A kernel that answers as one did when it was recorded."""

    def __init__(self, version: str, change: Callable[[str, list[Answer]], None] = lambda name, got: None) -> None:
        self.results = [*load_results(DATA / f"linux-{version}.jsonl").by_name.values()]
        self.release = f"{version}.0-1-fake"
        self.change = change
        self.sees_pages = True
        self.programs = [program(trace) for trace in load_traces(TRACES).by_name.values()]

    def asked(self, programs: Sequence[Program]) -> list[Result]:
        """Return the results of the traces that these are: as many, from where those of the last guest end."""
        (first,) = (at for at in range(len(self.programs)) if self.programs[at : at + len(programs)] == programs)
        return self.results[first : first + len(programs)]

    def run(
        self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
    ) -> Generator[list[Answer], None, None]:
        """Answer the recorded traces that it is given."""
        hello(Hello(self.release, 1, self.sees_pages, True))
        for one in self.asked(programs):
            got = [answered(step) for step in one.steps]
            self.change(one.name, got)
            yield got


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Recorded], None]:
    """Have `--on` give a kernel that is played."""

    def use(guest: Recorded) -> None:
        def chosen(word: str, thp: Thp | None, kvm: bool) -> Selected:
            return Selected(word, guest.release, guest, thp or "never", None)

        monkeypatch.setattr(kernel_conform, "select", chosen)

    return use


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run the command; of standard error without the lines of progress, which a slow machine has."""
    code = main(["kernel", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, "".join(line + "\n" for line in said(err))


@pytest.mark.parametrize(("version", "impl"), [(name.removeprefix("linux-"), impl) for name, impl in KERNELS.items()])
def test_a_kernel_that_does_as_the_model(
    version: str, impl: str, play: Callable[[Recorded], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play(Recorded(version))
    code, out, err = run(capsys, "conform", TRACES, "--on", version, "--record", tmp_path / "record.json")
    assert (code, out) == (0, "")
    assert err == f"unlockall-bench: {version}.0-1-fake against {impl}: 40 traces, 770 steps, 0 differences\n"
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["kernel"], record["release"], record["implementation"]) == (version, f"{version}.0-1-fake", impl)
    assert (record["nr_traces"], record["nr_steps"], record["nr_differences"]) == (40, 770, 0)
    recorded = [step for one in load_results(DATA / f"linux-{version}.jsonl").by_name.values() for step in one.steps]
    assert record["compared"]["pages"] == 770
    assert record["compared"]["vmstat"] == sum(step.vmstat is not None for step in recorded) < 770
    assert record["traces"]["file"] == "traces.jsonl"


def plant(field: str, value: Any) -> Callable[[str, list[Answer]], None]:
    """Change a field of the third step of the first trace."""
    first = next(iter(load_traces(TRACES).by_name))

    def change(name: str, got: list[Answer]) -> None:
        if name == first:
            one = got[2]
            if field in Memory._fields:
                one.memory[0] = one.memory[0]._replace(**{field: value})
            else:
                setattr(one, field, value)

    return change


PLANTED: list[tuple[str, Any, str]] = [
    ("result", -16, "errno"),
    ("locked_kb", -1, "locked_vm_kb"),
    ("vmas", [("0x1", "0x2", "rw-p", True, 0, 0)], "vmas"),
    ("pages", [(0, 1, "PX")], "pages"),
    ("vmstat", {"nr_mlock": 77}, "vmstat"),
]


@pytest.mark.parametrize(("what", "value", "field"), PLANTED, ids=lambda one: str(one)[:12])
def test_each_difference_is_printed(
    what: str, value: object, field: str, play: Callable[[Recorded], None], capsys: pytest.CaptureFixture[str]
) -> None:
    play(Recorded("6.1", plant(what, value)))
    code, out, err = run(capsys, "conform", TRACES, "--on", "6.1")
    assert code == 1
    (line,) = map(json.loads, out.splitlines())
    assert (line["step"], line["field"]) == (2, field)
    assert {"trace", "op", "expected", "got"} <= set(line)
    told, hint = err.splitlines()
    assert told.endswith("770 steps, 1 differences")
    assert "--shrink DIRECTORY" in hint


def answered_by_the_model(trace: Trace) -> Iterator[Answer]:
    """Yield a trace's steps as a guest would have answered them."""
    for step in replay(Mm("page-walk", ram=RECORDED_RAM), trace):
        first = {} if step.vmas is None else {0: SeenMemory(step.locked_vm_kb, step.vmas, step.pages)}
        seen = {**first, **(step.others or {})}
        memory = {who: Memory(one.locked_vm_kb or 0, one.vmas or [], one.pages or []) for who, one in seen.items()}
        result = next(number for number, name in errno.errorcode.items() if name == step.errno) if step.errno else 0
        yield Answer(-result, 0, None, memory, step.vmstat or {})


def test_other_processes_are_compared(
    play: Callable[[Recorded], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [*all_ops_traces(8, 12).values()]
    number = next(i for i, trace in enumerate(made) if trace.forks)

    class Forking(Recorded):
        planted = False

        def run(
            self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
        ) -> Generator[list[Answer], None, None]:
            hello(Hello(self.release, 1, True, True))
            for i, trace in enumerate(made):
                got = [*answered_by_the_model(trace)]
                if self.planted and i == number:
                    step = next(one for one in got if 1 in one.memory)
                    step.memory[1] = step.memory[1]._replace(locked_kb=77)
                yield got

    guest = Forking("6.1")
    play(guest)
    words = ("conform", "--on", "6.1", "--random", len(made), "--seed", 8, "--record", tmp_path / "record.json")
    assert run(capsys, *words)[:2] == (0, "")
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["traces"] == {"random": len(made), "seed": 8, "ops": "all"}
    assert 0 < record["compared"]["others"] < record["nr_steps"]
    guest.planted = True
    code, out, _ = run(capsys, *words)
    assert code == 1
    (line,) = map(json.loads, out.splitlines())
    assert (line["trace"], line["field"], line["expected"]) == (made[number].name, "others[1].locked_vm_kb", 77)


def test_a_field_that_the_kernel_does_not_show_is_not_compared_and_named(
    play: Callable[[Recorded], None], capsys: pytest.CaptureFixture[str]
) -> None:
    guest = Recorded("6.1", plant("pages", [(0, 1, "PX")]))
    guest.sees_pages = False
    play(guest)
    code, out, err = run(capsys, "conform", TRACES, "--on", "6.1")
    assert (code, out) == (0, "")
    assert err.endswith("0 differences; not compared: pages\n")


def test_a_guest_that_fails_loses_one_trace(play: Callable[[Recorded], None], capsys: pytest.CaptureFixture[str]) -> None:
    planted = plant("result", -16)
    names: list[str] = []

    def change(name: str, got: list[Answer]) -> None:
        planted(name, got)
        names.append(name)
        if len(names) == 3:
            raise EarlyEndError("the guest ended after 2 of 40 traces", ("Kernel panic - not syncing",))

    play(Recorded("6.1", change))
    code, out, err = run(capsys, "conform", TRACES, "--on", "6.1")
    assert code == 3
    assert len(out.splitlines()) == 1
    assert names == [*load_traces(TRACES).by_name]
    told, _, lost = err.splitlines()
    assert "against page-walk: 39 traces, " in told
    failure = "the guest ended after 2 of 40 traces; its console: Kernel panic - not syncing"
    assert lost == f"unlockall-bench: trace {names[2]} was not finished: {failure}"


def test_what_a_kernel_answered_before_it_crashed_is_compared(
    play: Callable[[Recorded], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = plant("result", -16)  # of the third step
    first = next(iter(load_traces(TRACES).by_name))

    def change(name: str, got: list[Answer]) -> None:
        planted(name, got)
        if name == first:
            console = ("BUG: kernel NULL pointer dereference", "and so on")
            raise EarlyEndError("the guest ended after 0 of 40 traces", console, got[:3])

    play(Recorded("6.1", change))
    code, out, err = run(capsys, "conform", TRACES, "--on", "6.1", "--record", tmp_path / "record.json")
    assert code == 3
    (line,) = map(json.loads, out.splitlines())
    assert (line["trace"], line["step"], line["field"]) == (first, 2, "errno")
    told, _, lost = err.splitlines()
    assert "against page-walk: 39 traces and the beginnings of 1, " in told
    op = load_traces(TRACES).by_name[first].ops[3]
    assert f"trace {first} ended the kernel at ops[3], {op_name(op)}: the guest ended after 0 of 40 traces" in lost
    (crash,) = json.loads((tmp_path / "record.json").read_text())["crashes"]
    assert (crash["trace"], crash["step"], crash["op"]["op"]) == (first, 3, op_name(op))
    assert crash["console"] == ["BUG: kernel NULL pointer dereference"]


def test_a_guest_that_does_not_come_up_ends_it(play: Callable[[Recorded], None], capsys: pytest.CaptureFixture[str]) -> None:
    class Dead(Recorded):
        def run(
            self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
        ) -> Generator[list[Answer], None, None]:
            yield from self.nothing()

        def nothing(self) -> list[list[Answer]]:
            raise EarlyEndError("the guest ended after 0 of 40 traces")

    play(Dead("6.1"))
    code, out, err = run(capsys, "conform", TRACES, "--on", "6.1")
    assert (code, out) == (3, "")
    assert err == "unlockall-bench: the guest ended after 0 of 40 traces\n"


def test_a_guest_that_leaves_steps_out(play: Callable[[Recorded], None], capsys: pytest.CaptureFixture[str]) -> None:
    def shorten(name: str, got: list[Answer]) -> None:
        del got[-1]

    play(Recorded("6.1", shorten))
    code, _, err = run(capsys, "conform", TRACES, "--on", "6.1")
    assert code == 3
    assert "the guest answered" in err


def test_a_kernel_between_those_that_are_modelled(play: Callable[[Recorded], None], capsys: pytest.CaptureFixture[str]) -> None:
    guest = Recorded("6.12")
    guest.release = "6.18.5"
    play(guest)
    code, _, err = run(capsys, "conform", TRACES, "--on", "host")
    assert code == 0
    newest = implementations()[-1]
    assert f"no implementation models 6.18.5: held against {newest.name}, which models {newest.kernel.name}\n" in err
    guest.release = "4.19.0"
    code, _, err = run(capsys, "conform", TRACES, "--on", "host")
    assert (code, err.count("\n")) == (2, 1)
    assert "choose one by --impl per-page, hole-skip, page-walk" in err


def image(path: Path, release: str) -> Path:
    """Write what looks like a kernel image from outside."""
    head = bytearray(0x1000)
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x20E, 0x600)
    path.write_bytes(head[:0x800] + f"{release} (builder) #1 SMP".encode() + b"\0")
    return path


def test_the_version_that_an_image_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = image(tmp_path / "bzImage", "6.1.0-50-cloud-amd64")
    assert image_release(built) == "6.1.0-50-cloud-amd64"
    assert select(str(built), None)[:2] == (str(built), "6.1.0-50-cloud-amd64")
    assert select(f"qemu:{built}", None)[:2] == (f"qemu:{built}", "6.1.0-50-cloud-amd64")
    place = images.images_directory() / "6.1.176"
    place.mkdir(parents=True)
    image(place / "vmlinuz", "6.1.0-50-cloud-amd64")
    chosen = select("6.1", "always")
    assert chosen.thp == "always"
    assert isinstance(chosen.kernel, Qemu)
    assert "norandmaps" in chosen.kernel.command_line
    assert [path.rpartition("/")[2] for path in chosen.kernel.settings] == ["scan_sleep_millisecs"]
    assert select("6.1", None)[0] == "6.1.176"


@pytest.mark.parametrize(("release", "series"), [("6.1.0-50-cloud", (6, 1)), ("5.10", (5, 10)), ("6.12+deb13", (6, 12))])
def test_series(release: str, series: tuple[int, int]) -> None:
    assert series_of(release) == series


@pytest.mark.parametrize("release", ["", "6", "x.1", "6.x"])
def test_no_series(release: str) -> None:
    with pytest.raises(UsageError, match="no version of Linux"):
        series_of(release)


def test_the_running_kernel_has_huge_pages_as_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tmp_path / "enabled"
    monkeypatch.setattr(selection, "_THP_OF_HOST", setting)
    assert select("host", None).thp == "never"
    setting.write_text("[always] madvise never\n")
    chosen = select("host", None)
    assert (chosen.thp, chosen.release) == ("always", os.uname().release)
    with pytest.raises(UsageError, match="--thp never: this machine runs with --thp always"):
        select("host", "never")
    setting.write_text("always [madvise] never\n")
    assert select("host", "never").thp == "never"


def test_the_running_kernel_carries_out_traces(capsys: pytest.CaptureFixture[str]) -> None:
    for made, words in ((all_ops_traces, ()), (all_ops_traces, ("--ops", "all")), (random_traces, ("--ops", "basic"))):
        code, out, err = run(capsys, "conform", "--on", "host", "--random", 5, "--seed", 3, *words)
        assert code == bool(out)  # whatever kernel that is
        assert f"5 traces, {sum(len(one.ops) for one in made(3, 5).values())} steps" in err


WRONG = [
    ([], "the following arguments are required: ACTION"),
    (["fetch"], "the following arguments are required: VERSION"),
    (["fetch", "5.10", "../6.1"], "no release of Debian is known to have kernel ../6.1; known are 5.10, 6.1, 6.12, 7"),
    (["remove"], "invalid choice: 'remove' (choose from"),
    (["conform", "--random", "3"], "the following arguments are required: --on"),
    (["conform", "--on", "6.1"], "give a file of traces, or --random N"),
    (["conform", "--on", "6.1", "x.jsonl", "--random", "3"], "give a file of traces, or --random N"),
    (["conform", "--on", "6.1", "--random", "0"], "--random 0: 1 to 50,000 traces"),
    (["conform", "--on", "6.1", "--random", "3"], "kernel 6.1 is not in the cache: unlockall-bench kernel fetch 6.1"),
    (["conform", "--on", "nosuch", "--random", "3"], "no kernel 'nosuch': give host, a version such as 5.10, "),
    (["conform", "--on", "/dev/null", "--random", "3"], "no kernel '/dev/null': give host"),
    (["conform", "--on", "uml:/nosuch", "--random", "3"], "no kernel 'uml:/nosuch': give host"),
    (["conform", "--on", "qemu:", "--random", "3"], "no kernel 'qemu:': give host"),
    (["conform", "--on", "qemu:/dev/null", "--random", "3"], "no kernel 'qemu:/dev/null': give host"),
    (["conform", "--on", "vm:/bin/sh", "--random", "3"], "no kernel 'vm:/bin/sh': give host"),
    (["conform", "--on", "qemu:/bin/sh", "--random", "3"], "/bin/sh is no kernel image for x86-64"),
    (["conform", "--on", "uml:/bin/sh", "--random", "3"], "/bin/sh is no user-mode Linux"),
    (["conform", "--on", "uml-6.12", "--random", "3"], "kernel uml-6.12 is not in the cache: unlockall-bench kernel fetch"),
    (["conform", "--on", "uml-5.10", "--random", "3", "--jobs", "0"], "kernel uml-5.10 is not in the cache"),
    (["conform", "--on", "qemu:KERNEL", "--random", "3", "--jobs", "0"], "--jobs 0: 1 to 256 guests at once"),
    (["conform", "--on", "host", "--random", "3", "--impl", "fast"], "unknown implementation 'fast'; known are per-page, "),
    (["conform", "--on", "host", "--random", "3", "--thp", "some"], "argument --thp: invalid choice"),
    (["conform", "--on", "host", "--random", "3", "--ops", "old"], "argument --ops: invalid choice"),
    (["conform", "--on", "host", "/nosuch.jsonl", "--ops", "all"], "--ops is for --random"),
    (["conform", "--on", "host", "/nosuch.jsonl"], "cannot read trace file /nosuch.jsonl"),
    (["conform", "--on", "host", "--random", "3", "--mthp", "2MiB"], "--mthp 2MiB: sizes of large folios are 16KiB, 32KiB, "),
    (["conform", "--on", "host", "--random", "3", "--mthp", "64KiB"], "--mthp: host is not set by its guest; give a kernel"),
    (["conform", "--on", "qemu:KERNEL", "--random", "3", "--mthp", "64KiB"], "is older than Linux 6.8, the first with large"),
    (
        ["conform", "--on", "host", "--random", "3", "--record", "/nosuch/x.json"],
        "there is no directory /nosuch to write x.json to",
    ),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=lambda one: " ".join(one) if isinstance(one, list) else "")
def test_wrong_requests_end_in_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernel_image = image(tmp_path / "bzImage", "6.1.0")
    code, out, err = run(capsys, *(word.replace("KERNEL", str(kernel_image)) for word in words))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_file_that_is_no_kernel_and_a_user_mode_linux_with_huge_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "file").write_text("text")
    code, _, err = run(capsys, "conform", "--on", tmp_path / "file", "--random", "3")
    assert code == 2
    assert "is no kernel image for x86-64" in err
    binary = images.images_directory() / "uml-5.10" / "linux.uml"
    binary.parent.mkdir(parents=True)
    binary.write_bytes(b"\0Linux version 5.10.46 (builder)")
    chosen = select(f"uml:{binary}", None)
    assert chosen[:2] == (f"uml:{binary}", "5.10.46")
    assert isinstance(chosen.kernel, Uml)
    code, _, err = run(capsys, "conform", "--on", f"uml:{tmp_path / 'file'}", "--random", "3")
    assert code == 2
    assert "is no user-mode Linux" in err
    code, _, err = run(capsys, "conform", "--on", "uml-5.10", "--random", "3", "--thp", "always")
    assert code == 2
    assert "has no huge pages: only --thp never" in err


def test_list_doctor_and_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code, out, err = run(capsys, "list")
    assert (code, out) == (0, "")
    assert err == "unlockall-bench: no kernel is in the cache: unlockall-bench kernel fetch 5.10 6.1\n"
    place = images.images_directory() / "6.1.176"

    def fetched(word: str, show: bool, say: Callable[[str], None]) -> images.Image:
        say(f"fetching {word}")
        place.mkdir(parents=True)
        return images.Image("6.1.176", image(place / "vmlinuz", "6.1.0"))

    monkeypatch.setattr(images, "fetch", fetched)
    code, out, err = run(capsys, "fetch", "6.1")
    assert (code, out, err) == (0, f"6.1.176 {place / 'vmlinuz'}\n", "unlockall-bench: fetching 6.1\n")
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert "6.1.176" in out and "QEMU" in out
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    assert "kernel 6.1.176: " in out
    assert "KVM: " in out


def test_the_played_answers_are_the_recorded_ones() -> None:
    one = next(iter(load_results(DATA / "linux-6.1.jsonl").by_name.values()))
    assert isinstance(one, Result)
    assert [answered(step).errno for step in one.steps] == [step.errno for step in one.steps]


def test_as_few_and_as_many_random_traces_as_may_be() -> None:
    def asked(number: int) -> argparse.Namespace:
        return argparse.Namespace(file=None, random=number, seed=0, ops="basic", mthp=None)

    traces, origin = kernel_conform._traces(asked(1))
    assert len(traces.by_name) == origin["random"] == 1
    for number in (0, MAX_TRACES + 1):
        with pytest.raises(UsageError, match=f"--random {number}: 1 to "):
            kernel_conform._traces(asked(number))
