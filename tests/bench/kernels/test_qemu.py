"""QEMU is given what a guest needs: a small script in its place looks at it, and answers by its standard output."""

import struct
import sys
from pathlib import Path

import pytest

from bench.kernels.errors import MissingError
from bench.kernels.protocol import Hello, Program
from bench.kernels.qemu import PROGRAM_NAME, SWAP_DEVICE, Qemu, initial_files

PROGRAMS = [Program(0x1000, 0x3000, ("x 0",), 0)]
SETTINGS = {"/proc/sys/vm/swappiness": "0"}
PROGRAM = """#!{python}
import sys, shutil, zlib
words = sys.argv[1:]
shutil.copy(words[words.index("-initrd") + 1], {kept!r})
for drive in (word for word in words if word.startswith("file=")):
    shutil.copy(drive.removeprefix("file=").partition(",")[0], {kept!r} + ".swap")
open({kept!r} + ".words", "w").write("\\n".join(words))
for number, text in enumerate(("hello 2 kernel 6.1.0 cpus 1 kpageflags 0 vmstat 0", "trace", "step 0 0 5", "end")):
    body = f"{{number}} {{text}}".encode()
    sys.stdout.buffer.write(body + b" *%08x\\n" % zlib.crc32(body))
"""


def test_it_gets_its_kernel_its_files_and_its_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, kept, image = tmp_path / PROGRAM_NAME, tmp_path / "initrd", tmp_path / "bzImage"
    program.write_text(PROGRAM.format(python=sys.executable, kept=str(kept)))
    program.chmod(0o755)
    image.touch()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    heard: list[Hello] = []
    machine = Qemu(image, "always", memory_mib=256, count_instructions=True, settings=SETTINGS, swap_mib=1)
    ((answer,),) = machine.run(PROGRAMS, heard.append, 60)
    assert (answer.result, answer.cycles, heard[0].kernel) == (0, 5, "6.1.0")
    assert kept.read_bytes() == initial_files(PROGRAMS, SETTINGS, SWAP_DEVICE)
    swap = (tmp_path / "initrd.swap").read_bytes()
    assert (len(swap), swap[4086:4096], struct.unpack_from("<II", swap, 1024)) == (1 << 20, b"SWAPSPACE2", (1, 255))
    words = (tmp_path / "initrd.words").read_text().splitlines()
    assert words[words.index("-kernel") + 1] == str(image)
    assert words[words.index("-m") + 1] == "256"
    assert words[words.index("-icount") + 1].startswith("shift=0")
    assert {"transparent_hugepage=always", "oops=panic", "panic=-1"} <= set(words[words.index("-append") + 1].split())
    assert not Path(words[words.index("-initrd") + 1]).exists()  # it went with the guest


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="there is no kernel image"):
        Qemu(tmp_path / "bzImage").run(PROGRAMS, lambda hello: None)
