"""The ring that a guest shares: what is written comes out, in order, whole, wherever the ring's end falls."""

import mmap
import random
from pathlib import Path

import pytest

from bench.kernels.errors import GarbledError
from bench.kernels.ring import HEAD_BYTES, RING_BYTES, Ring

SIZE = RING_BYTES - HEAD_BYTES


class Guest:
    """The guest's end, as guest/ring.h has it."""

    def __init__(self, path: Path) -> None:
        with path.open("rb+") as handle:
            self.memory = mmap.mmap(handle.fileno(), RING_BYTES)

    def write(self, data: bytes) -> None:
        """Write what has room."""
        written = int.from_bytes(self.memory[:8], "little")
        assert written + len(data) - int.from_bytes(self.memory[64:72], "little") <= SIZE
        for number, byte in enumerate(data):
            self.memory[HEAD_BYTES + (written + number) % SIZE] = byte
        self.memory[:8] = (written + len(data)).to_bytes(8, "little")


def test_what_is_written_comes_out(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring")
    guest = Guest(tmp_path / "ring")
    assert ring.take() == b""
    guest.write(b"0 hello\n")
    guest.write(b"1 trace\n")
    assert ring.take() == b"0 hello\n1 trace\n"
    assert ring.take() == b""
    ring.close()


def test_lines_across_the_end(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring")
    guest = Guest(tmp_path / "ring")
    start = (SIZE - 5).to_bytes(8, "little")
    guest.memory[:8] = guest.memory[64:72] = start
    draw = random.Random(5)
    for _ in range(20):
        data = draw.randbytes(draw.randrange(1, 12))
        guest.write(data)
        assert ring.take() == data
    guest.memory[64:72] = guest.memory[:8]
    whole = draw.randbytes(1 << 16) * (SIZE >> 16) + bytes(SIZE & 0xFFFF)
    written = int.from_bytes(guest.memory[:8], "little")
    turned = written % SIZE
    guest.memory[HEAD_BYTES + turned : HEAD_BYTES + SIZE] = whole[: SIZE - turned]
    guest.memory[HEAD_BYTES : HEAD_BYTES + turned] = whole[SIZE - turned :]
    guest.memory[:8] = (written + SIZE).to_bytes(8, "little")
    assert ring.take() == whole
    ring.close()


@pytest.mark.parametrize("written", [SIZE + 1, 1 << 63])
def test_counters_that_make_no_sense(written: int, tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring")
    guest = Guest(tmp_path / "ring")
    guest.memory[:8] = written.to_bytes(8, "little")
    with pytest.raises(GarbledError, match="ring"):
        ring.take()
    ring.close()
