"""What the gate must catch: each is one replacement in one file, and the exit code that the gate must end with."""

from __future__ import annotations

from typing import NamedTuple

from mutants import Mutant

REGRESSION, ERROR = 1, 3


class GateMutant(NamedTuple):
    """A broken tree, and what the gate must say of it."""

    mutant: Mutant
    package: str  # directory of the file
    exit_code: int
    seen: str  # words in a line of the gate's output


def _counted(name: str, file: str, old: str, new: str, seen: str) -> GateMutant:
    """Return a mutant of the model whose counters change."""
    return GateMutant(Mutant(name, file, old, new), "mmmodel", REGRESSION, seen)


def _lost(level: str, file_end: str, below: str, seen: str) -> GateMutant:
    """Return a page-walk that steps over what is missing at one level in the steps of the level below."""
    tested = "s.entries[slot]" if level == "PMD" else "entry"
    step = f"following if not pte_none({tested}) else min(address + {below}, end)"
    old = f"        address = following\n{file_end}"
    return _counted(f"lost skip of {level}s", "page_walk.py", old, old.replace("following", step), seen)


COUNTERS = (
    _counted(
        "PROT_NONE VMAs are skipped",
        "page_walk.py",
        "if is_walked(s, vma):",
        "if is_walked(s, vma) and newflags & 7 != 0:",
        "nr_mlock",
    ),
    _lost("PMD", "    count(s.counters, PMD_READ, read)", "PAGE_SIZE", "model_pmd_read"),
    _lost("PUD", "    count(s.counters, PUD_READ, read)", "PMD_SIZE", "model_pud_read"),
    _lost("P4D", "    count(s.counters, counter, read)", "PUD_SIZE", "model_pgd_read"),
    _lost("PGD", "\n\n@step\ndef walk_to_pmd", "P4D_SIZE", "model_pgd_read"),
    _counted(
        "hole-skip looks up every page of a missing PMD",
        "per_page.py",
        "        if skip and found < FIRST_SLOT:",
        "        if skip and found < FIRST_SLOT and found != NONE_AT_PMD:",
        "model_pages_looked_up",
    ),
    _counted(
        "one more entry read per table",
        "page_walk.py",
        "    count(counters, PTE_READ, read)",
        "    count(counters, PTE_READ, read + 1)",
        "model_pte_read",
    ),
)
BROKEN = (
    GateMutant(
        Mutant("a call crashes", "mm.py", "    def munlockall(self) -> None:",
               "    def munlockall(self) -> None:\n        raise ValueError\n"),
        "mmmodel", ERROR, "ValueError",
    ),
    GateMutant(
        Mutant("a process dies", "mm.py", "    def munlockall(self) -> None:",
               "    def munlockall(self) -> None:\n        os.abort()\n"),
        "mmmodel", ERROR, "ended with exit code -6",
    ),
    GateMutant(
        Mutant("a benchmark is missing", "workloads/suite.py", "    for one in SCENARIOS.values()\n",
               "    for one in list(SCENARIOS.values())[:-2]\n"),
        "bench", ERROR, "missing in this tree's suite",
    ),
    GateMutant(
        Mutant("a benchmark is renamed", "workloads/scenario.py", '"many-vmas",', '"vmas",'),
        "bench", ERROR, "not in the expectation",
    ),
    GateMutant(
        Mutant("a benchmark measures something else", "workloads/scenario.py", "DEFAULT_SEED = 1", "DEFAULT_SEED = 2"),
        "bench", ERROR, "not the same benchmark",
    ),
    GateMutant(
        Mutant("counts depend on the hash seed", "measuring/counting.py", "    counters = prepared.counters()",
               '    counters = prepared.counters()\n    counters["model_pgd_read"] += hash("x") % 1000'),
        "bench", ERROR, "two runs of the same call differ",
    ),
)  # fmt: skip


_MADE = """        self._state = self.machine.states[self._mm]

    # ---- the way in ----
"""
_MADE_SLOWER = """        self._state = self.machine.states[self._mm]
        from time import perf_counter
        compiled = getattr(sys.system_call, "compiled", sys.system_call)

        def slowed(*arguments):
            started = perf_counter()
            result = compiled(*arguments)
            until = started + (perf_counter() - started) * {factor}
            while perf_counter() < until:
                pass
            return result

        slowed.compiled = compiled
        sys.system_call = slowed if self.impl == "{implementation}" else compiled

    # ---- the way in ----
"""


def slower(implementation: str, percent: int) -> GateMutant:
    """Return a tree in which every call of an implementation takes some percent longer, and no other does."""
    new = _MADE_SLOWER.format(factor=1 + percent / 100, implementation=implementation)
    mutant = Mutant(f"{implementation} {percent} % slower", "space.py", _MADE, new)
    return GateMutant(mutant, "mmmodel", REGRESSION, "slower")


SLOWER = tuple(slower(one, percent) for one in ("per-page", "hole-skip", "page-walk") for percent in (10, 30))
