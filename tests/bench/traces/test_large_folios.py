"""Traces set to large folios: sizes of a command line, random traces without what splits folios, files that say it."""

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.traces.generate_all import all_ops_traces
from bench.traces.large_folios import SIZES, loaded_with, parse_sizes, random_traces_of
from bench.traces.ops import Madvise, Trace
from bench.traces.trace_format import Loaded
from mmmodel.constants import MAX_FOLIO_ORDER, MIN_FOLIO_ORDER, PAGE_SIZE
from mmmodel.sizes import parse_bytes


def test_the_sizes_are_the_orders_of_the_model() -> None:
    assert [parse_bytes(one) for one in SIZES] == [PAGE_SIZE << n for n in range(MIN_FOLIO_ORDER, MAX_FOLIO_ORDER + 1)]


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("64KiB", ("64KiB",)), ("1MiB,16k", ("16KiB", "1MiB")), ("65536,64KiB", ("64KiB",)), (" 1<<15 ", ("32KiB",))],
)
def test_sizes(text: str, sizes: tuple[str, ...]) -> None:
    assert parse_sizes(text) == sizes


@pytest.mark.parametrize("text", ["", "8KiB", "48KiB", "2MiB", "64KiB,", "lots", "64KiB,always"])
def test_sizes_that_there_are_not(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_sizes(text)
    assert str(caught.value) == f"--mthp {text}: sizes of large folios are {', '.join(SIZES)}"


def test_random_traces_are_the_same_but_for_what_splits_folios() -> None:
    made = all_ops_traces(3, 40)
    set_to = random_traces_of(made, ("64KiB",))
    freed = [op for one in made.values() for op in one.ops if isinstance(op, Madvise) and op.advice == "free"]
    assert freed
    for name, one in made.items():
        assert set_to[name] == Trace(one.name, one.window, tuple(op for op in one.ops if op not in freed), ("64KiB",))
    assert random_traces_of(made, ()) == made


def test_a_file_may_say_it_itself() -> None:
    ops = next(iter(all_ops_traces(1, 1).values())).ops
    window = ("0x1000", "0x3000")
    made = {"a": Trace("a", window, ops), "b": Trace("b", window, ops, ("64KiB",))}
    loaded = Loaded("trace file", Path("t.jsonl"), made, {"a": 1, "b": 2})
    assert loaded_with(loaded, ()) is loaded
    assert [one.mthp for one in loaded_with(loaded, ("64KiB",)).by_name.values()] == [("64KiB",), ("64KiB",)]
    with pytest.raises(UsageError, match=r"^trace file t.jsonl, line 2: mthp: 64KiB, not --mthp 16KiB,1MiB$"):
        loaded_with(loaded, ("16KiB", "1MiB"))
