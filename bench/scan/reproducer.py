"""One call on one layout as a C program that needs nothing of this project."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from bench.errors import UsageError
from bench.scan.call import PLACE, Call
from bench.scan.layouts import Layout
from bench.scan.steps import SCRATCH, Abort, Exit, uses

# What a header is included for.
_HEADERS: Final = {
    "fcntl.h": ("O_",),
    "stdio.h": ("dprintf",),
    "stdlib.h": ("abort",),
    "string.h": ("memcpy", "strcpy"),
    "sys/mman.h": ("memfd_create",),
    "sys/resource.h": ("rlimit",),
    "sys/wait.h": ("wait(",),
    "time.h": ("clock_gettime",),
    "unistd.h": ("fork",),
}
_NOW: Final = (
    "static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }"
)
LEAST: Final = 1 << 28  # bytes of the first span that is shown
SHOWN: Final = 7  # spans, each twice the one before


def text(call: Call, layout: Layout) -> str:
    """Return the program: it prints what the call takes on some spans, each twice the one before.

    UsageError for a layout whose span is not what is varied.
    """
    if layout.axis != "span":
        raise UsageError(f"{layout.name} varies {layout.axis}; a reproducer varies the span")
    most = min(layout.most, LEAST << (SHOWN - 1))
    least = min(LEAST, most >> (SHOWN - 1))
    steps = (*layout.steps, *call.before, call.measured)
    if uses((*call.before, call.measured), "scratch"):
        steps = (SCRATCH, *steps)
    *before, measured = (step.c() for step in steps)
    places = (("start", PLACE.start), ("target", PLACE.target), ("scratch", PLACE.scratch))
    named = [f"{name} = {_power(at)}" for name, at in places if name == "start" or uses(steps, name)]
    derived = (("half", "span / 2"), ("pages", "span / 4096"), ("n", "span"))
    more = [f"{name} = {meant}" for name, meant in derived if _has_word((*before, measured), name)]
    began = "double began = now();"
    tell = f'dprintf(1, "{layout.name}, %6ld MiB: %.6f s\\n", span >> 20, now() - began);'
    ends = [] if measured in (Exit().c(), Abort().c()) else ["_exit(0);"]
    in_child = [*before, measured] if call.dies else [*before, began, measured, tell]
    lines = [
        "int main(void) {",
        f"    long {', '.join(named)};",
        f"    for (long span = {_power(least)}; span <= {_power(most)}; span *= 2) {{",
        *(f"        long {one};" for one in more),
        *([f"        {began}"] * call.dies),
        "        if (fork() == 0) {",
        *(f"            {line}" for line in (*in_child, *ends)),
        "        }",
        "        wait(NULL);",
        *([f"        {tell}"] * call.dies),
        "    }",
        "}",
    ]
    body = "\n".join([_NOW, *lines])
    headers = [f"#include <{name}>" for name, words in _HEADERS.items() if any(word in body for word in words)]
    feature = ["#define _GNU_SOURCE"] * ("memfd_create" in body)
    about = f"/* {call.name} on {layout.name} ({layout.summary}): cc -O2 -o scan scan.c && ./scan */"
    return "\n".join([about, *feature, *headers, body]) + "\n"


def _power(nbytes: int) -> str:
    """Return a number of bytes as the largest power of two that is in it."""
    return f"1L << {nbytes.bit_length() - 1}"


def _has_word(statements: Sequence[str], word: str) -> bool:
    """Tell whether statements have a word."""
    return any(re.search(rf"\b{word}\b", one) for one in statements)
