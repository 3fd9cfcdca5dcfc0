"""Every option of a command changes what is done, and nothing else: what would do the work is asked for what it was told."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

from bench import environment
from bench.__main__ import main
from bench.commands import COMMANDS, own_ideas, plot, replay, speed
from bench.errors import UsageError
from bench.gate import engine
from bench.gate.verdict import Finding
from bench.measuring import collect
from bench.runs import storage
from bench.tables import formats
from bench.targets import registry
from bench.workloads.scenario import Point
from bench.workloads.suite import SUITES, points_of
from mmmodel.kernels import IMPLEMENTATIONS
from support import kept

Told = dict[str, Any]
REGRESSION = Finding("counters", "x", "regression", "1 -> 2", {})


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Told]:
    """Return what a command line asks of what counts, times, judges or replays; nothing of that is done."""
    said: Told = {}

    def stop(**more: Any) -> NoReturn:
        said.update(more)
        raise UsageError("as far as that")

    def collected(
        request: collect.Request, parent: Path, progress: object, scheduler: str = "", fresh: bool = False, kernels: object = ()
    ) -> None:
        scenarios = {point.scenario for point in request.points}
        stop(
            points=sorted(point.name for point in request.points),
            levels={one.levels for one in scenarios},
            seeds={one.populate.seed for one in scenarios if one.populate.pattern == "random"},
            repetition=(request.policy.processes, request.policy.values),
            timed=request.timed,
            parent=parent.resolve(),
            scheduler=scheduler,
            fresh=fresh,
            plots=(tmp_path / "plots").is_dir(),
        )

    def judged(request: engine.Request, progress: object) -> engine.Outcome:
        names = ("expectation", "suite", "parts", "base", "rounds", "seed", "accept")
        said.update({name: getattr(request, name) for name in names}, tolerance=request.rule.tolerance)
        return engine.Outcome([REGRESSION], {})

    def accepted(request: engine.Request, progress: object) -> tuple[list[Any], str]:
        judged(request, progress)
        return [], ""

    def replayed(traces: Any, runners: Any, results: Any, *, random: bool) -> int:
        settings = {runner._settings for runner in runners}
        names, ops = [*traces.by_name], {type(op).__name__ for trace in traces.by_name.values() for op in trace.ops}
        (one,) = settings
        stop(
            traces=names,
            forks="Fork" in ops,
            runners=[runner.name for runner in runners],
            thp=one.thp,
            ram=one.ram,
            results=results and len(results.by_name),
            random=random,
        )

    def loaded(names: object, progress: object, asked: object = (), counterexample: Path | None = None) -> None:
        said.update(counterexample=counterexample and counterexample.resolve())

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_ideas, "load", loaded)
    monkeypatch.setattr(environment, "base_directory", lambda: tmp_path)
    monkeypatch.setattr(registry, "load", lambda *_: None)
    monkeypatch.setattr(collect, "collected", collected)
    monkeypatch.setattr(engine, "measure_and_judge", judged)
    monkeypatch.setattr(engine, "accept", accepted)
    monkeypatch.setattr(replay, "_run", replayed)
    monkeypatch.setattr(formats, "show", lambda page, form="terminal", *, wide=False: said.update(wide=wide))

    def run(words: list[str]) -> Told:
        said.clear()
        main(words)
        assert said
        files = {path.name for path in tmp_path.iterdir() if path.is_file()}
        return {**said, "files": files}

    return run


def names(*groups: str, implementations: tuple[str, ...] = IMPLEMENTATIONS) -> list[str]:
    """Return the names of points, sorted."""
    return sorted(f"{group}/{one}" for group in groups for one in implementations)


def of_suite(name: str) -> list[str]:
    return sorted(point.name for point in points_of(SUITES[name]))


class Case(NamedTuple):
    """Words that are added to a command's, and what then differs; a Path is of the directory where the command runs."""

    command: str
    words: tuple[str, ...]
    differs: Told


BASE = {
    "gate": (),
    "sweep": ("--span", "1MiB", "--populate", "64KiB"),
    "reference": ("--suite", "quick"),
    "report": (),
    "replay": ("--random", "2"),
}
REPORT_POINTS = ["munlockall/layout/cryptsetup237_luksFormat_hm8_default"]
CASES = [
    Case("gate", ("--only", "counters"), {"parts": ("counters",)}),
    Case("gate", ("--base", "HEAD"), {"parts": ("counters", "laws", "times"), "base": "HEAD"}),
    Case("gate", ("--accept",), {"accept": True, "wide": None}),
    Case("gate", ("--expectation", "mine.json"), {"expectation": Path("mine.json")}),
    Case("gate", ("--suite", "quick"), {"suite": "quick"}),
    Case("gate", ("--rounds", "20"), {"rounds": 20}),
    Case("gate", ("--tolerance", "2"), {"tolerance": 0.02}),
    Case("gate", ("--seed", "3"), {"seed": 3}),
    *(Case("gate", (f"--{form}", "out"), {"files": {"out"}}) for form in ("json", "markdown", "junit")),
    Case("gate", ("--wide",), {"wide": True}),
    Case("sweep", ("--span", "2MiB"), {"points": names("munlockall/sparse-64KiB/1MiB", "munlockall/sparse-64KiB/2MiB")}),
    Case(
        "sweep",
        ("--populate", "none"),
        {"points": names("munlockall/sparse-64KiB/1MiB", "munlockall/report/1MiB")},
    ),
    Case("sweep", ("--pattern", "head"), {"points": names("munlockall/head-64KiB/1MiB")}),
    Case(
        "sweep", ("--seed", "5", "--pattern", "random"), {"points": names("munlockall/random-64KiB-seed5/1MiB"), "seeds": {5}}
    ),
    Case("sweep", ("--impl", "page-walk"), {"points": names("munlockall/sparse-64KiB/1MiB", implementations=("page-walk",))}),
    Case("sweep", ("--op", "exit"), {"points": names("exit/sparse-64KiB/1MiB")}),
    Case("sweep", ("--counters-only",), {"timed": False}),
    Case("sweep", ("--results", "there"), {"parent": Path("there")}),
    Case("reference", ("--suite", "default"), {"points": of_suite("default"), "levels": {4}, "seeds": set()}),
    Case("reference", ("--to", "there/mine"), {"parent": Path("there")}),
    Case("report", ("--size", "1GiB"), {"points": names("munlockall/report/1GiB", *REPORT_POINTS)}),
    Case(
        "report",
        ("--size", "1GiB", "--levels", "5"),
        {"points": names("munlockall/report/1GiB", *REPORT_POINTS), "levels": {4, 5}},
    ),
    Case("report", ("--layout", "sbcl"), {"points": names("munlockall/layout/sbcl")}),
    Case(
        "report",
        ("--impl", "page-walk", "--size", "1GiB"),
        {"points": names("munlockall/report/1GiB", *REPORT_POINTS, implementations=("page-walk",))},
    ),
    Case(
        "report",
        ("--op", "mlockall", "--size", "1GiB"),
        {"points": names("mlockall/report/1GiB", *(one.replace("munlockall", "mlockall") for one in REPORT_POINTS))},
    ),
    Case("report", ("--results", "there"), {"parent": Path("there")}),
    Case("report", ("--plots", "plots"), {"plots": True}),
    *(Case(one, ("--processes", "3"), {"repetition": (3, None)}) for one in ("sweep", "reference", "report")),
    *(Case(one, ("--values", "7"), {"repetition": (None, 7)}) for one in ("sweep", "reference", "report")),
    *(Case(one, ("--scheduler", "tcp://h:1"), {"scheduler": "tcp://h:1"}) for one in ("sweep", "reference")),
    *(Case(one, ("--fresh",), {"fresh": True}) for one in ("sweep", "reference", "report")),
    *(Case(one, ("--counterexample", "trace"), {"counterexample": Path("trace")}) for one in ("sweep", "report")),
    Case("replay", ("--random", "1"), {"traces": ["s0-0"]}),
    Case("replay", ("--seed", "4"), {"traces": ["s4-0", "s4-1"]}),
    Case("replay", ("--impl", "page-walk"), {"runners": ["page-walk"]}),
    Case("replay", ("--thp", "always"), {"thp": "always"}),
    Case("replay", ("--ram", "64MiB"), {"ram": 64 << 20}),
    Case("replay", ("--out", "traces.jsonl"), {"files": {"traces.jsonl"}}),
]
# Options that other tests hold.
ELSEWHERE = {
    "gate": {"--kernel", "--base-kernel", "--op"},  # test_kernel_gate
    "sweep": {"--on", "--wide"},
    "reference": set(),
    "report": {"--on", "--wide"},
    "replay": {"--against", "--ops", "--mthp"},  # test_replay
}


@pytest.mark.parametrize("case", CASES, ids=lambda one: f"{one.command} {' '.join(one.words)}")
def test_an_option_changes_this_and_nothing_else(case: Case, told: Callable[[list[str]], Told], tmp_path: Path) -> None:
    before = told([case.command, *BASE[case.command]])
    after = told([case.command, *BASE[case.command], *case.words])
    differs = {
        key: (tmp_path / value if case.command != "gate" else value) if isinstance(value, Path) else value
        for key, value in case.differs.items()
    }
    assert {key: after.get(key) for key in before.keys() | after.keys() if after.get(key) != before.get(key)} == differs


@pytest.mark.parametrize("command", BASE)
def test_every_option_has_a_case(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    said = {*re.findall(r"^  (?:-\w, )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)} - {"--help"}
    cases = {word for case in CASES if case.command == command for word in case.words if word.startswith("--")}
    assert said == cases | ELSEWHERE[command] | {word for word in BASE[command] if word.startswith("--")}
    assert command in COMMANDS


def test_where_runs_are_looked_for_and_figures_put(tmp_path: Path) -> None:
    for place in ("one", "two"):
        kept.write(tmp_path / place / "x", [kept.counted(kept.point(), 5)])
    found = [plot.read_request(["x", "--results", str(tmp_path / place)]) for place in ("one", "two")]
    assert [one.runs for one in found] == [(tmp_path / place / "x",) for place in ("one", "two")]
    assert found[0].plots == tmp_path / "one" / "x" / "figures"
    other = plot.read_request(["x", "--results", str(tmp_path / "one"), "--plots", "there", "--only", "cost,order"])
    assert (other.runs, other.plots, other.kinds) == (found[0].runs, Path("there"), ("cost", "order"))


def test_where_figures_of_speed_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def stop(path: Path) -> None:
        made.append(path)
        raise UsageError("as far as that")

    monkeypatch.setattr(environment, "base_directory", lambda: tmp_path)
    monkeypatch.setattr(storage, "make_directory", stop)
    for words in ([], ["--results", "there"]):
        with pytest.raises(UsageError):
            speed.main(words)
    assert made == [tmp_path / "results", Path("there")]


@pytest.mark.parametrize(
    "words", [["list"], ["table", "x"], ["compare", "x", "x"], ["sweep", "--counters-only", "--span", "1MiB"]]
)
def test_every_column_is_shown_where_that_is_asked_for(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.write(tmp_path / "x", [kept.counted(kept.point(), 5)], [kept.timed(kept.point(), [[1.0]])])
    shown: list[bool] = []
    monkeypatch.setattr(formats, "show", lambda page, form="terminal", *, wide=False: shown.append(wide))
    more = ["--populate", "none", "--impl", "page-walk"] if words[0] == "sweep" else []
    results = [] if words[0] == "list" else ["--results", str(tmp_path)]
    for wide in ([], ["--wide"]):
        assert main([*words, *more, *results, *wide]) == 0
    assert shown == [False, True]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ([], 8),
        (["--scenario", "dense"], 4),
        (["--impl", "page-walk"], 4),
        (["--op", "exit"], 4),
        (["--scenario", "dense", "--impl", "page-walk", "--op", "exit"], 1),
    ],
)
def test_a_table_of_some_of_a_run(words: list[str], left: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = [
        Point(kept.point("per-page", scenario=name).scenario, one, operation)
        for name in ("report", "dense")
        for one in ("per-page", "page-walk")
        for operation in ("munlockall", "exit")
    ]
    kept.write(tmp_path / "x", [kept.counted(one, 5) for one in points])
    assert main(["table", "x", "--results", str(tmp_path), "--format", "csv", *words]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == left
    assert all(word in row for row in rows for word in words if not word.startswith("--"))
