"""Links of the pages lead somewhere, and nothing that is committed names a place that only one machine has."""

import re
import subprocess
from pathlib import Path

import pytest

from support.pages import PAGES, ROOT, anchors, broken_links

# In pieces, so that this file does not find itself. Hosts of package registries, and directories of somebody's machine.
HOSTS = (r"py" r"pi\.(?:org|python)", r"python" r"hosted\.org", r"registry\.np" r"mjs", r"deb\.deb" r"ian\.org")
PLACES = (r"wo" r"rk/", r"tm" r"p/", r"ho" r"me/\w", r"ro" r"ot/")
ELSEWHERE = re.compile("|".join([*HOSTS, *(r"(?<![\w.])/" + place for place in PLACES)]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# A heading, with `code`\n\n## Twice\n\n## Twice\n")
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#a-heading-with-code) [c](#here) [d](https://example.org/x) [e](other.md#twice-1)\n"
        '[1](gone.md) [2](other.md#gone) ![3](gone.svg) [4](#gone)\n<img src="gone.png">\n'
        "`[no](link.md)`\n```\n[no](link.md)\n```\n"
    )
    assert anchors(tmp_path / "other.md") == {"a-heading-with-code", "twice", "twice-1"}
    assert broken_links(page) == ["gone.md", "other.md#gone", "gone.svg", "#gone", "gone.png"]


def committed() -> list[Path]:
    """The files of the repository, or of the tree if git does not know it."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [ROOT / name for name in done.stdout.split("\0") if name]
    return [path for path in ROOT.rglob("*") if path.is_file() and not any(part.startswith(".") for part in path.parts)]


def test_no_file_names_a_place_of_one_machine() -> None:
    found = []
    for path in committed():
        if path.suffix not in (".gz", ".png") and path.exists():
            text = path.read_text(encoding="utf-8")
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in ELSEWHERE.finditer(text)]
    assert found == []


@pytest.mark.parametrize("text", ["see /wo" "rk/main", "https://py" "pi.org/simple", "'/tm" "p/x'"])  # fmt: skip
def test_such_a_place_would_be_seen(text: str) -> None:
    assert ELSEWHERE.search(text)
    assert not ELSEWHERE.search("network/ framework/x, docs/tmp.md, a pypi package")
