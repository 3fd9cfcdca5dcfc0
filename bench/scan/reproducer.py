"""One call on one layout as a C program that needs nothing of this project."""

from __future__ import annotations

from typing import Final

from bench.errors import UsageError
from bench.scan.call import PLACE, Call
from bench.scan.layouts import Layout
from bench.scan.steps import SCRATCH_BYTES, uses

# What a header is included for.
_HEADERS: Final = {
    "fcntl.h": ("O_",),
    "stdio.h": ("printf",),
    "stdlib.h": ("abort",),
    "string.h": ("memcpy", "strcpy"),
    "sys/mman.h": ("mmap(", "memfd_create"),
    "sys/resource.h": ("rlimit",),
    "sys/wait.h": ("wait(",),
    "time.h": ("clock_gettime",),
    "unistd.h": ("fork",),
}
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
    lines = [step.c() for step in (*layout.steps, *call.before)]
    if uses((*call.before, call.measured), "scratch"):
        lines.insert(0, f"mmap((void *)scratch, {SCRATCH_BYTES}L, 3, 0x{0x4022 | 0x100000:x}, -1, 0);")
    before = "\n".join(f"            {line}" for line in lines)
    clock = "clock_gettime(CLOCK_MONOTONIC, &{});".format
    named = ", ".join(
        f"{name} = 1L << {at.bit_length() - 1}"
        for name, at in (("start", PLACE.start), ("target", PLACE.target), ("scratch", PLACE.scratch))
        if name == "start" or uses((*layout.steps, *call.before, call.measured), name)
    )
    more = [
        f"{name} = {meant}"
        for name, meant in (("half", "span / 2"), ("pages", "span / 4096"), ("n", "span"))
        if any(
            name in step.c().replace(",", " ").replace(")", " ").split()
            for step in (*layout.steps, *call.before, call.measured)
        )
    ]
    tell = f'printf("{layout.name}, %6ld MiB: %.6f s\\n", span >> 20, (b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9);'
    child = [f"            {clock('a')}"] * (not call.dies) + [f"            {call.measured.c()}"]
    child += [f"            {clock('b')}", f"            {tell}"] * (not call.dies)
    after = [f"        {clock('b')}", f"        {tell}"] * call.dies
    body = f"""\
int main(void) {{
    struct timespec a, b;
    long {named};
    setbuf(stdout, NULL);
    for (long span = {least}L; span <= {most}L; span *= 2) {{
{"".join(f"        long {one};{chr(10)}" for one in more)}\
{"        " + clock("a") + chr(10) if call.dies else ""}\
        if (fork() == 0) {{
{before}
{chr(10).join(child)}
            _exit(0);
        }}
        wait(NULL);
{"".join(line + chr(10) for line in after)}\
    }}
}}
"""
    headers = "\n".join(f"#include <{name}>" for name, words in _HEADERS.items() if any(word in body for word in words))
    about = f"{call.name} on {layout.name} ({layout.summary}): cc -O2 -o scan scan.c && ./scan"
    return f"/* {about} */\n#define _GNU_SOURCE\n{headers}\n\n{body}"
