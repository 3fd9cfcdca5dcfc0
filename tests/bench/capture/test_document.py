"""What layouts are written as: the schema of the files, and what is left when names are taken out."""

import gzip
import json
import re
import sys
from typing import Any

import msgspec

from bench.capture import schema
from bench.capture.anonymise import anonymise
from bench.capture.document import encode, pack
from bench.capture.live import capture
from bench.workloads import layout
from bench.workloads.layout import Vma
from support.captured import child


def test_the_schema_that_ships_is_that_of_the_types() -> None:
    assert schema.shipped() == schema.text(), "run: python3 run.py capture --schema > bench/data/layout.schema.json"


def holds(value: Any, rule: dict[str, Any], parts: dict[str, Any]) -> bool:
    """Tell whether a value keeps a schema; of its words only those that this one has."""
    if "$ref" in rule:
        return holds(value, parts[rule["$ref"].rsplit("/", 1)[1]], parts)
    if "anyOf" in rule:
        return any(holds(value, one, parts) for one in rule["anyOf"])
    types = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
    if "type" in rule and type(value) is not types[rule["type"]]:
        return False
    if isinstance(value, dict):
        return set(rule["required"]) <= set(value) <= set(rule["properties"]) and all(
            holds(one, rule["properties"][name], parts) for name, one in value.items()
        )
    if isinstance(value, list):
        items = rule.get("prefixItems", [rule.get("items")] * len(value))
        return rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)) and all(
            holds(one, item, parts) for one, item in zip(value, items, strict=True)
        )
    if isinstance(value, str):
        return re.search(rule.get("pattern", ""), value) is not None
    return value in rule.get("enum", [value]) and not (isinstance(value, int) and value < rule.get("minimum", value))


def test_layouts_that_ship_and_are_captured_keep_the_schema() -> None:
    rule = json.loads(schema.shipped())
    with child() as one:
        captured = json.loads(encode(capture(one.pid)))
    shipped = [
        json.loads(gzip.decompress((layout._shipped() / (name + layout.SUFFIX)).read_bytes()))
        for name in layout.shipped_names()
    ]
    for content in (captured, *shipped):
        assert holds(content, rule, rule["$defs"])
    for place, name, wrong in (
        (captured, "format", 2),
        (captured, "vmas", []),
        (captured["vmas"][0], "start", "0X1"),
        (captured["vmas"][0], "perms", "rw"),
        (captured["vmas"][0], "present", [[0, 0]]),
        (captured["vmas"][0], "present", [[0, 1, 2]]),
        (captured, "more", 1),
    ):
        before = dict(place)
        place[name] = wrong
        assert not holds(captured, rule, rule["$defs"]), name
        place.clear()
        place.update(before)


def test_a_file_is_the_same_bytes_each_time_and_reads_back() -> None:
    with child() as one:
        made = capture(one.pid)
    assert pack(encode(made)) == pack(encode(made))
    assert layout.decode(pack(encode(made)), "it", "it").document == made


def test_names_are_taken_out_and_kinds_are_kept() -> None:
    with child() as one:
        one.area("shared", "memfd", 1 << 20, [1], [1])
        made = capture(one.pid)
    secret = msgspec.structs.replace(made.vmas[0], path="[anon:my secret]", comment="secret", inode="")
    made = msgspec.structs.replace(made, vmas=(secret, *made.vmas[1:]), comment="a secret")
    bare = anonymise(made)
    text = encode(bare).decode()
    for word in ("secret", "python", "captured_child", sys.executable, "lib", "shared"):
        assert word not in text, word
    assert bare.source is not None and bare.source.anonymised
    assert re.fullmatch(r"Linux \d+\.\d+\.\d+", bare.kernel)
    assert layout.decode(encode(bare), "it", "it").document == bare

    def but_names(vma: Vma) -> Vma:
        return msgspec.structs.replace(vma, path="", inode="", comment="")

    assert [but_names(vma) for vma in bare.vmas] == [but_names(vma) for vma in made.vmas]
    paths = {(one.path, two.path) for one, two in zip(made.vmas, bare.vmas, strict=True)}
    assert len(paths) == len({one for one, _ in paths}) == len({two for _, two in paths})  # one for one
    kinds = dict(paths)
    assert {kinds[path] for path in ("[heap]", "[stack]", "[vdso]", "")} == {"[heap]", "[stack]", "[vdso]", ""}
    assert re.fullmatch(r"/memfd:\d+ \(deleted\)", kinds["/memfd:shared (deleted)"])
    assert re.fullmatch(r"\[anon:\d+\]", kinds["[anon:my secret]"])
    assert any(re.fullmatch(r"/file/\d+\.so", path) for path in kinds.values())
