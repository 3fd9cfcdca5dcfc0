"""Names of implementations are the registry's: no module of bench holds one in a text of its own."""

import ast
import re
from pathlib import Path

import pytest

import bench
from mmmodel.kernels import EVERY_IMPLEMENTATION

BENCH = Path(bench.__file__).parent
NAME = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, EVERY_IMPLEMENTATION))})(?![\w-])")


def names_in(source: str) -> set[str]:
    """Return the implementations that the texts of a module name; docstrings may, for they say what something is."""
    tree = ast.parse(source)
    told: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            told.add(id(node.body[0].value))  # type: ignore[attr-defined]  # the expression that is the docstring
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in told)
    return {found for text in constants if isinstance(text.value, str) for found in NAME.findall(text.value)}


@pytest.mark.parametrize("path", sorted(BENCH.rglob("*.py")), ids=lambda path: path.relative_to(BENCH).as_posix())
def test_no_module_names_an_implementation(path: Path) -> None:
    assert names_in(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("name", EVERY_IMPLEMENTATION)
def test_a_name_would_be_found(name: str) -> None:
    assert names_in(f'"""About {name}."""\nX = "{name}"') == {name}
    assert names_in(f'def f():\n    """About {name}."""\n    return f"munlockall/{name} took {{1}}"') == {name}
    assert names_in(f'"""About {name}."""\nX = "{name}er"  # {name}') == set()
