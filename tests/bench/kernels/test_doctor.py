"""What the doctor finds missing, and that what it says mends it is a command."""

import shutil
from pathlib import Path

import pytest

from bench.kernels import doctor
from bench.kernels.doctor import Finding, findings
from bench.kernels.mirror import Source


def found(what: str) -> Finding:
    """Return one of the findings."""
    (one,) = (each for each in findings() if each.what == what)
    return one


def test_a_machine_with_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert found("QEMU").mend == "apt-get install qemu-system-x86"
    assert found("kernels").mend == "unlockall-bench kernel fetch 5.10 6.1"
    assert found("apt").state == "no apt-get, apt-cache, dpkg-deb"


def test_a_user_mode_linux_that_is_too_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    binary = tmp_path / "unlockall-bench" / "kernels" / "uml-6.12" / "linux.uml"
    binary.parent.mkdir(parents=True)
    binary.write_bytes(b"\0GLIBC_9.99\0")
    assert found("kernel uml-6.12").mend == "unlockall-bench kernel fetch 6.12"
    binary.write_bytes(b"\0GLIBC_2.2\0")
    assert found("kernel uml-6.12").mend == ""


def test_this_machine_can_build(tmp_path: Path) -> None:
    assert found("C compiler").mend == ""


@pytest.mark.parametrize(
    ("known", "state", "mend"),
    [
        ([], "no archive of Debian is configured", "add an archive of Debian to /etc/apt/sources.list.d"),
        (["http://a.example/debian", "http://b.example/debian"], "http://a.example/debian, http://b.example/debian", ""),
    ],
)
def test_the_archives_that_apt_knows(known: list[str], state: str, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(doctor, "sources", lambda: [Source(one, False, "") for one in known])
    assert (found("apt").state, found("apt").mend) == (state, mend)
