"""What kind of reservation a VMA is, on what evidence, and what one could do about it.

The rules are data, in bench.capture.kind_rules. A rule holds if all that it asks for holds; the first that holds decides.
Where none does the kind is unknown, and said so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

from bench.capture.kind_rules import KINDS, RULES, UNKNOWN, Kind, Rule
from bench.number_format import approximate
from bench.workloads.layout import Layout, Vma


class Stretch(NamedTuple):
    """Private anonymous VMAs without a gap between them."""

    start: int  # address in bytes
    end: int  # address in bytes, exclusive
    nr_vmas: int
    nr_closed: int  # bytes of PROT_NONE
    perms: frozenset[str]

    @property
    def nbytes(self) -> int:
        """Length."""
        return self.end - self.start


class Found(NamedTuple):
    """The kind of a VMA."""

    kind: Kind
    evidence: str  # what was seen; "" where the kind is unknown


class KindSum(NamedTuple):
    """All VMAs of a kind in a layout."""

    kind: Kind
    evidence: str  # of the largest
    nr_vmas: int
    nbytes: int
    closed: int  # bytes of PROT_NONE
    nr_present: int  # pages in memory, where they are known


class _Process(NamedTuple):
    """What is known of all VMAs together."""

    signs: Mapping[str, str]  # for each sign that is shown the path that shows it
    starts: frozenset[int]  # addresses at which VMAs begin
    executed: frozenset[str]  # paths that are mapped executable


class _Place(NamedTuple):
    """A VMA and what is around it."""

    vma: Vma
    before: Vma | None  # ends where it starts
    after: Vma | None  # starts where it ends
    stretch: Stretch


def classify(layout: Layout) -> list[Found]:
    """Return the kind of each VMA, in their order."""
    process = _Process(
        _signs(layout),
        frozenset(vma.first for vma in layout.vmas),
        frozenset(vma.path for vma in layout.vmas if "x" in vma.perms),
    )
    return [_found(place, process) for place in _places(layout.vmas)]


def by_kind(layout: Layout) -> list[KindSum]:
    """Return what each kind takes, the largest reservation first."""
    pairs = sorted(zip(classify(layout), layout.vmas, strict=True), key=lambda pair: pair[0].kind.name)
    sums = [_sum(list(group)) for _, group in groupby(pairs, key=lambda pair: pair[0].kind.name)]
    return sorted(sums, key=lambda one: (-one.nbytes, one.kind.name))


def _sum(pairs: Sequence[tuple[Found, Vma]]) -> KindSum:
    """Return the sum of the VMAs of one kind."""
    found, _ = max(pairs, key=lambda pair: pair[1].last - pair[1].first)
    vmas = [vma for _, vma in pairs]
    closed = sum(vma.last - vma.first for vma in vmas if vma.perms.startswith("---"))
    nr_present = sum(nr for vma in vmas for _, nr in vma.present)
    return KindSum(found.kind, found.evidence, len(vmas), sum(vma.last - vma.first for vma in vmas), closed, nr_present)


def _signs(layout: Layout) -> Mapping[str, str]:
    """Return for each sign that a rule asks for the first path that shows it; a sign that nothing shows is left out."""
    paths = dict.fromkeys(vma.path for vma in layout.vmas if vma.path)
    found = {}
    for sign in {rule.sign for rule in RULES if rule.sign}:
        shows = next((path for path in paths if re.search(sign, path)), None)
        if shows is not None:
            found[sign] = shows
    return found


def is_anonymous(vma: Vma) -> bool:
    """Tell whether a VMA is private and maps no file."""
    return vma.perms[3] == "p" and (not vma.path or vma.path.startswith("[anon"))


def _places(vmas: Sequence[Vma]) -> Iterable[_Place]:
    """Yield each VMA with its neighbours, and the stretch it lies in."""
    stretches: list[Stretch] = []
    numbers: list[int] = []
    for index, vma in enumerate(vmas):
        closed = vma.last - vma.first if vma.perms.startswith("---") else 0
        joined = index and vmas[index - 1].last == vma.first and is_anonymous(vma) and is_anonymous(vmas[index - 1])
        if joined:
            start, _, nr_vmas, nr_closed, perms = stretches[-1]
            stretches[-1] = Stretch(start, vma.last, nr_vmas + 1, nr_closed + closed, perms | {vma.perms})
        else:
            stretches.append(Stretch(vma.first, vma.last, 1, closed, frozenset({vma.perms})))
        numbers.append(len(stretches) - 1)
    for index, vma in enumerate(vmas):
        before = vmas[index - 1] if index and vmas[index - 1].last == vma.first else None
        after = vmas[index + 1] if index + 1 < len(vmas) and vmas[index + 1].first == vma.last else None
        yield _Place(vma, before, after, stretches[numbers[index]])


def _found(place: _Place, process: _Process) -> Found:
    """Return the kind of one VMA."""
    for rule in RULES:
        if _holds(rule, place, process):
            return Found(KINDS[rule.kind], "; ".join(_evidence(rule, place, process.signs)))
    return Found(UNKNOWN, "")


def _holds(rule: Rule, place: _Place, process: _Process) -> bool:
    """Tell whether all that a rule asks for holds, the cheapest first."""
    vma, stretch = place.vma, place.stretch
    return (
        _compiled(rule.perms).fullmatch(vma.perms) is not None
        and (rule.anonymous is None or rule.anonymous == is_anonymous(vma))
        and (not rule.sign or rule.sign in process.signs)
        and rule.size[0] <= vma.last - vma.first <= rule.size[1]
        and rule.start[0] <= vma.first < rule.start[1]
        and rule.stretch[0] <= stretch.nbytes <= rule.stretch[1]
        and stretch.nr_vmas >= rule.least_vmas
        and stretch.nr_closed >= rule.least_closed * stretch.nbytes
        and (not rule.path or _compiled(rule.path).search(vma.path) is not None)
        and (not vma.vm_flags or set(rule.flags.split()) <= set(vma.vm_flags))
        and not set(rule.no_flags.split()) & set(vma.vm_flags)
        and (rule.begins < 0 or rule.begins in process.starts)
        and (not rule.executed or vma.path in process.executed)
        and (not rule.stretch_has or any(_compiled(rule.stretch_has).fullmatch(one) for one in stretch.perms))
        and (not rule.slot or _fills_slot(place, rule.slot))
        and (not rule.before or _neighbour(rule.before, place.before, rule.neighbour_most))
        and (not rule.after or _neighbour(rule.after, place.after, rule.neighbour_most))
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern, compiled once."""
    return re.compile(pattern)


def _neighbour(perms: str, vma: Vma | None, most: int) -> bool:
    """Tell whether a neighbour is there, has such permissions and is not too long."""
    return (
        vma is not None and is_anonymous(vma) and bool(_compiled(perms).fullmatch(vma.perms)) and vma.last - vma.first <= most
    )


def _fills_slot(place: _Place, slot: int) -> bool:
    """Tell whether a VMA alone, or together with one neighbour, fills an aligned slot of a size in bytes."""
    vma, start, end = place.vma, place.vma.first, place.vma.last
    if vma.perms.startswith("---"):
        if place.before is None or not is_anonymous(place.before):
            return False
        start = place.before.first
        start += (end - slot - start) if start < end - slot and (end - slot) % slot == 0 and end - slot < vma.first else 0
    elif end % slot and place.after is not None and is_anonymous(place.after):
        end = start // slot * slot + slot if place.after.last >= start // slot * slot + slot else end
    return start % slot == 0 and end - start in (slot, *((end - start,) if (end - start) % slot == 0 else ()))


def _evidence(rule: Rule, place: _Place, signs: Mapping[str, str]) -> list[str]:
    """Return what was seen, in words."""
    vma, stretch = place.vma, place.stretch
    seen = []
    if rule.path:
        seen.append(f"named {vma.path.rsplit('/', 1)[-1]}")
    if rule.sign:
        seen.append(f"{signs[rule.sign].rsplit('/', 1)[-1]} is mapped")
    if rule.start != Rule.start:
        seen.append(f"at {vma.start}")
    if rule.begins >= 0 and vma.first != rule.begins:
        seen.append(f"a VMA at {rule.begins:#x}")
    if rule.size != Rule.size:
        seen.append(f"{approximate(vma.last - vma.first)} {'PROT_NONE' if vma.perms.startswith('---') else vma.perms}")
    if rule.stretch != Rule.stretch or rule.least_vmas > 1:
        seen.append(f"in {approximate(stretch.nbytes)} of {stretch.nr_vmas} VMAs without a gap")
    if rule.stretch_has:
        seen.append("executable memory beside it")
    if rule.slot:
        seen.append(f"fills an aligned slot of {approximate(rule.slot)}")
    if rule.before or rule.after:
        below = "a guard below it" if rule.before.startswith("---") else "executable memory below it"
        seen.append(below if rule.before else "memory above it")
    return seen or ["by its permissions"]
