"""Kinds of reservations, and the rules by which VMAs are told to be of one: facts about runtimes, and from captured layouts.

Each rule says in which layouts it was seen. What a rule does not ask for it leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KiB, MiB, GiB, TiB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
ANY: Final = (0, 1 << 64)
JVM: Final = r"/libjvm\.so"
V8: Final = r"/(?:node|nodejs|deno|electron|chrome|chromium|msedge|brave)(?: \(deleted\))?$"
CHROMIUM: Final = r"/(?:electron|chrome|chromium|msedge|brave)(?: \(deleted\))?$"
ZGC: Final = "^/memfd:java_heap"
HARDENED: Final = r"hardened_malloc|/hm8-[\w-]*\.so"


@dataclass(frozen=True)
class Kind:
    """A kind of reservation."""

    name: str
    what: str
    advice: str = ""  # one sentence; "": nothing that one could do is known


@dataclass(frozen=True)
class Rule:
    """What must be seen of a VMA for it to be of a kind. Lengths and addresses are in bytes, both ends of lengths included."""

    kind: str
    perms: str = "...."  # pattern, as in maps
    anonymous: bool | None = None  # private, and maps no file
    path: str = ""  # pattern
    executed: bool = False  # that path is mapped executable somewhere
    sign: str = ""  # pattern of a path that must be mapped anywhere in the process
    size: tuple[int, int] = ANY
    start: tuple[int, int] = ANY  # its address: from, to (exclusive)
    begins: int = -1  # an address at which some VMA of the process must begin
    stretch: tuple[int, int] = ANY  # of the private anonymous VMAs around it without a gap
    least_vmas: int = 1  # in that stretch
    least_closed: float = 0.0  # part of that stretch that is PROT_NONE
    stretch_has: str = ""  # pattern of permissions that a VMA of that stretch must have
    flags: str = ""  # VmFlags that it must have, where flags are known
    no_flags: str = ""  # VmFlags that it must not have
    slot: int = 0  # alone or with its neighbour it fills aligned slots of this length
    before: str = ""  # pattern of permissions of the VMA that ends where this one starts
    after: str = ""  # likewise, that starts where this one ends
    neighbour_most: int = 1 << 64  # length of that neighbour


UNKNOWN: Final = Kind("unknown", "nothing that was looked for tells what this is")
_ALL: Final = (
    Kind("kernel", "the kernel's own pages: vDSO and its data, which cannot be locked"),
    Kind("stack", "the main thread's stack", "it grows to what ulimit -s allows, and is no larger than what was used"),
    Kind("brk heap", "the heap that brk() grows", "return memory by malloc_trim(), or lower M_TRIM_THRESHOLD"),
    Kind("program", "the program's and its libraries' code and data"),
    Kind("file", "a file that is mapped", "map the part that is needed, or read() it"),
    Kind("LMDB map", "an LMDB environment: its whole map size as one shared file mapping", "lower mdb_env_set_mapsize()"),
    Kind("shared memory", "memory that processes share", "size it by what is used: for PostgreSQL shared_buffers"),
    Kind(
        "hardened_malloc",
        "slab regions of all size classes and arenas, and guards: PROT_NONE until used",
        "build it with a smaller CONFIG_CLASS_REGION_SIZE and fewer CONFIG_N_ARENA: 1 GiB and 1 take 98 GiB, not 12.25 TiB",
    ),
    Kind(
        "ASan shadow",
        "AddressSanitizer's shadow, an eighth of the address space, and the gap in it",
        "its place and size are fixed: do not lock memory in sanitized builds",
    ),
    Kind(
        "sanitizer allocator",
        "the 4 TiB in which the sanitizers' allocator has a slice for each size class",
        "its place and size are fixed: do not lock memory in sanitized builds",
    ),
    Kind(
        "TSan shadow",
        "ThreadSanitizer's shadow and meta shadow, and what it closes so that nothing else lands there",
        "its place and size are fixed: do not lock memory in sanitized builds",
    ),
    Kind("Java heap", "the heap, reserved up to -Xmx", "lower -Xmx: all of it is reserved, whatever is used"),
    Kind(
        "ZGC heap",
        "ZGC's views of the heap: three, each 16 times -Xmx",
        "lower -Xmx, or use a collector that reserves the heap once: -XX:+UseG1GC",
    ),
    Kind("ZGC mark stacks", "room for ZGC's mark stacks", "lower -XX:ZMarkStackSpaceLimit"),
    Kind(
        "JVM class space",
        "compressed class space, 1 GiB unless told otherwise",
        "lower -XX:CompressedClassSpaceSize, or do without by -XX:-UseCompressedClassPointers",
    ),
    Kind("JVM code cache", "compiled code, 240 MiB unless told otherwise", "lower -XX:ReservedCodeCacheSize"),
    Kind("JVM tables", "the collector's tables, which grow with the heap: cards, bitmaps", "lower -Xmx, which they follow"),
    Kind(
        "V8 sandbox",
        "V8's sandbox of 1 TiB and the guards around it",
        "nothing at run time: it is built in (GN argument v8_enable_sandbox)",
    ),
    Kind("V8 code range", "room for compiled JavaScript"),
    Kind(
        "wasm memory in V8",
        "a WebAssembly memory with the guard regions that spare its bounds checks",
        "have bounds checked by code: --disable-wasm-trap-handler (Node.js), --no-wasm-trap-handler (V8)",
    ),
    Kind(
        "wasmtime memory",
        "a WebAssembly memory of wasmtime with its guard regions",
        "lower Config::memory_reservation and Config::memory_guard_size",
    ),
    Kind("PartitionAlloc pool", "a pool of Chromium's allocator, 16 GiB", "nothing at run time: it is built in"),
    Kind(
        "GHC heap",
        "the address space of GHC's two-step allocator, 1 TiB",
        "lower it by +RTS -xr, or build GHC without large address space",
    ),
    Kind("Go heap", "arenas of Go's heap, each 64 MiB", "nothing to gain: an arena is reserved when it is needed"),
    Kind("Go page summaries", "Go's index of its heap's pages, for any heap that could be", "its size is fixed"),
    Kind("Erlang literals", "the super carrier for literals, 1 GiB", "lower +MIscs (in MB)"),
    Kind("SBCL dynamic space", "the heap of SBCL, reserved whole", "lower --dynamic-space-size"),
    Kind(
        "glibc arena",
        "a thread arena of glibc's malloc: 64 MiB, of which the unused part is PROT_NONE",
        "fewer arenas: GLIBC_TUNABLES=glibc.malloc.arena_max=2, or MALLOC_ARENA_MAX=2",
    ),
    Kind(
        "thread stack",
        "a thread's stack",
        "make them smaller: pthread_attr_setstacksize(), or ulimit -s before the program starts",
    ),
    Kind("guard", "a guard of a few pages"),
    Kind("jemalloc", "memory of jemalloc", "have unused memory returned sooner: MALLOC_CONF=dirty_decay_ms"),
    Kind("anonymous memory", "private memory that can be accessed; nothing tells whose"),
    UNKNOWN,
)
KINDS: Final = {one.name: one for one in _ALL}
_POOL: Final = (16 * GiB - 64 * MiB, 16 * GiB)
_TWO_POOLS: Final = (32 * GiB - 64 * MiB, 32 * GiB)  # side by side
_LOW_32_GIB: Final = (0, 32 * GiB)  # where a heap lies whose pointers are compressed
_LONG: Final = 1 << 64

RULES: Final = (
    Rule("kernel", path=r"^\[(?:vdso|vvar|vvar_vclock|uprobes)\]$"),
    Rule("stack", path=r"^\[stack"),
    Rule("brk heap", path=r"^\[heap\]$"),
    Rule("LMDB map", path=r"\.mdb$", perms="...s"),  # python_lmdb_64g
    # java17_zgc_4g: three views at 4, 8 and 16 TiB.
    Rule("ZGC heap", path=ZGC),
    Rule("ZGC heap", sign=ZGC, perms="---p", anonymous=True, start=(4 * TiB, 32 * TiB), size=(16 * MiB, _LONG)),
    Rule("ZGC mark stacks", sign=ZGC, perms="---p", anonymous=True, size=(7 * GiB, 8 * GiB)),
    # c_asan_gcc: the shadow of x86-64 is at 0x7fff7000 (GCC), 0x7fff8000 (Clang), up to the seventeenth TiB.
    Rule("ASan shadow", anonymous=True, begins=0x7FFF7000, start=(0x7FFF7000, 0x10007FFF8000), size=(16 * MiB, _LONG)),
    Rule("ASan shadow", anonymous=True, begins=0x7FFF8000, start=(0x7FFF8000, 0x10007FFF8000), size=(16 * MiB, _LONG)),
    Rule("sanitizer allocator", anonymous=True, begins=0x600000000000, start=(0x600000000000, 0x640000010000)),
    # c_tsan_clang: its heap is from 0x7b0000000000 on.
    Rule("sanitizer allocator", anonymous=True, begins=0x10000000000, start=(0x7B0000000000, 0x7C0000010000)),
    Rule("TSan shadow", anonymous=True, begins=0x10000000000, start=(0x8000000000, 1 << 47), size=(64 * GiB, _LONG)),
    # ghc_shellcheck
    Rule("GHC heap", anonymous=True, start=(0x4200000000, 0x14200000000), stretch=(TiB - GiB, TiB + GiB)),
    Rule("hardened_malloc", anonymous=True, sign=HARDENED, stretch=(GiB, _LONG), no_flags="nr", least_closed=0.5),
    # c_hardened_malloc_*, cryptsetup237_luksFormat_hm8_default: slabs and guard slabs in turn, nearly all of it closed.
    Rule("hardened_malloc", anonymous=True, stretch=(90 * GiB, _LONG), least_vmas=64, least_closed=0.99, no_flags="nr"),
    # chromium_renderer
    Rule("V8 sandbox", anonymous=True, sign=V8, stretch=(TiB, 2 * TiB)),
    Rule("V8 sandbox", anonymous=True, sign=CHROMIUM, perms="---p", size=(64 * GiB, 64 * GiB), flags="nr dd"),
    Rule("PartitionAlloc pool", anonymous=True, sign=CHROMIUM, stretch=_POOL, no_flags="nr"),
    Rule("PartitionAlloc pool", anonymous=True, sign=CHROMIUM, stretch=_TWO_POOLS, no_flags="nr"),
    # node20_wasm5: 10 GiB each (8 GiB in newer ones), guards of neighbours merge.
    Rule("wasm memory in V8", anonymous=True, sign=V8, perms="---p", size=(2 * GiB, 11 * GiB), flags="nr"),
    Rule("V8 code range", anonymous=True, sign=V8, stretch=(64 * MiB, 640 * MiB), stretch_has="..x.", flags="nr"),
    Rule("V8 code range", anonymous=True, sign=V8, perms="---p", size=(64 * MiB, 640 * MiB), before="rwxp", flags="nr"),
    # python_wasmtime5: 4 GiB and 32 MiB on either side; older ones 2 GiB.
    Rule("wasmtime memory", anonymous=True, sign="wasmtime", perms="---p", size=(2 * GiB, 9 * GiB), flags="nr"),
    Rule("wasmtime memory", anonymous=True, sign="wasmtime", perms="---p", size=(32 * MiB, 32 * MiB), flags="nr"),
    # go119: the first arena is at 0xc000000000.
    Rule("Go heap", anonymous=True, start=(0xC000000000, 0xE000000000), slot=4 * MiB),
    Rule("Go page summaries", anonymous=True, begins=0xC000000000, perms="---p", size=(16 * MiB, GiB), no_flags="nr"),
    Rule("SBCL dynamic space", anonymous=True, sign=r"/sbcl\.core", perms="rwxp", size=(MiB, _LONG), flags="nr"),
    # Whatever has threads and glibc's malloc.
    Rule("glibc arena", anonymous=True, perms="---p|rw-p", slot=64 * MiB, size=(1, 64 * MiB), flags="nr"),
    # java17_*
    Rule("JVM code cache", anonymous=True, sign=JVM, perms="rwxp", size=(MiB, 512 * MiB)),
    Rule("JVM code cache", anonymous=True, sign=JVM, perms="---p", before="rwxp", size=(MiB, 512 * MiB)),
    Rule("Java heap", anonymous=True, sign=JVM, start=_LOW_32_GIB, size=(MiB, _LONG)),
    Rule("JVM class space", anonymous=True, sign=JVM, perms="---p", size=(900 * MiB, GiB), flags="nr"),
    Rule("JVM tables", anonymous=True, sign=JVM, perms="---p", size=(MiB, _LONG), flags="nr"),
    # erlang25
    Rule("Erlang literals", anonymous=True, sign=r"/beam\.smp", perms="---p", size=(512 * MiB, GiB), flags="nr"),
    Rule("jemalloc", anonymous=True, sign="/libjemalloc", perms="rw-p", size=(MiB, _LONG), flags="nr"),
    Rule("thread stack", anonymous=True, perms="rw-p", size=(256 * KiB, GiB), before="---p", neighbour_most=MiB),
    Rule("guard", anonymous=True, perms="---p", size=(1, MiB), after="rw.p"),
    Rule("shared memory", perms="...s", path="^/(?:dev/zero|dev/shm/|SYSV|memfd:)"),
    Rule("program", path=r"^/.*\.so[.\d]*$"),
    Rule("program", path="^/", executed=True),
    Rule("file", path="^/"),
    Rule("anonymous memory", anonymous=True, perms="(?!---).*"),
)
