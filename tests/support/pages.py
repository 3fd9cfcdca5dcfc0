"""The pages that people read, and what stands in them: blocks of code, headings, links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *filter(Path.exists, [ROOT / "CONTRIBUTING.md"]), *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    text: str


class Command(NamedTuple):
    """A command line that a page tells people to type, and what it shows beneath."""

    page: str
    words: tuple[str, ...]  # of run.py
    pipe: str  # what its output goes to, "" if nothing
    shown: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.words)


def blocks() -> list[Block]:
    """All fenced blocks of all pages."""
    return [Block(page.name, *one.groups()) for page in PAGES for one in FENCED.finditer(page.read_text(encoding="utf-8"))]


def commands() -> list[Command]:
    """Every command of run.py in a block of a page, each once."""
    found: dict[tuple[str, ...], Command] = {}
    for block in blocks():
        for part in re.split(r"^(?=\$? ?python3 run\.py )", block.text, flags=re.MULTILINE):
            line, *rest = part.splitlines() or [""]
            if match := re.match(r"(\$ )?python3 run\.py (.*)", line):
                typed, _, pipe = match[2].partition(" | ")
                command = Command(block.page, tuple(shlex.split(typed, comments=True)), pipe, tuple(rest) if match[1] else ())
                if command.words not in found or command.pipe:
                    found[command.words] = command
    return list(found.values())


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.*?) *#*$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", LINK.sub("", heading.replace("`", "")).lower()).replace(" ", "-")
        nth = sum(one == plain or re.fullmatch(rf"{re.escape(plain)}-\d+", one) is not None for one in found)
        found.add(f"{plain}-{nth}" if nth else plain)
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def links(text: str) -> list[str]:
    """Where the links and pictures of a text lead, those in blocks and code left out."""
    prose = re.sub(r"`[^`\n]*`", "", FENCED.sub("", text))
    return LINK.findall(prose) + re.findall(r"(?:src|href)=\"([^\"]+)\"", prose)


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead to no file of the repository, or to no heading of it."""
    found = []
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue  # elsewhere
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            found.append(link)
    return found
