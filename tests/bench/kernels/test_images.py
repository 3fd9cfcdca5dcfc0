"""Kernels by version: which package is chosen, what is unpacked, and what an interrupted or broken fetch leaves."""

import hashlib
import os
from pathlib import Path

import pytest

from bench.kernels import images, mirror
from bench.kernels.errors import KernelError, MissingError
from bench.kernels.images import Package, cached, choose, fetch, find, forget, packages, suites_of

OFFERED = [
    Package("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1", 26_000_000, ""),
    Package("linux-image-6.1.0-9-cloud-amd64", "6.1.99-1", 26_000_000, ""),
    Package("linux-image-6.12.118+deb13-cloud-amd64", "6.12.118-1", 35_000_000, ""),
    Package("linux-image-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1", 2_000, ""),
    Package("linux-binary-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1", 14_000_000, ""),
    Package("user-mode-linux", "5.10um3+b1", 38_000_000, ""),
]

# apt-get, apt-cache and dpkg-deb in one: a package is a file with the name of the file in it.
FAKE = """#!/bin/sh
case "$(basename "$0") $1" in
"apt-get update") ;;
"apt-cache search") echo 'linux-image-6.1.0-50-cloud-amd64 - a kernel' ;;
"apt-cache show") echo 'Package: linux-image-6.1.0-50-cloud-amd64'; echo 'Version: 6.1.176-1'
    echo 'Size: 26000000'; echo 'SHA256: DIGEST' ;;
"apt-get download") [ -e "$FAKE_BROKEN" ] && { echo 'E: Hash Sum mismatch' >&2; exit 100; }
    deb=linux-image-6.1.0-50-cloud-amd64_6.1.176-1_amd64.deb
    [ -e $deb ] || echo ${FAKE_PATH:-boot/vmlinuz-6.1} > $deb ;;
"dpkg-deb -x") [ -e "$FAKE_EMPTY" ] && exit 0; mkdir -p "$3/boot" && echo kernel > "$3/$(cat "$2")" ;;
esac
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tools that play apt, and an empty cache; the directory of the switches `broken` and `empty`."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("apt-get", "apt-cache", "dpkg-deb"):
        (tools / name).write_text(FAKE.replace("DIGEST", hashlib.sha256(b"boot/vmlinuz-6.1\n").hexdigest()))
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_BROKEN", str(tmp_path / "broken"))
    monkeypatch.setenv("FAKE_EMPTY", str(tmp_path / "empty"))
    known = [mirror.Source("http://m/debian", False, ""), mirror.Source("http://m/debian-security", True, "")]
    monkeypatch.setattr(mirror, "sources", lambda: known)
    return tmp_path


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("6.1", "linux-image-6.1.0-50-cloud-amd64"),
        ("6.1.99", "linux-image-6.1.0-9-cloud-amd64"),
        ("6.12", "linux-image-6.12.118+deb13-cloud-amd64"),
        ("7.3", "linux-binary-7.3.4+deb13-cloud-amd64"),  # the image package is a stub
        ("uml-5.10", "user-mode-linux"),
    ],
)
def test_the_newest_package_of_a_version(word: str, name: str) -> None:
    assert choose(word, OFFERED).name == name


def test_a_version_that_is_not_there() -> None:
    with pytest.raises(MissingError, match=r"no kernel 6\.1\.3: it has 5\.10, 6\.1\.99, 6\.1\.176"):
        choose("6.1.3", OFFERED)


def test_what_apt_cache_shows() -> None:
    text = "Package: a\nVersion: 6.1.176-1\nSize: 5\nSHA256: 0\nDescription: x\n Package: no\n\n"
    text += "Package: b\nVersion: 7.3.4-1~bpo13+1\nSize: 6\nSHA256: 1\n\n"
    assert [one.release for one in packages(text)] == [(6, 1, 176), (7, 3, 4)]


@pytest.mark.parametrize("word", ["", "x", "6", "6.1.1.1", "../6.1", "6.1\n", "4.19", "6.10"])
def test_words_that_are_no_kernel_that_can_be_had(word: str, apt: Path) -> None:
    with pytest.raises(MissingError):
        suites_of(word)
        fetch(word, False)


def test_fetch_then_find_then_forget(apt: Path) -> None:
    said: list[str] = []
    got = fetch("6.1", False, say=said.append)
    assert (got.word, got.path.read_text(), got.is_uml) == ("6.1.176", "kernel\n", False)
    assert said == [
        "looking for 6.1 in bookworm, bookworm-security",
        "fetching linux-image-6.1.0-50-cloud-amd64 6.1.176-1, 26 MB",
    ]
    assert cached() == [got]
    assert find("6.1") == find("6.1.176") == got
    assert fetch("6.1.176", False, say=said.append) == got
    assert len(said) == 2  # nothing more to do
    assert not [*apt.rglob("*.deb")]
    forget("6.1")
    assert cached() == []
    with pytest.raises(MissingError, match=r"unlockall-bench kernel fetch 6\.1"):
        find("6.1")


@pytest.mark.parametrize(("switch", "message"), [("broken", "Hash Sum mismatch"), ("empty", "holds no kernel")])
def test_a_broken_fetch_leaves_no_kernel_and_can_be_repeated(apt: Path, switch: str, message: str) -> None:
    (apt / switch).touch()
    with pytest.raises(KernelError, match=message):
        fetch("6.1", False)
    assert cached() == []
    assert not [*images.images_directory().glob("*")] if images.images_directory().exists() else True
    (apt / switch).unlink()
    assert fetch("6.1", False).path.is_file()


def test_a_package_that_is_not_the_signed_one_is_not_unpacked(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PATH", "boot/vmlinuz-evil")
    with pytest.raises(KernelError, match="not what Debian's signed list says"):
        fetch("6.1", False)
    assert cached() == []
    assert not [*apt.rglob("*.deb")]


def test_a_broken_file_of_the_right_size_is_fetched_again(apt: Path) -> None:
    deb = apt / "cache/unlockall-bench/apt/bookworm/archives/linux-image-6.1.0-50-cloud-amd64_6.1.176-1_amd64.deb"
    deb.parent.mkdir(parents=True)
    with deb.open("wb") as handle:
        handle.truncate(26_000_000)
    assert fetch("6.1", False).path.read_text() == "kernel\n"


def test_versions_are_sorted_as_numbers(apt: Path) -> None:
    for word in ("6.1.99", "6.1.176", "6.12.1"):
        (images.images_directory() / word).mkdir(parents=True)
        (images.images_directory() / word / "vmlinuz").touch()
    assert [one.word for one in cached()] == ["6.1.99", "6.1.176", "6.12.1"]
    assert find("6.1").word == "6.1.176"


def test_a_package_that_is_not_there_is_not_whole(tmp_path: Path) -> None:
    package = OFFERED[0]._replace(sha256=hashlib.sha256(b"kernel").hexdigest())
    deb = tmp_path / "x.deb"
    found = [images._is_whole(deb, package)]
    for content in (b"kern", b"kernel"):
        deb.write_bytes(content)
        found.append(images._is_whole(deb, package))
    assert found == [False, False, True]
