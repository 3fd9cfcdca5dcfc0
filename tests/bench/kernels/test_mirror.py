"""What apt's configuration is read as, and what a private one says."""

from pathlib import Path

import pytest

from bench.kernels.errors import MissingError
from bench.kernels.mirror import Apt, Source, source_lines, sources

DEB822 = """Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security/
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://disabled.example/debian
Suites: bookworm

Types: deb
URIs: https://other.example/node_20.x
Suites: nodistro
"""
ONE_LINE = """# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://line.example/debian bookworm main
deb http://line.example/debian-security bookworm-security main # with a comment
deb-src http://source.example/debian bookworm main
"""


def test_both_forms_of_apt_are_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list").write_text(ONE_LINE)
    assert sources(tmp_path) == [
        Source("http://line.example/debian", False, "/k.gpg"),
        Source("http://line.example/debian-security", True, ""),
        Source("http://mirror.example/debian", False, "/usr/share/keyrings/debian-archive-keyring.gpg"),
        Source("http://mirror.example/debian-security/", True, ""),
    ]


def test_a_system_without_apt(tmp_path: Path) -> None:
    assert sources(tmp_path) == []


def test_only_names_of_suites_are_added() -> None:
    known = [Source("http://m/debian", False, "/k.gpg"), Source("http://m/debian-security", True, "")]
    assert source_lines(known, ("bullseye", "bullseye-security", "sid")) == [
        "deb [arch=amd64 signed-by=/k.gpg] http://m/debian bullseye main",
        "deb [arch=amd64] http://m/debian-security bullseye-security main",
        "deb [arch=amd64 signed-by=/k.gpg] http://m/debian sid main",
    ]


def test_missing_tools_and_archives_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(MissingError, match="apt-get and dpkg-deb"):
        Apt(tmp_path / "a", ("sid",), [])
    for name in ("apt-get", "dpkg-deb"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    with pytest.raises(MissingError, match="no archive of Debian"):
        Apt(tmp_path / "b", ("sid",), [])
