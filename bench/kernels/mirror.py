"""Where this machine's apt finds Debian, and a private apt that looks at other releases there; nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.errors import one_line
from bench.kernels.errors import KernelError, MissingError

APT: Final = Path("/etc/apt")
_DISTRIBUTIONS: Final = {"debian", "debian-security"}  # last words of the addresses that Debian's mirrors have


class Source(NamedTuple):
    """One archive of Debian that the machine's apt knows."""

    address: str
    security: bool
    signed_by: str  # a keyring, "" for those that apt trusts by itself


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the stanzas of a .sources file, keys in lower case."""
    for paragraph in text.split("\n\n"):
        pairs = (line.partition(":") for line in paragraph.splitlines() if line[:1].isalpha())
        fields = {key.strip().lower(): value.strip() for key, _, value in pairs}
        if fields:
            yield fields


def _one_lines(text: str) -> Iterator[dict[str, str]]:
    """Yield the lines `deb [option=value ...] ADDRESS SUITE ...` of a .list file in the form of stanzas."""
    for line in text.splitlines():
        words = line.partition("#")[0].replace("[", " [ ").replace("]", " ] ").split()
        if words[:1] != ["deb"]:
            continue
        options = words[2 : words.index("]")] if words[1:2] == ["["] and "]" in words else []
        rest = words[len(options) + 3 :] if options or words[1:2] == ["["] else words[1:]
        signed = [option.partition("=")[2] for option in options if option.startswith("signed-by=")]
        yield {"types": "deb", "uris": rest[0] if rest else "", "signed-by": signed[0] if signed else ""}


def sources(directory: Path = APT) -> list[Source]:
    """Return the archives of Debian in apt's configuration, each once."""
    files = [*sorted(directory.glob("sources.list.d/*.sources")), *sorted(directory.glob("sources.list.d/*.list"))]
    found: dict[str, Source] = {}
    for path in [directory / "sources.list", *files]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for fields in _stanzas(text) if path.suffix == ".sources" else _one_lines(text):
            if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
                continue
            for address in fields.get("uris", "").split():
                name = address.rstrip("/").rpartition("/")[2]
                if name in _DISTRIBUTIONS:
                    signed_by = fields.get("signed-by", "")
                    found.setdefault(address, Source(address, name == "debian-security", signed_by if "/" in signed_by else ""))
    return [*found.values()]


def source_lines(known: Sequence[Source], suites: Sequence[str]) -> list[str]:
    """Return the lines of a sources.list that has some suites, `NAME-security` from the archive for these."""
    lines = []
    for suite in suites:
        for source in known:
            if source.security == suite.endswith("-security"):
                signed = f" signed-by={source.signed_by}" if source.signed_by else ""
                lines.append(f"deb [arch=amd64{signed}] {source.address} {suite} main")
    return lines


class Apt:
    """apt with lists and settings of its own in a directory; the machine's are not changed. Signatures are checked."""

    def __init__(self, directory: Path, suites: Sequence[str], known: Sequence[Source] | None = None) -> None:
        """Prepare it; MissingError on a system without apt or without an archive of Debian."""
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise MissingError("fetching needs apt-get and dpkg-deb, which this system lacks; see docs/real-kernels.md")
        lines = source_lines(sources() if known is None else known, suites)
        if not lines:
            raise MissingError("apt's configuration has no archive of Debian to fetch kernels from; see docs/real-kernels.md")
        self.directory = directory
        for part in ("lists/partial", "archives/partial", "empty"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        (directory / "status").touch()
        (directory / "sources.list").write_text("".join(line + "\n" for line in lines))
        settings = {
            "Dir::State::Lists": directory / "lists",
            "Dir::State::status": directory / "status",
            "Dir::Cache": directory,
            "Dir::Cache::Archives": directory / "archives",
            "Dir::Etc::SourceList": directory / "sources.list",
            "Dir::Etc::SourceParts": directory / "empty",
            "Dir::Etc::Preferences": directory / "none",
            "Dir::Etc::PreferencesParts": directory / "empty",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        (directory / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))

    def __call__(self, *command: str, cwd: Path | None = None, show: bool = False) -> str:
        """Run one of apt's tools and return what it printed; KernelError with its last error if it failed.

        `show`: its progress goes to standard error instead.
        """
        environment = os.environ | {"APT_CONFIG": str(self.directory / "apt.conf"), "LC_ALL": "C.UTF-8"}
        stdout = 2 if show else subprocess.PIPE  # standard error is where progress goes
        done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=environment, cwd=cwd, text=True, check=False)
        errors = [line for line in (done.stderr or "").splitlines() if line.startswith("E:")]
        if done.returncode or errors:
            reason = errors[0] if errors else f"exit code {done.returncode}"
            raise KernelError(f"{command[0]} {command[1]}: {one_line(reason, 300)}")
        return done.stdout or ""
