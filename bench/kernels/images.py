"""Prebuilt kernels of Debian: found by version, fetched by apt's own tools, unpacked into the user's cache."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.errors import one_line
from bench.kernels.build import cache_directory
from bench.kernels.errors import KernelError, MissingError
from bench.kernels.mirror import Apt

# Suites that have a series, the one with the newest point releases last.
SUITES: Final = {
    "5.10": ("bullseye", "bullseye-security"),
    "6.1": ("bookworm", "bookworm-security"),
    "6.12": ("trixie", "trixie-security"),
    "7": ("trixie-backports", "forky", "sid"),
}
UML: Final = "uml-"  # before the version of a user-mode Linux
_WORD: Final = re.compile(r"(uml-)?\d+(\.\d+){0,2}\Z")
_CLOUD: Final = r"^linux-(image|binary)-[0-9].*-cloud-amd64$"
_STUB_BYTES: Final = 1 << 20  # an image package below this size holds no kernel: linux-binary-* does


class Package(NamedTuple):
    """One package of a kernel."""

    name: str
    version: str  # of the package: "6.1.176-1", "6.1um4+b13"
    nbytes: int  # to fetch
    sha256: str  # of the package, from the signed lists

    @property
    def release(self) -> tuple[int, ...]:
        """The kernel's version as numbers."""
        return tuple(int(part) for part in re.split(r"[-+u~]", self.version, maxsplit=1)[0].split(".") if part.isdigit())


class Image(NamedTuple):
    """A kernel in the cache."""

    word: str  # "6.1.176", "uml-6.1"
    path: Path  # vmlinuz, or the program of a user-mode Linux

    @property
    def is_uml(self) -> bool:
        """Whether it is a user-mode Linux."""
        return self.word.startswith(UML)


def images_directory() -> Path:
    """Return where unpacked kernels are, one directory for each."""
    return cache_directory() / "kernels"


def _key(word: str) -> tuple[int, ...]:
    """Return what kernels of the cache are sorted by."""
    return tuple(int(part) for part in word.removeprefix(UML).split("."))


def cached() -> list[Image]:
    """Return the kernels of the cache, by version."""
    found = []
    for path in images_directory().glob("*/*"):
        if path.name in ("vmlinuz", "linux.uml") and _WORD.match(path.parent.name):
            found.append(Image(path.parent.name, path))
    return sorted(found, key=lambda one: (one.is_uml, _key(one.word)))


def find(word: str) -> Image:
    """Return the kernel of the cache that a word names, the newest that begins with it; MissingError if there is none."""
    _check(word)
    fits = [one for one in cached() if one.word == word or one.word.startswith(word + ".")]
    if not fits:
        raise MissingError(f"kernel {word} is not in the cache: unlockall-bench kernel fetch {word}")
    return fits[-1]


def is_word(word: str) -> bool:
    """Tell whether a word names a version of a kernel."""
    return bool(_WORD.match(word))


def _check(word: str) -> None:
    """MissingError for what is no version of a kernel."""
    if not is_word(word):
        raise MissingError(f"{one_line(word, 40)!r} is no kernel: a version such as 6.1, 6.1.176 or uml-6.1")


def suites_of(word: str) -> tuple[str, ...]:
    """Return the suites to look for a version in; MissingError if none is known."""
    version = word.removeprefix(UML)
    for series, suites in SUITES.items():
        if version == series or version.startswith(series + "."):
            return suites
    raise MissingError(f"no release of Debian is known to have kernel {one_line(word, 40)}; known are {', '.join(SUITES)}")


def packages(text: str) -> Iterator[Package]:
    """Yield the packages of `apt-cache show`'s text."""
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line.startswith(" "))
        if {"Package", "Version", "Size", "SHA256"} <= fields.keys():
            yield Package(fields["Package"], fields["Version"], int(fields["Size"]), fields["SHA256"])


def choose(word: str, offered: list[Package]) -> Package:
    """Return the newest package whose kernel has a version, which may be the beginning of one; MissingError if none has."""
    wanted = _key(word)
    whole = [one for one in offered if one.nbytes >= _STUB_BYTES and one.release[: len(wanted)] == wanted]
    if not whole:
        raise MissingError(f"Debian's archive has no kernel {word}: it has {_versions(offered)}")
    return max(whole, key=lambda one: (one.release, "linux-image" in one.name, one.version))


def _versions(offered: list[Package]) -> str:
    """Return the versions of packages as text."""
    return ", ".join(".".join(map(str, release)) for release in sorted({one.release for one in offered})) or "none"


def _kernel_in(directory: Path) -> Path:
    """Return the kernel of an unpacked package."""
    for pattern in ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz", "usr/bin/linux.uml"):
        for path in directory.glob(pattern):
            if path.is_file() and not path.is_symlink():
                return path
    raise KernelError("the package holds no kernel")


def _quiet(show: bool) -> tuple[str, ...]:
    """Return apt's option for no progress."""
    return () if show else ("-q",)


def fetch(word: str, show: bool, say: Callable[[str], None] = lambda line: None) -> Image:
    """Fetch and unpack the newest kernel of a version, if the cache lacks it; what an earlier try has fetched is used.

    `say` is told what is done, `show` lets apt show its progress. KernelError if apt or the archive fails, MissingError
    for a kernel that is not there.
    """
    _check(word)
    if (already := images_directory() / word / "vmlinuz").is_file():
        return Image(word, already)
    is_uml = word.startswith(UML)
    suites = suites_of(word)
    apt = Apt(cache_directory() / "apt" / suites[0], suites)
    say(f"looking for {word} in {', '.join(suites)}")
    try:
        apt("apt-get", "update", *_quiet(show), show=show)
    except KernelError as error:  # of one suite; apt keeps the others, and uses no list that it could not verify
        say(str(error))
    if is_uml:
        names = ["user-mode-linux"]
    else:
        names = [line.split(" ")[0] for line in apt("apt-cache", "search", "--names-only", _CLOUD).splitlines()]
    offered = [*packages(apt("apt-cache", "show", *names))] if names else []
    package = choose(word, offered)
    version = ".".join(map(str, package.release))
    target = images_directory() / (UML + version if is_uml else version)
    kernel = target / ("linux.uml" if is_uml else "vmlinuz")
    if not kernel.is_file():
        say(f"fetching {package.name} {package.version}, {package.nbytes / 1e6:.0f} MB")
        _unpack(apt, package, kernel, show)
    return Image(target.name, kernel)


def _is_whole(deb: Path, package: Package) -> bool:
    """Tell whether a file is the package that the signed lists mean."""
    if not deb.is_file():
        return False
    with deb.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == package.sha256


def _unpack(apt: Apt, package: Package, kernel: Path, show: bool) -> None:
    """Fetch a package and put its kernel in place, whole or not at all; apt goes on where it was interrupted, and verifies."""
    archives = apt.directory / "archives"
    deb = archives / f"{package.name}_{package.version.replace(':', '%3a')}_amd64.deb"
    if deb.is_file() and deb.stat().st_size >= package.nbytes and not _is_whole(deb, package):
        deb.unlink()  # apt takes a file of the right size for fetched
    apt("apt-get", "download", *_quiet(show), f"{package.name}={package.version}", cwd=archives, show=show)
    if not _is_whole(deb, package):
        deb.unlink(missing_ok=True)
        raise KernelError(f"{deb.name} is not what Debian's signed list says; it was removed: try again")
    images_directory().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=images_directory(), prefix=".unpack-") as scratch:
        apt("dpkg-deb", "-x", str(deb), scratch)
        found = _kernel_in(Path(scratch))
        kernel.parent.mkdir(exist_ok=True)
        found.replace(kernel)
    (kernel.parent / "package").write_text(f"{package.name} {package.version}\n")
    deb.unlink()


def forget(word: str) -> None:
    """Remove a kernel from the cache."""
    shutil.rmtree(find(word).path.parent)
