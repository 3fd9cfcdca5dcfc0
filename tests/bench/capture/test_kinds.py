"""What reservations are, held to what is known of the programs whose layouts ship."""

import re

import msgspec
import pytest

from bench.capture.anonymise import anonymise
from bench.capture.kind_rules import KINDS, RULES, UNKNOWN
from bench.capture.kinds import by_kind, classify
from bench.workloads import layout
from bench.workloads.layout import Document, Layout, Vma

MiB, GiB, TiB = 1 << 20, 1 << 30, 1 << 40

# From the documentation of these runtimes, and from how the programs were started: bytes reserved, at least and at most.
KNOWN = [
    ("c_asan_gcc", "ASan shadow", 16 * TiB - 2 * GiB, 16 * TiB + 4096),  # an eighth of 128 TiB, less the low gap
    ("c_asan_gcc", "sanitizer allocator", 4 * TiB, 4 * TiB + 64 * GiB),
    ("c_tsan_clang", "TSan shadow", 115 * TiB, 124.5 * TiB),
    ("c_hardened_malloc_default", "hardened_malloc", 12544 * GiB, 12.5 * TiB),  # 4 arenas x 49 classes x 2 x 32 GiB, and guards
    ("c_hardened_malloc_r1g1", "hardened_malloc", 98 * GiB, 102 * GiB),  # 49 x 2 x 1 GiB
    ("cryptsetup237_luksFormat_hm8_default", "hardened_malloc", 12544 * GiB, 12.5 * TiB),
    ("ghc_shellcheck", "GHC heap", TiB, TiB + GiB),
    ("chromium_renderer", "V8 sandbox", 1376 * GiB, 1400 * GiB),  # 64 + 1,024 + 288 GiB
    ("chromium_renderer", "PartitionAlloc pool", 48 * GiB, 64 * GiB),  # of 16 GiB
    ("node20_wasm5", "wasm memory in V8", 49.9 * GiB, 50 * GiB),  # five of 10 GiB
    ("node20_plain", "V8 code range", 510 * MiB, 512 * MiB),
    ("node20_wasm5", "V8 code range", 510 * MiB, 512 * MiB),
    ("python_wasmtime5", "wasmtime memory", 20.3 * GiB, 20.32 * GiB),  # five of 4 GiB and 64 MiB
    ("java17_zgc_4g", "ZGC heap", 192 * GiB, 192 * GiB),  # 4 GiB x 16 x 3
    ("java17_zgc_4g", "ZGC mark stacks", 7.9 * GiB, 8 * GiB),
    ("java17_zgc_4g", "JVM class space", 1023 * MiB, GiB),
    ("java17_default", "JVM class space", 1023 * MiB, GiB),
    ("java17_g1_1g_thp", "Java heap", 1022 * MiB, GiB),  # -Xmx1g, less the archive of classes
    ("java17_default", "JVM code cache", 230 * MiB, 260 * MiB),  # 240 MiB, and code that is not in it
    ("python_lmdb_64g", "LMDB map", 64 * GiB, 64 * GiB + MiB),
    ("go119", "Go heap", 128 * MiB, 128 * MiB),  # arenas of 64 MiB
    ("go119", "Go page summaries", 580 * MiB, 620 * MiB),
    ("erlang25", "Erlang literals", 1021 * MiB, GiB),
    ("sbcl", "SBCL dynamic space", 1004 * MiB, 1200 * MiB),  # of 1 GiB, and its other spaces
    ("c_glibc_200threads", "thread stack", 200 * 8 * MiB, 200 * 8 * MiB),
    ("c_glibc_200threads", "glibc arena", 30 * 64 * MiB, 34 * 64 * MiB),
    ("postgres15", "shared memory", 142 * MiB, 143 * MiB),
]


def reserved(name: str) -> dict[str, int]:
    """Return the bytes of each kind in a layout."""
    return {one.kind.name: one.nbytes for one in by_kind(layout.load(name))}


@pytest.mark.parametrize(("name", "kind", "least", "most"), KNOWN)
def test_reservations_are_told(name: str, kind: str, least: float, most: float) -> None:
    assert least <= reserved(name)[kind] <= most


@pytest.mark.parametrize("name", layout.shipped_names())
def test_nothing_is_taken_for_what_another_program_has(name: str) -> None:
    told = {kind for one, kind, _, _ in KNOWN if one == name}
    everybodys = {"kernel", "stack", "brk heap", "program", "file", "guard", "thread stack", "glibc arena", "anonymous memory"}
    beside = {
        "java17_default": {"Java heap", "JVM tables"},
        "java17_g1_1g_thp": {"JVM class space", "JVM code cache", "JVM tables"},
        "java17_zgc_4g": {"JVM code cache", "JVM tables"},
        "c_tsan_clang": {"sanitizer allocator"},
        "c_jemalloc": {"jemalloc"},
        "redis7": {"jemalloc"},  # linked with it
        "erlang25": {"shared memory"},
        "chromium_renderer": {"shared memory"},
    }
    assert set(reserved(name)) <= told | everybodys | {"unknown"} | beside.get(name, set())


@pytest.mark.parametrize("name", layout.shipped_names())
def test_little_is_unknown_and_unknown_is_said(name: str) -> None:
    found = layout.load(name)
    unknown = [(one, vma) for one, vma in zip(classify(found), found.vmas, strict=True) if one.kind is UNKNOWN]
    # Chromium: the purpose of 4 GiB at 0x10000, of 1 GiB beside its pools, and of 2 GiB of library space is not known.
    assert sum(vma.last - vma.first for _, vma in unknown) < (8 * GiB if name == "chromium_renderer" else 16 * MiB)
    assert all(one.evidence == "" for one, _ in unknown)
    assert all(one.evidence for one in classify(found) if one.kind is not UNKNOWN)


def test_what_has_a_shape_is_told_without_names() -> None:
    for name, kind in (
        ("c_hardened_malloc_default", "hardened_malloc"),
        ("c_asan_gcc", "ASan shadow"),
        ("c_tsan_clang", "TSan shadow"),
        ("ghc_shellcheck", "GHC heap"),
        ("go119", "Go heap"),
        ("c_glibc_200threads", "glibc arena"),
    ):
        found = layout.load(name)
        bare = Layout(name, "", anonymise(found.document))
        sums = {one.kind.name: one.nbytes for one in by_kind(bare)}
        assert sums[kind] >= 0.98 * reserved(name)[kind], name


def test_what_has_no_shape_is_not_guessed() -> None:
    vma = Vma("0x7f0000000000", "0x7f8000000000", "---p", ("mr", "mw", "me"), ())
    document = Document(1, "p", "", "", 4096, 1, (vma,))
    assert [one.kind for one in classify(Layout("p", "", document))] == [UNKNOWN]
    readable = msgspec.structs.replace(document, vmas=(msgspec.structs.replace(vma, perms="rw-p"),))
    assert [one.kind.name for one in classify(Layout("p", "", readable))] == ["anonymous memory"]


def test_rules_and_kinds_belong_together() -> None:
    assert {rule.kind for rule in RULES} | {"unknown"} == set(KINDS)
    for rule in RULES:
        for pattern in (rule.perms, rule.path, rule.sign, rule.before, rule.after, rule.stretch_has):
            re.compile(pattern)


def test_sums_are_of_all_vmas() -> None:
    found = layout.load("java17_default")
    sums = by_kind(found)
    assert sum(one.nbytes for one in sums) == found.span
    assert sum(one.nr_vmas for one in sums) == len(found.vmas)
    assert sum(one.nr_present for one in sums) == found.nr_present
    assert [one.nbytes for one in sums] == sorted((one.nbytes for one in sums), reverse=True)
