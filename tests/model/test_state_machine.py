"""Random programs: the model in all implementations and its oracle must agree after every call, and check_mm() must hold.

Fewer programs without JIT, other ones in each setting. Each program uses a part of the rules, which hypothesis draws first
(swarm testing).
``STATE_MACHINE_EXAMPLES=n`` runs n programs that were never run before.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from oracle import constants as c
from support.facts import BASE, PAGE
from support.setting import examples
from support.twins import ORACLE, FileNumber, Twins

SETTINGS, fixed = examples(40, 8, "STATE_MACHINE_EXAMPLES", stateful_step_count=40)
MAX_PROCESSES = 3
RAM = 1 << 30

# Pages from BASE.  Small VMAs, and some at and around the boundaries of page tables.
FEW = some.integers(0, 24)
AROUND = some.builds(lambda table, offset: max(0, table * 512 + offset), some.integers(0, 3), some.integers(-3, 3))
PAGES = some.one_of(FEW, FEW, FEW, AROUND)
LENGTHS = some.one_of(some.integers(1, 12), some.integers(1, 40), some.sampled_from([510, 512, 513, 600, 1024]))
ADDRESSES = some.builds(lambda page: BASE + page * PAGE, PAGES)
BYTES = some.builds(lambda pages: pages * PAGE, LENGTHS)
ODD_ADDRESSES = some.one_of(ADDRESSES, ADDRESSES, some.builds(lambda at, by: at + by, ADDRESSES, some.sampled_from([1, 4095])))
ODD_BYTES = some.one_of(
    BYTES,
    BYTES,
    some.builds(lambda nbytes, by: nbytes + by, BYTES, some.sampled_from([-4095, -1, 1])),
    some.just(0),
)
WILD = some.sampled_from(
    [
        0,
        1,
        PAGE,
        65536,
        BASE,
        (1 << 47) - 2 * PAGE,
        (1 << 47) - PAGE,
        1 << 47,
        1 << 48,
        1 << 63,
        (1 << 63) - PAGE,
        (1 << 64) - BASE,
        (1 << 64) - 2 * PAGE,
        (1 << 64) - PAGE,
        (1 << 64) - 1,
    ]
)
PROT = some.sampled_from([3, 3, 3, 1, 0, 2, 5, 7])
SHARING = some.sampled_from([c.MAP_PRIVATE, c.MAP_PRIVATE, c.MAP_SHARED])
OPTIONS = some.sampled_from(
    [0, 0, 0, c.MAP_LOCKED, c.MAP_POPULATE, c.MAP_NORESERVE, c.MAP_POPULATE | c.MAP_NONBLOCK, c.MAP_LOCKED | c.MAP_NORESERVE]
)
EVERYWHERE = 2048 * PAGE
TOO_LARGE = range(1 << 24, 1 << 56)  # bytes that fit somewhere: the oracle would populate them, 5.10 munlock them page by page
WILD_BYTES = WILD.filter(lambda nbytes: nbytes not in TOO_LARGE)
MREMAP_FLAGS = some.sampled_from([0, 1, 1, 3, 3, 5, 5, 7, 2, 4, 8])
PAGES_ADVICE = [c.MADV_DONTNEED, c.MADV_DONTNEED, c.MADV_DONTNEED_LOCKED, c.MADV_FREE, c.MADV_REMOVE, c.MADV_WILLNEED]
FLAGS_ADVICE = [
    c.MADV_HUGEPAGE,
    c.MADV_HUGEPAGE,
    c.MADV_NOHUGEPAGE,
    *range(c.MADV_NORMAL, 3),
    *range(10, 20),
    5,
    7,
    99,
]
ADVICE = some.one_of(some.sampled_from(PAGES_ADVICE), some.sampled_from(FLAGS_ADVICE))
MCL = some.sampled_from([1, 2, 3, 5, 6, 7, 0, 4, 8])
WHO = some.integers(0, MAX_PROCESSES - 1)
ACCESS = some.sampled_from(["read", "write", "write"])
STRIDES = some.sampled_from([PAGE, PAGE, 2 * PAGE, 1 << 21, 1000])


class Programs(RuleBasedStateMachine):
    """Up to three processes and two files on two CPUs."""

    kernel = "6.1"

    @initialize(
        thp=some.sampled_from(["never", "never", "always", "madvise"]),
        max_map_count=some.sampled_from([65530, 65530, 65530, 12]),
        ram=some.sampled_from([None, RAM]),
        levels=some.sampled_from([4, 4, 5]),
        sizes=some.sampled_from([(), (1 << 14,), (1 << 16,), (1 << 15, 1 << 20)]),
    )
    def boot(self, thp: str, max_map_count: int, ram: int | None, levels: int, sizes: tuple[int, ...]) -> None:
        machine = {"thp": thp, "levels": levels, "nr_cpus": 2, "ram": ram, "max_map_count": max_map_count}
        machine |= {"mthp": sizes} if self.kernel == "6.12" else {}
        self.twins = Twins(self.kernel, **machine)
        self.files = [self.twins.create_file(40 * PAGE), self.twins.create_file(3 * PAGE)]

    def process(self, who: int) -> int:
        """A living process: the first never exits."""
        alive = [number for number, lives in enumerate(self.twins.alive) if lives]
        return alive[who % len(alive)]

    def call(self, who: int, name: str, *args: Any) -> Any:
        """A call of one of them."""
        return self.twins.call(self.process(who), name, *args)

    @rule(who=WHO, at=ADDRESSES, nbytes=BYTES, prot=PROT, sharing=SHARING, option=OPTIONS)
    def mmap_fixed(self, who: int, at: int, nbytes: int, prot: int, sharing: int, option: int) -> None:
        self.call(who, "mmap", at, nbytes, prot, sharing | c.MAP_ANONYMOUS | c.MAP_FIXED | option)

    @rule(
        who=WHO,
        at=some.one_of(ODD_ADDRESSES, some.none(), some.just(1 << 47)),
        nbytes=ODD_BYTES,
        prot=PROT,
        kind=some.sampled_from([1, 2, 2, 2, 0, 5]),
        option=some.sampled_from([0, 0, c.MAP_LOCKED, c.MAP_FIXED, c.MAP_FIXED_NOREPLACE, c.MAP_POPULATE]),
    )
    def mmap(self, who: int, at: int | None, nbytes: int, prot: int, kind: int, option: int) -> None:
        self.call(who, "mmap", at, nbytes, prot, kind | c.MAP_ANONYMOUS | option)

    @rule(
        who=WHO,
        at=ADDRESSES,
        nbytes=BYTES,
        prot=PROT,
        sharing=SHARING,
        option=OPTIONS,
        file=some.integers(0, 1),
        offset=some.sampled_from([0, 0, 2 * PAGE, 1]),
    )
    def mmap_file(self, who: int, at: int, nbytes: int, prot: int, sharing: int, option: int, file: int, offset: int) -> None:
        self.call(who, "mmap", at, nbytes, prot, sharing | c.MAP_FIXED | option, FileNumber(file), offset)

    @rule(who=WHO, at=ADDRESSES, nbytes=BYTES)
    def munmap(self, who: int, at: int, nbytes: int) -> None:
        self.call(who, "munmap", at, nbytes)

    @rule(who=WHO, at=ADDRESSES, nbytes=BYTES, prot=PROT)
    def mprotect(self, who: int, at: int, nbytes: int, prot: int) -> None:
        self.call(who, "mprotect", at, nbytes, prot)

    @rule(
        who=WHO,
        old=ADDRESSES,
        old_bytes=ODD_BYTES,
        new_bytes=ODD_BYTES,
        flags=MREMAP_FLAGS,
        new=ADDRESSES,
        keep=some.booleans(),
    )
    def mremap(self, who: int, old: int, old_bytes: int, new_bytes: int, flags: int, new: int, keep: bool) -> None:
        self.call(who, "mremap", old, old_bytes, old_bytes if keep else new_bytes, flags, new)

    @rule(who=WHO, at=ADDRESSES, nbytes=ODD_BYTES, advice=ADVICE)
    def madvise(self, who: int, at: int, nbytes: int, advice: int) -> None:
        self.call(who, "madvise", at, nbytes, advice)

    @rule(who=WHO, at=ODD_ADDRESSES, nbytes=ODD_BYTES, flags=some.integers(0, 8))
    def msync(self, who: int, at: int, nbytes: int, flags: int) -> None:
        self.call(who, "msync", at, nbytes, flags)

    @rule(who=WHO, at=ODD_ADDRESSES, nbytes=BYTES, access=ACCESS, stride=STRIDES)
    def touch(self, who: int, at: int, nbytes: int, access: str, stride: int) -> None:
        self.call(who, "touch", at, nbytes, access, stride)

    @rule(who=WHO, at=ADDRESSES, nbytes=BYTES, access=ACCESS)
    def touch_again(self, who: int, at: int, nbytes: int, access: str) -> None:
        self.call(who, "touch", at, nbytes, access)

    @rule(who=WHO, at=ADDRESSES, nbytes=some.one_of(BYTES, some.just(EVERYWHERE)))
    def swap_out(self, who: int, at: int, nbytes: int) -> None:
        self.call(who, "swap_out", at, nbytes)

    @rule(who=WHO, at=ADDRESSES, nbytes=BYTES, then=some.sampled_from(["fork", "mlock2", "madvise", "touch", "mlock"]))
    def written_and_swapped_out(self, who: int, at: int, nbytes: int, then: str) -> None:
        """Memory in swap, which chance alone hardly finds, and what may meet it there."""
        self.call(who, "mmap", at, nbytes, 3, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED)
        self.call(who, "touch", at, nbytes, "write")
        self.call(who, "swap_out", at, nbytes)
        if then == "fork":
            if len(self.twins.alive) < 6 and sum(self.twins.alive) < MAX_PROCESSES:
                self.call(who, "fork")
            return
        last = {"mlock2": (c.MLOCK_ONFAULT,), "madvise": (c.MADV_FREE,), "touch": ("read",)}
        self.call(who, then, at, nbytes, *last.get(then, ()))

    @rule(who=WHO, access=ACCESS)
    def touch_everything(self, who: int, access: str) -> None:
        for vma in self.twins.processes[self.process(who)][ORACLE].smaps():
            if vma.end - vma.start <= EVERYWHERE:
                self.call(who, "touch", vma.start, vma.end - vma.start, access)

    @rule(who=WHO, at=ODD_ADDRESSES, nbytes=ODD_BYTES)
    def mlock(self, who: int, at: int, nbytes: int) -> None:
        self.call(who, "mlock", at, nbytes)

    @rule(who=WHO, at=ODD_ADDRESSES, nbytes=ODD_BYTES, flags=some.sampled_from([0, 1, 1, 2]))
    def mlock2(self, who: int, at: int, nbytes: int, flags: int) -> None:
        self.call(who, "mlock2", at, nbytes, flags)

    @rule(who=WHO, at=ODD_ADDRESSES, nbytes=ODD_BYTES)
    def munlock(self, who: int, at: int, nbytes: int) -> None:
        self.call(who, "munlock", at, nbytes)

    @rule(who=WHO, flags=MCL)
    def mlockall(self, who: int, flags: int) -> None:
        self.call(who, "mlockall", flags)

    @rule(who=WHO)
    def munlockall(self, who: int) -> None:
        self.call(who, "munlockall")

    @precondition(lambda self: len(self.twins.alive) < 6 and sum(self.twins.alive) < MAX_PROCESSES)
    @rule(who=WHO)
    def fork(self, who: int) -> None:
        self.call(who, "fork")

    @precondition(lambda self: sum(self.twins.alive) > 1)
    @rule(who=some.integers(1, MAX_PROCESSES - 1))
    def exit(self, who: int) -> None:
        process = self.process(who)
        if process:
            self.twins.call(process, "exit")

    @rule(who=WHO, nbytes=some.sampled_from([0, PAGE, 16 * PAGE, 16 * PAGE + 100, 600 * PAGE]), drop=some.booleans())
    def limit(self, who: int, nbytes: int, drop: bool) -> None:
        self.call(who, "setrlimit_memlock", nbytes)
        if drop:
            self.call(who, "drop_cap_ipc_lock")

    @rule(file=some.integers(0, 1), nbytes=some.sampled_from([0, 1, PAGE, 3 * PAGE, 20 * PAGE, 40 * PAGE]))
    def truncate(self, file: int, nbytes: int) -> None:
        self.twins.truncate(file, nbytes)

    @rule(file=some.integers(0, 1), offset=some.sampled_from([0, 1, PAGE, 5 * PAGE]), nbytes=ODD_BYTES.filter(bool))
    def punch_hole(self, file: int, offset: int, nbytes: int) -> None:
        self.twins.punch_hole(file, offset, nbytes)

    @rule()
    def drain(self) -> None:
        self.twins.call(0, "lru_add_drain_all")

    @rule(cpu=some.integers(0, 1))
    def switch_cpu(self, cpu: int) -> None:
        self.twins.set_cpu(cpu)

    @rule(who=WHO, name=some.sampled_from(["mlock", "munlock", "munmap"]), at=some.one_of(WILD, ADDRESSES), nbytes=WILD)
    def wild_range(self, who: int, name: str, at: int, nbytes: int) -> None:
        self.call(who, name, at, nbytes)

    @rule(who=WHO, name=some.sampled_from(["mprotect", "madvise", "msync"]), at=some.one_of(WILD, ADDRESSES), nbytes=WILD)
    def wild_change(self, who: int, name: str, at: int, nbytes: int) -> None:
        self.call(who, name, at, nbytes, c.MADV_NOHUGEPAGE if name == "madvise" else 1)

    @rule(who=WHO, at=some.one_of(WILD, ADDRESSES), flags=MREMAP_FLAGS, old_bytes=WILD_BYTES, new_bytes=WILD_BYTES, new=WILD)
    def wild_mremap(self, who: int, at: int, flags: int, old_bytes: int, new_bytes: int, new: int) -> None:
        self.call(who, "mremap", at, old_bytes, new_bytes, flags, new)

    @rule(
        who=WHO,
        at=WILD,
        nbytes=WILD_BYTES,
        fixed=some.sampled_from([0, c.MAP_FIXED]),
    )
    def wild_mmap(self, who: int, at: int, nbytes: int, fixed: int) -> None:
        self.call(who, "mmap", at, nbytes, 3, c.MAP_PRIVATE | c.MAP_ANONYMOUS | fixed)

    def teardown(self) -> None:
        if hasattr(self, "twins"):
            for number, lives in enumerate(self.twins.alive):
                if lives:
                    self.twins.call(number, "exit")
            self.twins.call(0, "lru_add_drain_all")


class Programs510(Programs):
    """Linux 5.10: per-page and hole-skip."""

    kernel = "5.10"


class Programs612(Programs):
    """Linux 6.12, with large folios of one size or another, or none."""

    kernel = "6.12"


@pytest.mark.parametrize("programs", [Programs510, Programs, Programs612], ids=["5.10", "6.1", "6.12"])
def test_random_programs(programs: type[Programs]) -> None:
    run_state_machine_as_test(fixed(programs.kernel)(programs), settings=SETTINGS)
