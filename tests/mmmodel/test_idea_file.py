"""An idea of one's own, read from its file: what is wrong with one is told in a line, before anything runs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mmmodel import MCL_CURRENT, MCL_ONFAULT, Mm, idea, kernels
from mmmodel.idea_file import MAX_BYTES, IdeaError, read_idea
from support.own import EXAMPLES, HEAD, idea_file

DOCUMENT = EXAMPLES.parent / "docs" / "own-implementation.md"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register what it likes."""
    monkeypatch.setattr(kernels, "_implementations", dict(kernels._implementations))


def test_an_idea_is_what_its_file_says() -> None:
    read = read_idea(str(EXAMPLES / "hole_skip.py"))
    assert (read.name, read.kernel, read.function) == ("hole_skip", "5.10", "munlock_vma_pages_range")
    assert read.summary == "per-page, but what a missing table would map is one step."
    assert read.digest != replace(read, text=read.text + "\n").digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "    retrun 1\n", r"line 6: "),
        ("", r'no line KERNEL = "5\.10"'),
        (HEAD.replace("5.10", "4.2"), r"line 3: KERNEL: unknown kernel '4\.2': choose from 5\.10, 6\.1, 6\.12"),
        (HEAD.replace('"5.10"', "5.1"), r"line 3: KERNEL: unknown kernel '5\.1'"),
        (HEAD.replace("munlock", "unlock"), r"no function munlock_vma_pages_range\(s, mm, vma, start, end\)"),
        (
            HEAD.replace("5.10", "6.1"),
            r"no function mlock_vma_pages_range\(s, mm, vma, start, end, newflags\), which Linux 6\.1",
        ),
        (HEAD.replace(", end)", ")"), r"line 4: munlock_vma_pages_range\(s, mm, vma, start\) must be .*start, end\)"),
        (HEAD.replace(", end)", ", *end)"), r"line 4: .* must be "),
        (HEAD.replace("def ", "@print\ndef "), r"line 4: .* no decorator"),
        (HEAD + "    raise ValueError\n", r"line 6: compiled code cannot raise"),
        (HEAD + "    return 1\n", r"line 6: .* returns nothing"),
        (HEAD + "#" * MAX_BYTES, "is larger than 64 KiB"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(IdeaError, match=rf"^{re.escape(str(path))}: .*{said}") as caught:
        read_idea(str(path))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b'"""\xe9"""')
    for name, said in (
        ("nosuch.py", "No such file"),
        ("latin.py", "byte 3"),
        ("a b.py", "file's name"),
        (".py", "file's name"),
    ):
        with pytest.raises(IdeaError, match=said):
            read_idea(str(tmp_path / name))


@pytest.mark.usefixtures("registry")
def test_a_name_stands_for_one_text(tmp_path: Path) -> None:
    mine = read_idea(idea_file(tmp_path, "mine", "pass"))
    kernels.register_idea(replace(mine, text=""))  # of a kept run
    kernels.register_idea(mine)
    kernels.register_idea(mine)
    kernels.register_idea(replace(mine, text=""))
    assert [one.idea for one in kernels.implementations() if one.idea] == [mine]
    with pytest.raises(ValueError, match="two files of one name, mine"):
        kernels.register_idea(replace(mine, text=mine.text + "\n"))
    with pytest.raises(ValueError, match="hole-skip is the name of an implementation that comes with the model"):
        kernels.register_idea(replace(mine, name="hole-skip"))


def test_ideas_look_like_nothing_else() -> None:
    looks = [one.look for one in kernels.every_implementation() if not one.idea] + list(kernels._IDEA_LOOKS)
    for part in ("color", "marker", "linestyle"):
        assert len({getattr(look, part) for look in looks}) == len(looks), part


def test_the_page_names_what_an_idea_may_call_and_nothing_else() -> None:
    rows = DOCUMENT.read_text().split("## What it may call")[1].split("\n## ")[0]
    called = {name for name in re.findall(r"`(\w+)[(`]", rows) if not name.isupper()}
    functions = {
        name for name in idea.__all__ if not name.isupper() and name not in ("State", "Words", "compiled", "_PAGE_SPECIAL")
    }
    assert called == functions


def test_the_readme_shows_the_example() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", (EXAMPLES.parent / "README.md").read_text(), re.DOTALL)
    assert (EXAMPLES / "hole_skip.py").read_text().endswith(f"\n{shown}")


@pytest.mark.usefixtures("registry")
def test_hole_skip_from_outside_counts_what_the_built_in_counts() -> None:
    kernels.register_idea(read_idea(str(EXAMPLES / "hole_skip.py")))
    spaces = [Mm(name, levels=5, thp="always") for name in ("hole_skip", "hole-skip")]
    for mm in spaces:
        start = mm.mmap(1 << 50, 1 << 36, 3, 0x4022)
        for offset, length in ((0, 5 << 12), (1 << 21, 1 << 21), (3 << 30, 1 << 14), ((1 << 36) - 4096, 4096)):
            mm.touch(start + offset, length, "read" if offset == 3 << 30 else "write")
        mm.mlockall(MCL_CURRENT | MCL_ONFAULT)
        mm.munmap(start + (1 << 21), 1 << 20)  # 5.10 unlocks before it unmaps
        mm.munlockall()
    assert spaces[0].call_counters() == spaces[1].call_counters()
    assert spaces[0].call_counters()["model_follow_page"] > 9
    assert spaces[0].observable_state() == spaces[1].observable_state()
