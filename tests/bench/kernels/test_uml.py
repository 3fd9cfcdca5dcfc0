"""A user-mode Linux is given what it needs: a small script in its place looks at it, and answers."""

import sys
from pathlib import Path

import pytest

from bench.kernels.errors import MissingError
from bench.kernels.protocol import Hello, Program
from bench.kernels.qemu import initial_files
from bench.kernels.uml import Uml, check_binary, glibc_needed

PROGRAMS = [Program(0x1000, 0x3000, ("x 0",), 0)]
SETTINGS = {"/proc/sys/vm/swappiness": "0"}
BINARY = """#!{python}
import sys, shutil, zlib
words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
shutil.copy(words["initrd"], {kept!r})
open({kept!r} + ".words", "w").write("\\n".join(sys.argv[1:]))
for number, text in enumerate(("hello 2 kernel 6.1.0 cpus 1 kpageflags 0 vmstat 0", "trace", "step 0 0 5", "end")):
    body = f"{{number}} {{text}}".encode()
    sys.stdout.buffer.write(body + b" *%08x\\n" % zlib.crc32(body))
"""


def test_it_gets_its_memory_its_files_and_a_directory(tmp_path: Path) -> None:
    binary, kept = tmp_path / "linux.uml", tmp_path / "initrd"
    binary.write_text(BINARY.format(python=sys.executable, kept=str(kept)))
    binary.chmod(0o755)
    heard: list[Hello] = []
    ((answer,),) = Uml(binary, 256, SETTINGS).run(PROGRAMS, heard.append, 60)
    assert (answer.result, answer.cycles, heard[0].kernel) == (0, 5, "6.1.0")
    assert kept.read_bytes() == initial_files(PROGRAMS, SETTINGS)
    words = (tmp_path / "initrd.words").read_text().splitlines()
    assert "mem=256M" in words and "rdinit=/init" in words and words[words.index("--") :] == ["--", "/batch", "/dev/tty1"]
    directory = Path(next(word for word in words if word.startswith("uml_dir=")).removeprefix("uml_dir="))
    assert not directory.exists()  # it went with the guest


def test_the_newest_c_library_that_is_named_decides() -> None:
    assert glibc_needed(b"GLIBC_2.3\0GLIBC_2.34\0GLIBC_2.4\0") == (2, 34)
    assert glibc_needed(b"") == (0, 0)


def test_a_binary_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"cannot read the user-mode Linux .*: No such file or directory"):
        check_binary(tmp_path / "linux.uml")
