"""Imports of the model go down the list of modules in docs/architecture.md."""

import ast
import re
import shutil
from pathlib import Path

import pytest

import mmmodel

PACKAGE = Path(mmmodel.__file__).parent
ARCHITECTURE = PACKAGE.parent / "docs" / "architecture.md"


def layers() -> list[str]:
    """Return the modules in the order of the document's first table."""
    section = ARCHITECTURE.read_text().split("## mmmodel")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def imported(path: Path, package: Path) -> set[str]:
    """Return the package's modules that a file imports anywhere in it, for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[2] for name in node.names if name.name.split(".")[0] == "mmmodel"}
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path.name}:{node.lineno}: relative import")
        elif isinstance(node, ast.ImportFrom) and node.module == "mmmodel":
            found |= {name.name if (package / f"{name.name}.py").exists() else "__init__" for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mmmodel."):
            found.add(node.module.removeprefix("mmmodel."))
    return found


def upward(package: Path) -> list[str]:
    """Return the imports that do not go down the list, as text."""
    order = layers()
    wrong = []
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package).with_suffix("").parts)
        if name == "__init__":  # the front door: its names are loaded when they are asked for
            continue
        below = order[: order.index(name)]
        wrong += [f"{name} imports {other}" for other in sorted(imported(path, package)) if other not in below]
    return wrong


def test_every_module_is_in_the_list_once() -> None:
    modules = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py"))
    assert sorted([*layers(), "__init__"]) == modules


def test_imports_go_down_the_list() -> None:
    assert upward(PACKAGE) == []


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        ("lru.py", "from mmmodel.rmap import page_add_rmap", "lru imports rmap"),
        ("lru.py", "def late():\n    import mmmodel.zap", "lru imports zap"),
        ("per_page.py", "from mmmodel import page_walk", "per_page imports page_walk"),
        ("file.py", "if TYPE_CHECKING:\n    from mmmodel.mm import Mm", "file imports mm"),
        ("mm.py", "from mmmodel import Mm", "mm imports __init__"),
    ],
)
def test_an_import_that_goes_up_is_found(module: str, line: str, found: str, tmp_path: Path) -> None:
    package = tmp_path / "mmmodel"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / module).open("a") as file:
        file.write(f"{line}\n")
    assert upward(package) == [found]
