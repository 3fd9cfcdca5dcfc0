"""Data frames of runs made into tables of text: which columns, in which words, with how many digits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import pandas as pd

from bench.analysis.comparison import Comparison
from bench.analysis.dataframes import COUNT, CURVE, INSTRUCTIONS, TIME, Kind, Shape, has
from bench.analysis.report_rows import BASELINE
from bench.analysis.stats import ESTIMATOR, LEAST_PROCESSES
from bench.number_format import (
    NONE,
    TOO_FEW,
    approximate,
    count,
    exponent,
    exponent_range,
    interval,
    multiple,
    ratio,
    seconds,
    significant,
)
from bench.tables.changes import ABSENT
from bench.tables.table import INTERVAL, Page, Table

# Counters that have a column in tables for people: name, head, and whether also where all are zero. CSV has every counter.
SHOWN = (
    ("model_pages_looked_up", "looked up", True),
    ("entries_read", "entries read", True),
    ("model_tables_entered", "tables", True),
    ("model_pte_lock", "pte locks", False),
    ("model_lru_lock", "lru locks", False),
    ("model_page_lock", "page locks", False),
    ("model_rmap_lock", "rmap locks", False),
    ("model_mlock_batches", "batches", False),
    ("unevictable_pgs_munlocked", "munlocked", False),
    ("model_faults", "faults", False),
)
NO_INTERVAL = f"{TOO_FEW}: an interval needs at least {LEAST_PROCESSES} processes, a ratio's of each of the two."
CURVED: Shape = "curved"
EXACT_EXPONENT = "k (entries) is exact: from each size to the next; the least .. the most where it is no power law."
CURVED_EXPONENT = f"{CURVED}: no one power fits the times; k is the least .. the most from each size to the next."
FEW_EXPONENT = f"{TOO_FEW} (of k): its interval needs three sizes, and two values more than the two that make a line."
NO_EXPONENT = f"{NONE} instead of an exponent: it was measured at fewer than three sizes, or a count is zero."
NOT_INTERLEAVED = (
    "B was not timed in turn with A: what else changed on the machine in between is in the ratios."
    " gate --base times both in turn."
)
KINDS: tuple[tuple[Kind, str], ...] = ((COUNT, "entries"), (TIME, "time"), (INSTRUCTIONS, "instructions"))
MODEL = "model"  # where rows of real kernels say how they run
Row = dict[str, Any]


def table_page(points: pd.DataFrame, exponents: pd.DataFrame, kinds: Sequence[Kind], only_exponents: bool) -> Page:
    """Return the page of one run; `points` and `exponents` as bench.analysis.dataframes makes them."""
    tables = []
    if not only_exponents:
        tables += [_counters_table(_of(points, COUNT))] if COUNT in kinds else []
        tables += [_times_table(_of(points, TIME))] if TIME in kinds else []
        tables += [_instructions_table(_of(points, INSTRUCTIONS))] if INSTRUCTIONS in kinds else []
    if len(exponents):
        tables.append(_exponents_table(exponents, kinds))
    remarks = list(_exponent_remarks(exponents, kinds)) if len(exponents) else []
    if TIME in kinds and not only_exponents and _lacks_interval(points):
        remarks.append(NO_INTERVAL)
    return Page(tuple(tables), remarks=tuple(remarks))


def _of(points: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Return the points without those of real kernels that have nothing of a kind."""
    if "runs_as" not in points:
        return points
    known = points.filter(regex=f"^{kind}").notna().any(axis="columns")
    return points[known] if kind == INSTRUCTIONS else points[known | points["runs_as"].isna()]


def _exponent_remarks(exponents: pd.DataFrame, kinds: Sequence[Kind]) -> Iterable[str]:
    """Yield how to read the exponents of one run or of two."""
    if COUNT in kinds:
        yield EXACT_EXPONENT
    shapes = {shape for name in exponents.filter(like="_exponent_shape") for shape in exponents[name]}
    if TIME in kinds and CURVED in shapes:
        yield CURVED_EXPONENT
    ends = ("exponent", "exponent_a", "exponent_b")
    if any(bool(exponents[kind + end].isna().any()) for kind in kinds for end in ends if kind + end in exponents):
        yield NO_EXPONENT
    if TIME in kinds and TOO_FEW in shapes:
        yield FEW_EXPONENT


def _lacks_interval(points: pd.DataFrame) -> bool:
    """Tell whether a mean or a ratio of one run is shown without an interval; the baseline's ratio needs none."""
    others = points[points["implementation"] != BASELINE]
    mean = points["time_mean_s"].notna() & points["time_mean_low_s"].isna()
    speedup = others["time_speedup"].notna() & (others["time_speedup"] != 1) & others["time_speedup_low"].isna()
    return bool(mean.any() or speedup.any())


def compare_page(found: Comparison, only_exponents: bool = False) -> Page:
    """Return the page of two runs."""
    tables = [] if only_exponents else list(_difference_tables(found))
    if len(found.exponents):
        tables.append(_both_exponents_table(found.exponents))
    remarks = [] if only_exponents else list(_remarks(found))
    if len(found.exponents):
        remarks += _exponent_remarks(found.exponents, [kind for kind, _ in KINDS if has(found.exponents, kind)])
    return Page(tuple(tables), _warnings(found), tuple(remarks))


def compare_frame(found: Comparison) -> pd.DataFrame:
    """Return the points of two runs as CSV has them: with a column that tells the counters that differ."""
    texts = {
        str(name): "; ".join(f"{row['counter']}: {_plain(row['a'])} -> {_plain(row['b'])}" for row in _rows(changed))
        for name, changed in found.counters.groupby("name", sort=False)
    }
    frame = found.points.copy()
    frame.insert(list(frame.columns).index("count_same") + 1, "count_changes", frame["name"].map(texts))
    return frame


def _counters_table(points: pd.DataFrame) -> Table:
    """Return the table of exact counters."""
    shown = [(COUNT + name, head) for name, head, always in SHOWN if _worth_a_column(points, COUNT + name, always)]

    def cells(row: Row) -> tuple[str, ...]:
        sizes = _maybe(approximate, row["span_bytes"]), _whole(row["nr_vmas"]), _whole(row["nr_populated"])
        return _what(row), row["implementation"], *sizes, *(_whole(row[name]) for name, _ in shown)

    heads = ("span", "VMAs", "populated", *(head for _, head in shown))
    less = (*(head for head in reversed(heads[5:])), "VMAs", "span", "populated")
    return Table("Counters (exact)", ("what", "implementation"), heads, _sections(points, cells), less)


def _worth_a_column(points: pd.DataFrame, name: str, always: bool) -> bool:
    """Tell whether a counter has a column."""
    return name in points and (always or bool((points[name].fillna(0) != 0).any()))


def _times_table(points: pd.DataFrame) -> Table:
    """Return the table of times."""
    real = "runs_as" in points

    def cells(row: Row) -> tuple[str, ...]:
        mean = _interval(row, "time_mean{}_s", seconds)
        faster = _interval(row, "time_speedup{}", multiple)
        if row["implementation"] == BASELINE or row["time_speedup"] == 1:
            faster = ""  # it is 1 by definition
        values = f"{_whole(row['time_values'])} in {_whole(row['time_processes'])}"
        return (
            *(_what(row), row["implementation"], *_runs_as(row, real)),
            *(_maybe(seconds, row["time_mean_s"]), mean),
            NONE if pd.isna(row["time_values"]) else values,
            *(_maybe(significant, row["time_ns_per_page"]), _maybe(multiple, row["time_speedup"]), faster),
        )

    heads = ("time", INTERVAL, "values", "ns/page", "x faster", INTERVAL)
    than = f"than {BASELINE}" + ("; of real kernels: than the first that runs so" if real else "")
    title = f"Times ({ESTIMATOR}; x faster: {than})"
    less = ("values", "ns/page", INTERVAL, INTERVAL)
    words = ("what", "target", "runs as") if real else ("what", "implementation")
    return Table(title, words, heads, _sections(points, cells), less)


def _runs_as(row: Row, real: bool) -> tuple[str, ...]:
    """Return how a point was run, in a table that has real kernels."""
    return (MODEL if pd.isna(row["runs_as"]) else row["runs_as"],) if real else ()


def _instructions_table(points: pd.DataFrame) -> Table:
    """Return the table of what real kernels executed."""

    def cells(row: Row) -> tuple[str, ...]:
        least = interval(row["instructions_low"], row["instructions_high"], lambda value: count(int(value)))
        return (
            *(_what(row), row["implementation"], row["runs_as"]),
            *(_whole(row["instructions"]), least, _whole(row["instructions_values"])),
            *(_maybe(significant, row["instructions_per_page"]), _maybe(multiple, row["instructions_fewer"])),
        )

    heads = ("instructions", "least .. most", "calls", "per page", "x fewer")
    title = "Instructions of real kernels, measured (median of all calls; x fewer: than the first)"
    return Table(title, ("what", "kernel", "runs as"), heads, _sections(points, cells), ("calls", "least .. most"))


def _exponents_table(exponents: pd.DataFrame, kinds: Sequence[Kind]) -> Table:
    """Return the table of scaling exponents of one run."""
    wanted = [(kind, head) for kind, head in KINDS if kind in kinds]

    def cells(row: Row) -> tuple[str, ...]:
        found = [cell for kind, _ in wanted for cell in _exponent(row, kind)]
        spans = interval(row["least_span_bytes"], row["most_span_bytes"], approximate)
        return _curve(row), row["implementation"], str(row["nr_sizes"]), spans, *found

    heads = ("sizes", "spans", *(text for kind, head in wanted for text in _exponent_heads(kind, head)))
    sections = _sections(exponents, cells, CURVE[:2])
    return Table("Scaling: cost ~ span**k", ("what", "implementation"), heads, sections, ("sizes", "spans"))


def _both_exponents_table(exponents: pd.DataFrame) -> Table:
    """Return the table of scaling exponents of two runs."""
    wanted = [(kind, head) for kind, head in KINDS if has(exponents, kind)]

    def cells(row: Row) -> tuple[str, ...]:
        found = [cell for kind, _ in wanted for run in "ab" for cell in _exponent(row, kind, f"_{run}")]
        return _curve(row), row["implementation"], str(row["nr_sizes"]), *found

    heads = [text for kind, head in wanted for run in "AB" for text in _exponent_heads(kind, head, f" {run}")]
    return Table(
        "Scaling: cost ~ span**k, over the sizes that both have",
        ("what", "implementation"),
        ("sizes", *heads),
        _sections(exponents, cells, CURVE[:2]),
        ("sizes", *[INTERVAL] * heads.count(INTERVAL)),
    )


def _difference_tables(found: Comparison) -> Iterable[Table]:
    """Yield the tables of facts, of points and of changed counters."""
    if found.facts:
        yield Table("What differs around them", ("fact", "A", "B"), (), (found.facts,))

    def cells(row: Row) -> tuple[str, ...]:
        return (
            *(_what(row), row["implementation"], _word(row["count_same"])),
            *(_maybe(seconds, row["time_a_s"]), _maybe(seconds, row["time_b_s"]), _maybe(ratio, row["time_ratio"])),
            *(_interval(row, "time_ratio{}", ratio), _word(row["time_verdict"])),
        )

    heads = ("A", "B", "B / A", INTERVAL, "B is")
    compared = found.points[found.points["status"] == "compared"]
    title = f"A: {found.a}   B: {found.b}"
    if "instructions_ratio" in compared:
        real = compared[compared["instructions_ratio"].notna()]
        compared = compared[compared["instructions_ratio"].isna()]
        yield _instructions_of_both(real, title)
    if len(compared):
        yield Table(title, ("what", "implementation", "counters"), heads, _sections(compared, cells), ("A", "B", INTERVAL))
    if len(found.counters):
        changes = tuple((row["name"], row["counter"], _count(row["a"]), _count(row["b"])) for row in _rows(found.counters))
        yield Table("Counters that differ (exact)", ("point", "counter"), ("A", "B"), (changes,))
    others = found.points[found.points["status"] != "compared"]
    if len(others):
        rows = tuple((row["name"], row["status"]) for row in _rows(others))
        yield Table("Not compared", ("point", "why"), (), (rows,))


def _instructions_of_both(points: pd.DataFrame, title: str) -> Table:
    """Return the table of what real kernels executed, in both runs."""
    rows = tuple(
        (
            *(_what(row), row["implementation"], _whole(row["instructions_a"]), _whole(row["instructions_b"])),
            ratio(row["instructions_ratio"]),
        )
        for row in _rows(points)
    )
    return Table(f"Instructions of real kernels   {title}", ("what", "kernel"), ("A", "B", "B / A"), (rows,))


def _warnings(found: Comparison) -> tuple[str, ...]:
    """Return what must be known before a number is read."""
    other = found.other_machine
    if not other or not found.points["time_ratio"].notna().any():
        return ()
    return (
        f"A and B are of different machines ({', '.join(other)}): their times must not be compared as such."
        " Counters and exponents of counters may.",
    )


def _remarks(found: Comparison) -> Iterable[str]:
    """Yield the summary, and how to read the table."""
    compared = found.points[found.points["status"] == "compared"]
    same = compared["count_same"].value_counts()
    parts = [f"{len(compared)} compared"]
    parts += [f"counters equal in {same.get('equal', 0)}, different in {same.get('differ', 0)}"] if len(same) else []
    verdicts = compared["time_verdict"].value_counts()
    parts += [f"B {word} in {verdicts[word]}" for word in ("faster", "slower", "not resolved") if word in verdicts]
    yield "; ".join(parts) + "."
    if len(verdicts):
        yield (
            f"Times: {ESTIMATOR}; B / A with its {INTERVAL} (Welch's t, of logarithms) of each point by itself:"
            " one in twenty is expected to miss 1 where nothing changed."
        )
        yield NOT_INTERLEAVED
    if (compared["time_ratio"].notna() & compared["time_ratio_low"].isna()).any():
        yield NO_INTERVAL
    differ = compared[compared["count_same"] == "differ"]
    if len(differ) and not set(differ["name"]) <= set(found.counters["name"]):
        yield "Where only the digests of counters are known, which of them differ is not."


def _sections(
    frame: pd.DataFrame, cells: Callable[[Row], tuple[str, ...]], key: Sequence[str] = ("operation", "scenario", "size")
) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Return the rows of a frame as cells, those that agree in `key` together if there are such."""
    groups = frame.groupby(list(key), sort=False)
    found = tuple(tuple(cells(row) for row in _rows(group)) for _, group in groups)
    return found if any(len(rows) > 1 for rows in found) else (sum(found, ()),)


def _rows(frame: pd.DataFrame) -> list[Row]:
    """Return a frame's rows as dictionaries."""
    return cast("list[Row]", frame.to_dict("records"))


def _what(row: Row) -> str:
    """Return what the implementations are compared on."""
    return f"{row['operation']}/{row['scenario']}/{row['size']}"


def _curve(row: Row) -> str:
    """Return what an exponent is of."""
    return f"{row['operation']}/{row['scenario']}"


def _maybe(text: Callable[[Any], str], value: Any) -> str:
    """Return a value as text, or that there is none."""
    return NONE if pd.isna(value) else text(value)


def _count(value: Any) -> str:
    """Return a counter's value, or that a run does not have it."""
    return ABSENT if pd.isna(value) else count(int(value))


def _plain(value: Any) -> str:
    """Return a counter's value for programs."""
    return ABSENT if pd.isna(value) else str(int(value))


def _word(value: Any) -> str:
    """Return a word, or that there is none."""
    return _maybe(str, value)


def _whole(value: Any) -> str:
    """Return a number of things."""
    return _maybe(lambda number: count(int(number)), value)


def _interval(row: Row, name: str, text: Callable[[float], str]) -> str:
    """Return the interval of an estimate: that there is no estimate, or that the data are too few, if so."""
    found, low, high = (row[name.format(end)] for end in ("", "_low", "_high"))
    if any(map(pd.isna, (low, high))):
        return _maybe(lambda _: TOO_FEW, found)
    return interval(low, high, text)


def _exponent_heads(kind: Kind, head: str, run: str = "") -> tuple[str, ...]:
    """Return the heads of an exponent's columns: what is exact has no interval."""
    return (f"k ({head}){run}", INTERVAL) if kind == TIME else (f"k ({head}){run}",)


def _exponent(row: Row, kind: Kind, suffix: str = "") -> tuple[str, ...]:
    """Return an exponent, and the interval of one that was measured; where it is not one, the least and the most of several."""
    name = "instructions_exponent" if kind == INSTRUCTIONS else f"{kind}exponent"
    if kind != TIME:
        return (_range(row, name, suffix),)
    if row[f"{name}_shape{suffix}"] == CURVED:
        return _range(row, f"{name}_local", suffix), CURVED
    return _maybe(exponent, row[name + suffix]), _interval(row, f"{name}{{}}{suffix}", exponent)


def _range(row: Row, name: str, suffix: str) -> str:
    """Return the least and the most of the exponents from one size to the next."""
    low, high = (row[f"{name}_{end}{suffix}"] for end in ("low", "high"))
    return NONE if any(map(pd.isna, (low, high))) else exponent_range(low, high)
