"""Programs built once by whatever compiler there is: what they are kept by, and what is said when it refuses."""

import shutil
from pathlib import Path

import pytest

from bench.kernels import build
from bench.kernels.errors import KernelError


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a compiler in place that writes its words to a file, and an empty cache."""
    log, script = tmp_path / "log", tmp_path / "compiler"
    script.write_text(f'#!/bin/sh\necho "$@" >> {log}\nwhile [ $1 != -o ]; do shift; done\necho program > $2\n')
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return log


def test_a_program_is_built_once(log: Path) -> None:
    built = build.built("keeper")
    assert built == build.built("keeper")
    assert built.read_text() == "program\n"
    assert built.stat().st_mode & 0o777 == 0o755
    (line,) = log.read_text().splitlines()
    assert line.endswith(f"{build.SOURCES / 'keeper.c'}") and all(flag in line.split() for flag in build.FLAGS)
    assert build.built("guest") != built
    assert [path.name for path in built.parent.iterdir() if not path.is_file()] == []  # nothing of the building is left


def test_whatever_changes_a_program_gives_it_another_name(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = Path(shutil.copytree(build.SOURCES, tmp_path / "sources"))
    monkeypatch.setattr(build, "SOURCES", sources)
    names = [build.built("guest").name]
    for path in sorted(sources.iterdir()):
        text = path.read_bytes()
        path.write_bytes(text + b"\n")
        names.append(build.built("guest").name)
        path.write_bytes(text)
    (sources / "more.h").write_text("")
    names.append(build.built("guest").name)
    (sources / "more.h").rename(sources / "other.h")
    names.append(build.built("guest").name)
    (sources / "other.h").unlink()
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-g"))
    names.append(build.built("guest").name)
    monkeypatch.undo()
    assert len(set(names)) == len(names) == len(log.read_text().splitlines())


def test_a_compiler_that_refuses_is_quoted(log: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "compiler"
    script.write_text("#!/bin/sh\necho noise\necho 'guest.c:7: no such thing' >&2\nexit 1\n")
    with pytest.raises(KernelError) as caught:
        build.built("guest")
    assert str(caught.value) == f"{script} cannot build guest.c: guest.c:7: no such thing"
    assert capfd.readouterr() == ("", "")
    assert [*(tmp_path / "cache").rglob("*guest-*")] == []


def test_a_compiler_that_is_not_there(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    with pytest.raises(KernelError, match="cannot run the compiler /nonexistent/cc: No such file or directory"):
        build.built("guest")
