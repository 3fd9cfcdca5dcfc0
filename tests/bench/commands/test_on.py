"""Real kernels beside the model in the commands: on the running kernel as it is, on others by guests that answer as told."""

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyperf
import pytest

from bench.__main__ import main
from bench.commands import report, run_kernels, sweep
from bench.errors import UsageError
from bench.kernels import images
from bench.kernels.errors import EarlyEndError, MissingError
from bench.kernels.protocol import Answer, Program
from bench.kernels.qemu import PROGRAM_NAME
from bench.kernels.uml import check_binary
from bench.measuring import kernel_points
from bench.measuring.kernel_points import Asked
from bench.runs import kernel_record, loading, storage
from bench.targets import registry
from bench.targets import selection as targets
from support import kept, real
from support.progress_lines import said

BRIEF = ("--processes", "1", "--values", "2")
GROUP = "munlockall/report/16MiB"


class ParserAlone:
    """Pyperf's part of the command where it has nothing to time, since there is one runner in a process."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Return the options of the command itself, and pyperf's as they are where none is given."""
        plain = dict.fromkeys([*run_kernels.REFUSED, "output", "append", "plan", "inherit_environ"])
        plain |= dict.fromkeys(["worker", "quiet", "debug_single_value", "fast", "rigorous"], False)
        return self._parser.parse_args(argv, argparse.Namespace(**plain))


@pytest.fixture
def two_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have 5.10 and 6.1 under QEMU: the old one executes 100 instructions a page, the new one 2,000 whatever the span."""
    found = {"5.10": real.qemu("5.10.262"), "6.1": real.qemu("6.1.192")}
    known = registry.find
    monkeypatch.setattr(registry, "find", lambda word: found.get(word) or known(word))
    monkeypatch.setattr(kernel_points, "at_once", lambda: 1)

    def answer_of(image: str) -> real.Answering:
        def answer(program: Program) -> list[Answer]:
            reserved = [int(one.split()[4], 16) for one in program.orders if one.startswith("c 0 9 ")]
            costs = [span // 4096 * 100 if image.startswith("5.10") else 2000 for span in reserved]
            return real.all_well(program, 1000 + sum(costs))

        return answer

    real.answering(monkeypatch, real.all_well, by_image=answer_of)


def command(tmp_path: Path, *words: str) -> int:
    return main([*words, "--results", str(tmp_path / "results")])


def the_run(tmp_path: Path) -> Path:
    """Return the only run, which nothing stands beside."""
    (directory,) = (tmp_path / "results").iterdir()
    return directory


def test_a_report_of_the_model_and_the_running_kernel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("report", "report", "--size", "4MiB", "--on", "host", "--on", "page-walk", *BRIEF)  # that any user may lock
    assert command(tmp_path, *words) == 0
    out, err = capsys.readouterr()
    assert said(err) == []
    rows = [line.split() for line in out.splitlines() if re.match(r"\S*\s+(host|page-walk)\s", line)]
    assert [row[-6 if "running" in row else 1] for row in rows] and "running here" in out and "model" in out
    assert out.index(" host ") < out.index(" page-walk ")  # in the order in which they were named
    assert "measured on real kernels: host took" in " ".join(out.split())
    run = loading.load_path(the_run(tmp_path))
    group = "munlockall/report/4MiB"
    assert set(run.points) == {f"{group}/host", f"{group}/page-walk"}
    assert [len(one.values) for one in run.points[f"{group}/host"].processes] == [2]
    assert (the_run(tmp_path) / "figures" / "report.svg").is_file()


def test_a_report_of_models_and_kernels_tells_measured_and_modelled_ratios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], two_kernels: None
) -> None:
    on = [word for one in ("per-page", "5.10", "page-walk", "6.1") for word in ("--on", one)]
    assert command(tmp_path, "report", "report", "--size", "16MiB", *on, *BRIEF, "--wide") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "measured on real kernels: 5.10.262 took 409,600 instructions (QEMU); 6.1.192 took 2,000 instructions" in out
    assert re.search(
        r"5\.10\.262 took 205 times what 6\.1\.192 took; the model predicted [\d.,]+ times \(per-page against page", out
    )
    assert "100 instr." in out  # per page
    content = kernel_record.load_instructions(the_run(tmp_path) / storage.INSTRUCTIONS_FILE)
    assert [(one.name, one.starts) for one in content.points] == [
        (f"{GROUP}/5.10.262", ((409600, 409600),)),
        (f"{GROUP}/6.1.192", ((2000, 2000),)),
    ]
    assert content.kernels[0].release == "5.10.262-fake" and content.kernels[0].image == "f" * 64
    counted = storage.load_counters(the_run(tmp_path) / storage.COUNTERS_FILE)
    assert {one.point.implementation for one in counted.points} == {"per-page", "page-walk"}


def test_the_program_of_the_report_is_left_to_the_model(two_kernels: None) -> None:
    request = report.read_request(["--on", "6.1", "--on", "page-walk"])
    assert [one.name for one in request.groups] == ["report", "report", "report", "layout"]
    assert {one.scenario.name for one in request.kernel_points["6.1.192"]} == {"report"}
    assert [one.name for one in report.read_request(["--on", "6.1"]).groups] == ["report"] * 3
    asked = report.read_request(["--on", "6.1", "--layout", "redis7"])
    assert {one.scenario.name for one in asked.kernel_points["6.1.192"]} == {"layout"}


def test_without_on_nothing_is_real() -> None:
    assert report.read_request([]).chosen.kernels == () and not report.read_request([]).kernel_points


def test_a_span_that_a_kernel_has_no_room_for_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "find", lambda word: real.uml())
    for words in (["report"], ["run", "report"], ["sweep", "--span", "512GiB", "--populate", "none"]):
        assert command(tmp_path, *words, "--on", "uml-5.10") == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1
        assert "cannot be measured on uml-5.10: a user-mode Linux has room for spans up to 256 GiB (--size)" in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_guest_that_fails_is_one_line_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, two_kernels: None
) -> None:
    def dies(program: Program) -> list[Answer]:
        raise EarlyEndError("the guest ended", ("Kernel panic - not syncing",))

    real.answering(monkeypatch, dies)
    words = ("report", "report", "--size", "16MiB", "--on", "page-walk", "--on", "6.1", *BRIEF)
    assert command(tmp_path, *words) == 3
    out, err = capsys.readouterr()
    note, line = said(err)
    assert out == "" and "kept for the same command: 1 of 1 points, and 0 results of real kernels" in note
    assert line == "unlockall-bench: 6.1.192 (QEMU): the guest ended; its console: Kernel panic - not syncing"
    real.answering(monkeypatch, lambda program: real.all_well(program, 10 * len(program.orders)))
    assert command(tmp_path, *words) == 0
    assert "finished before: 1 of 1 points are counted, 1 are timed" in capsys.readouterr().err


def test_run_keeps_what_came_before_a_guest_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, two_kernels: None
) -> None:
    def answer_of(image: str) -> real.Answering:
        def answer(program: Program) -> list[Answer]:
            if image.startswith("6.1"):
                raise EarlyEndError("the guest ended", ("Kernel panic - not syncing",))
            return real.all_well(program, 10 * len(program.orders))

        return answer

    real.answering(monkeypatch, real.all_well, by_image=answer_of)
    monkeypatch.setattr("bench.measuring.timing.PyperfProgram", ParserAlone)
    assert command(tmp_path, "run", "report", "--size", "16MiB", "--on", "5.10", "--on", "6.1") == 3
    out, err = capsys.readouterr()
    assert "munlockall/report/16MiB/5.10.262: 10 instructions" in out
    assert "6.1.192 (QEMU): the guest ended; its console: Kernel panic" in err
    assert err.rstrip().endswith(f"what was measured before is kept in {the_run(tmp_path)}")
    assert list(loading.load_path(the_run(tmp_path)).points) == [f"{GROUP}/5.10.262"]


def test_pyperf_options_that_kernels_cannot_keep_are_refused(two_kernels: None) -> None:
    def asked(*words: str, on: str = "host", **options: object) -> Asked:
        plain: dict[str, object] = dict.fromkeys([*run_kernels.REFUSED, "output", "append"])
        plain |= {"debug_single_value": False, "fast": False, "rigorous": False, "processes": 20, "values": 3, "warmups": 1}
        return run_kernels.asked(argparse.Namespace(**{**plain, **options}), words, targets.chosen([on], []).kernels)

    assert asked() == Asked()  # pyperf's own twenty processes are for processes
    assert asked("-p20", "--values=3", processes=20, values=3) == Asked(20, 3)
    assert asked("-w", "0", warmups=0) == Asked(warmups=0)
    assert asked("--fast", fast=True) == Asked(factor=0.5)
    assert asked("--debug-single-value", debug_single_value=True) == Asked(1, 1, 0)
    with pytest.raises(UsageError, match=r"--affinity is not for real kernels \(host\)"):
        asked(affinity="0")
    with pytest.raises(UsageError, match=r"instructions, which 6\.1\.192 is measured in, have no place in a pyperf file"):
        asked(on="6.1", output="x.json")
    assert asked(output="x.json") == Asked()


def test_other_options_of_workers_are_said_to_be_the_models(capsys: pytest.CaptureFixture[str], two_kernels: None) -> None:
    args = argparse.Namespace(debug_single_value=False, fast=False, rigorous=False, output=None, append=None)
    run_kernels.asked(args, ["-l5", "--min-time=1"], targets.chosen(["host"], []).kernels)
    assert capsys.readouterr().err == "unlockall-bench: -l5, --min-time: of the model alone, not of real kernels\n"


def test_times_of_another_kernel_are_not_added_to_a_file() -> None:
    (old,) = kernel_record.benchmarks([real.cost("host", (1.0,))])
    name = old.get_name()
    run_kernels.refuse_mixtures_with({name: old}, [old])
    run_kernels.refuse_mixtures_with({}, [old])
    metadata = old.get_runs()[0].get_metadata() | {storage.PREFIX + "kernel": "7.0"}
    other = pyperf.Benchmark([pyperf.Run([1.0], metadata=metadata, collect_metadata=False)])
    with pytest.raises(UsageError, match=f"--append would mix runs of {name} whose kernel differs"):
        run_kernels.refuse_mixtures_with({name: old}, [other])


def test_a_sweep_has_kernels_as_a_dimension(tmp_path: Path, capsys: pytest.CaptureFixture[str], two_kernels: None) -> None:
    words = ("sweep", "--span", "4MiB,16MiB,64MiB", "--populate", "none", "--on", "5.10", "--on", "page-walk", *BRIEF)
    assert command(tmp_path, *words) == 0
    out = capsys.readouterr().out
    assert out.count("5.10.262") == out.count("page-walk") == 3
    assert sorted(path.name for path in the_run(tmp_path).iterdir()) == [*sorted(storage.RUN_FILES)]
    line = kernel_record.load_instructions(the_run(tmp_path) / storage.INSTRUCTIONS_FILE).command
    assert "--on 5.10.262 --on page-walk" in line and "--impl" not in line
    assert main(["table", str(the_run(tmp_path)), "--instructions"]) == 0
    out = capsys.readouterr().out
    assert "1.000" in out and "k (instructions)" in out  # 100 instructions a page
    with pytest.raises(UsageError, match=r"--counters-only is of the model: 5\.10\.262"):
        sweep.read_request(sweep._parse(["--on", "5.10", "--counters-only"]))


def made_up(tmp_path: Path) -> Path:
    """Write a run of two models and of kernels that ran in three ways."""
    directory = kept.write_curve(tmp_path / "run")
    costs = [real.cost(name, (one * 100 if "5.10" in name else 2000,), span=one * 4096, scenario="report")
             for name in ("5.10", "6.1") for one in (16384, 65536, 262144)]  # fmt: skip
    times = [real.cost(name, *((seconds,) for _ in range(3))) for name, seconds in (("host", 1e-6), ("uml-5.10", 1e-3))]
    wall = list(storage.load_wall(directory / storage.WALL_FILE).values())
    kernel_record.save(directory, "python -m bench made-up", kept.MACHINE, wall, [*costs, *times])
    return directory


def test_a_table_keeps_models_and_ways_of_running_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(made_up(tmp_path))]) == 0
    counters, times, instructions, scaling = re.split(r"\n\n(?=\S.*\n(?:.*\n)?what)", capsys.readouterr().out)
    assert "host" not in counters and "5.10" not in counters
    assert "user-mode Linux" in times and "running here" in times and "QEMU" not in times
    assert "QEMU" in instructions and "page-walk" not in instructions
    assert "k (instructions)" in scaling


def test_csv_has_the_numbers_of_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(made_up(tmp_path)), "--format", "csv", "--on", "6.1", "--on", "5.10"]) == 0
    head, *rows = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    found = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(one["runs_as"], one["instructions"]) for one in found[:3]] == [
        ("QEMU", "1638400"),
        ("QEMU", "6553600"),
        ("QEMU", "26214400"),
    ]
    assert [float(one["instructions_fewer"]) for one in found[3:]] == [819.2, 3276.8, 13107.2]


def test_two_targets_of_one_run_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(made_up(tmp_path))
    assert main(["compare", run, "--on-a", "5.10", "--on-b", "6.1"]) == 0
    out = capsys.readouterr().out
    assert "1,638,400" in out and "2,000" in out and "3 compared" in out
    assert main(["compare", run, "--on-a", "page-walk", "--on-b", "host"]) == 2
    assert "page-walk (a model) and host (running here) were not measured in the same way" in capsys.readouterr().err
    assert main(["compare", run, "--on-a", "5.10"]) == 2
    assert "--on-a and --on-b belong together" in capsys.readouterr().err
    assert main(["compare", run]) == 2
    assert "give the new run" in capsys.readouterr().err


def test_figures_of_a_run_with_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_up(tmp_path)
    assert main(["plot", str(run), "--plots", str(tmp_path / "plots")]) == 0
    assert "report.svg" in capsys.readouterr().out
    text = (tmp_path / "plots" / "index.html").read_text()
    assert "Linux 5.10, instructions (QEMU)" in text and "uml-5.10 (Linux 5.10.7), time (user-mode Linux)" in text
    assert main(["plot", str(run), "--on", "6.1"]) == 2
    assert "say by --plots where" in capsys.readouterr().err
    assert main(["plot", str(run), "--on", "6.1", "--on", "uml-5.10", "--plots", str(tmp_path / "some")]) == 0
    text = (tmp_path / "some" / "index.html").read_text()
    assert "Linux 6.1, instructions (QEMU)" in text and "5.10, instructions" not in text


def test_kernels_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "Real kernels (--on" in out and "running here: time" in out


@pytest.mark.skipif(shutil.which(PROGRAM_NAME) is None, reason="QEMU is not installed")
def test_a_booted_kernel_executes_the_same_instructions_whatever_the_span(tmp_path: Path) -> None:
    try:
        image = images.find("6.1")
    except MissingError as error:
        pytest.skip(str(error))
    assert command(tmp_path, "report", "report", "--size", "1GiB", "--size", "64GiB", "--on", "6.1", *BRIEF) == 0
    run = loading.load_path(the_run(tmp_path))
    small, large = (run.points[f"munlockall/report/{size}/{image.word}"] for size in ("1GiB", "64GiB"))
    assert run.kernels[image.word].release.startswith("6.1.") and "QEMU" in run.kernels[image.word].emulator
    every = [*small.all_instructions, *large.all_instructions]
    assert len(every) == 4 and max(every) < 1.01 * min(every)


@pytest.mark.parametrize("word", ["uml-5.10", "uml-6.1"])
def test_a_user_mode_linux_is_timed(tmp_path: Path, word: str) -> None:
    try:
        check_binary(images.find(word).path)
    except MissingError as error:
        pytest.skip(str(error))
    assert command(tmp_path, "report", "report", "--size", "1GiB", "--on", word, *BRIEF) == 0
    run = loading.load_path(the_run(tmp_path))
    (point,) = run.points.values()
    assert [len(one.values) for one in point.processes] == [2]
    assert run.kernels[point.implementation].runs_as == "user-mode Linux"
