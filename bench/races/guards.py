"""What can be left out of the paths, to see what it is there for."""

from __future__ import annotations

from typing import Final

from mmmodel import steps

VM_IO_GUARD: Final = "vm-io"
ALL_SPECIAL: Final = "all-special"
ONE_STORE: Final = "one-store"
FLAGS_FIRST: Final = "flags-first"
DRAINS: Final = "drains"
MIGRATION_DRAIN: Final = "migration-drain"
LRU_FIRST: Final = "lru-first"
BATCHES: Final = "batches"  # left out with ALL_SPECIAL in races of patch 07: pages wait in a batch of their CPU
GUARDS: Final = {
    VM_IO_GUARD: "VM_IO is set while mlock walks, so that others do not count what the walk will",
    ALL_SPECIAL: "the rmap hook declines every flag of VM_SPECIAL, as 5.18 does; without, VM_IO alone, as patch 07 did",
    ONE_STORE: "VM_LOCKED and VM_IO appear in one store",
    FLAGS_FIRST: "VM_LOCKED is changed before the walk, not after it",
    DRAINS: "mlock and munlock process this CPU's batch before and after the walk",
    MIGRATION_DRAIN: "migration processes this CPU's batch before it drops the page table lock",
    LRU_FIRST: "migration puts the page on its LRU before it maps it, as patch 08 does; without, afterwards",
}
BITS: Final = {  # of ctl[LEFT_OUT]
    VM_IO_GUARD: steps.VM_IO_GUARD,
    ALL_SPECIAL: steps.ALL_SPECIAL,
    ONE_STORE: steps.ONE_STORE,
    FLAGS_FIRST: steps.FLAGS_FIRST,
    DRAINS: steps.DRAINS,
    MIGRATION_DRAIN: steps.MIGRATION_DRAIN,
    LRU_FIRST: 0,  # of no step: another path
    BATCHES: steps.BATCHES,
}
