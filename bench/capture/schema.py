"""The JSON schema of layout files: made from the types that read and write them, and what their checks hold beside."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.workloads.layout import MAX_VMAS, Document

FILE: Final = "layout.schema.json"
_HEXADECIMAL: Final = "^(0x)?[0-9a-f]{1,16}$"
_PATTERNS: Final = {
    "start": _HEXADECIMAL,
    "end": _HEXADECIMAL,
    "offset": _HEXADECIMAL,
    "perms": "^[r-][w-][x-][ps]$",
}
_RUNS: Final = ("present", "thp", "zero", "file", "thp_pte", "large", "swapped")
# What a schema cannot say.
_RULES: Final = (
    "VMAs are in address order and do not overlap; start and end are multiples of 4096, at most 2**56. Runs are pairs: first"
    " page counted from the VMA's start, number of pages; they ascend, do not overlap, and lie in the VMA. All but swapped are"
    " among present; thp are whole aligned huge pages of 2 MiB; zero excludes file and thp, thp excludes thp_pte."
)


def schema() -> dict[str, Any]:
    """Return the schema, JSON Schema 2020-12."""
    (found,), parts = msgspec.json.schema_components([Document], ref_template="#/$defs/{name}")
    vma = parts["Vma"]["properties"]
    for name, pattern in _PATTERNS.items():
        vma[name]["pattern"] = pattern
    vma["flags"]["items"]["pattern"] = "^[a-z?0-9]{2}$"
    for name in _RUNS:
        first, nr = vma[name]["items"]["prefixItems"]
        first["minimum"], nr["minimum"] = 0, 1
    parts["Document"]["properties"]["vmas"] |= {"minItems": 1, "maxItems": MAX_VMAS}
    parts["Unplaced"]["properties"]["least"]["minimum"] = 0
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The address space of a process",
        "$comment": _RULES,
        **found,
        "$defs": dict(sorted(parts.items())),
    }


def text() -> str:
    """Return the schema as the file that ships with the package has it."""
    return json.dumps(schema(), indent=1) + "\n"


def shipped() -> str:
    """Return the file that ships with the package."""
    return (Path(str(resources.files("bench"))) / "data" / FILE).read_text(encoding="utf-8")
