"""The initramfs, read back as the format's description says."""

import re

from bench.kernels.initramfs import DIRECTORY, FILE, PROGRAM, Entry, archive


def read(data: bytes) -> list[Entry]:
    """Return the entries of a "newc" archive up to its trailer: 110 bytes of head, name and content padded to 4."""
    found: list[Entry] = []
    at = 0
    while True:
        assert re.fullmatch(rb"070701[0-9a-f]{104}", data[at : at + 110])
        fields = [int(data[at + 6 + 8 * index : at + 14 + 8 * index], 16) for index in range(13)]
        mode, nbytes, name_bytes = fields[1], fields[6], fields[11]
        uid, gid, links, modified, devices, checksum = fields[2], fields[3], fields[4], fields[5], fields[7:11], fields[12]
        assert (uid, gid, links, modified, devices, checksum) == (0, 0, 1, 0, [0, 0, 0, 0], 0)  # root's; 070701 has no checksum
        name = data[at + 110 : at + 110 + name_bytes]
        assert name.endswith(b"\0")
        start = (at + 110 + name_bytes + 3) // 4 * 4
        content = data[start : start + nbytes]
        at = (start + nbytes + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            assert at == len(data)
            return found
        found.append(Entry(name[:-1].decode(), mode, content))


def test_what_goes_in_comes_out() -> None:
    entries = [Entry("dev", DIRECTORY), Entry("init", PROGRAM, b"\x7fELF!"), Entry("a", FILE, b"1234"), Entry("empty", FILE)]
    assert read(archive(entries)) == entries


def test_inode_numbers_differ() -> None:
    data = archive([Entry("a", FILE, b"x"), Entry("b", FILE, b"y")])
    assert data[6:14] != data[data.index(b"070701", 6) + 6 :][:8]  # or they would be one file
