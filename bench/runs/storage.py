"""Files under results/: one directory a run, written as a whole or not at all, validated on load.

    results/<run>/counters.json    exact integers, machine facts and the command (schema below)
    results/<run>/wall.json        times, in pyperf's own format
    results/<run>/instructions.json    instructions of real kernels, exact integers (bench.runs.instructions)

Counters are kept apart from times because pyperf has no place for them: its
values are floats above zero, and a count of zero is the best there is.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
import pyperf

from bench.errors import MeasurementError, UsageError, one_line
from bench.runs.record import Counted
from bench.workloads import ideas
from bench.workloads.ideas import Packed

# History of the schema: 1, the first.
SCHEMA: Final = 1
PREFIX = "mlock_"  # of the metadata that workers leave in pyperf files
COUNTERS_FILE = "counters.json"
WALL_FILE = "wall.json"
INSTRUCTIONS_FILE = "instructions.json"
RUN_FILES = (COUNTERS_FILE, WALL_FILE, INSTRUCTIONS_FILE)  # a directory that has any of them is a run
MAX_BYTES = 256 << 20
T = TypeVar("T")
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


class CountersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Content of counters.json."""

    schema: Literal[1]  # SCHEMA
    kind: Literal["counters"]
    command: str
    created: str  # UTC, ISO 8601; "" where equal requests must make equal bytes, as in sweeps and references
    machine: dict[str, str | int]
    points: list[Counted]
    ideas: list[Packed] = []  # what others need to know of implementations that do not come with the model


def now() -> str:
    """Return the time in UTC to the second, as results and run names have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_name(command: str, created: str, source_digest: str) -> str:
    """Return the name of a run's directory: report-20261122T223000Z-0a1b2c3d."""
    return f"{command}-{re.sub('[-:]', '', created)}-{source_digest[:8]}"


@contextmanager
def reporting_write_errors(path: Path) -> Iterator[None]:
    """Turn a failure to write, as on a full disk, into one clear line."""
    try:
        yield
    except OSError as error:
        raise MeasurementError(f"cannot write {one_line(path, 120)}: {error.strerror or error}") from None


def write_atomic(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file so that readers see the old content or the new, never a part.

    Without `replace`, UsageError if there is one by now: somebody else's, which would be lost.
    """
    if path.exists() and not path.is_file():  # a device, a pipe, a directory: renaming would put a file in its place
        raise UsageError(f"{one_line(path, 120)} is no regular file")
    with reporting_write_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            umask = os.umask(0)
            os.umask(umask)
            part.chmod(0o666 & ~umask)  # mkstemp() makes it private to the user
            if replace:
                part.replace(path)
            else:
                path.hardlink_to(part)
                part.unlink()
        except FileExistsError:
            part.unlink()
            raise UsageError(f"{one_line(path, 120)} is there by now; it was not when this began") from None
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Hold a directory's lock, for changing a file in it; it leaves nothing behind, and that of a dead process is free."""
    with reporting_write_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with reporting_write_errors(path):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> Path:
    """Create a directory that results or figures go to, and see that it can be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileExistsError):
            reason = "it is a link to nothing" if path.is_symlink() and not path.exists() else "it is no directory"
        raise UsageError(f"cannot write to directory {one_line(path, 120)}: {reason}") from None
    return path


def check_parent(path: Path) -> None:
    """UsageError unless a file that the user named can be written where it is to lie; its directory is not made for it."""
    if not path.parent.is_dir():  # a name that was mistyped, more likely than a directory that is wanted
        raise UsageError(f"there is no directory {one_line(path.parent, 120)} to write {one_line(path.name, 80)} to")
    make_directory(path.parent)


@contextmanager
def run_directory(results: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Give a directory to fill, and the name that it gets only when all went well; else it is removed.

    The name is followed by -2, -3, ... if runs of the same second have it, finished or under way.
    """
    part, final = _reserved(make_directory(results), name)
    try:
        yield part, final
        with reporting_write_errors(final):
            part.rename(final)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _reserved(results: Path, name: str) -> tuple[Path, Path]:
    """Make a directory to fill and return it with its later name, which is its own as long as it exists."""
    for number in itertools.count(1):
        final = results / (name if number == 1 else f"{name}-{number}")
        part = final.with_name(f".{final.name}.part")
        with reporting_write_errors(part):
            try:
                part.mkdir()
            except FileExistsError:
                continue
        if not final.exists():  # looked at only now: before, another process could have finished in between
            return part, final
        part.rmdir()
    raise AssertionError("numbers have no end")


@contextmanager
def replaced_directory(final: Path) -> Iterator[Path]:
    """Give a directory to fill that takes the place of `final` in one step when all went well; else it is removed.

    There is no moment at which `final` is missing or a mixture of both, if it was there before.
    """
    part = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=make_directory(final.parent)))
    try:
        yield part
        with reporting_write_errors(final):
            part.chmod(0o755)
            if final.exists():
                _exchange(part, final)  # `part` is the old one now
            else:
                part.rename(final)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _exchange(one: Path, two: Path) -> None:
    """Exchange two directories, as renameat2() does with RENAME_EXCHANGE, which Python does not offer."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(two), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        # EINVAL is the file system's answer that it cannot, EXDEV that of an overlay's lower layer.
        unable = "; it cannot be replaced in one step here: move it away first" if number in (errno.EINVAL, errno.EXDEV) else ""
        raise OSError(number, os.strerror(number) + unable)


def encode_json(value: object) -> bytes:
    """Return readable JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def save_counters(
    path: Path, command: str, machine: dict[str, str | int], points: Sequence[Counted], *, dated: bool = True
) -> None:
    """Write counters.json. Without a date its bytes follow from the other arguments alone."""
    known = ideas.packed(one.point.implementation for one in points)
    content = CountersFile(SCHEMA, "counters", command, now() if dated else "", machine, list(points), known)
    write_atomic(path, encode_json(content))


def load_counters(path: Path) -> CountersFile:
    """Read and check counters.json."""
    content = load_json(path, CountersFile)
    names = [point.name for point in content.points]
    if len(names) != len(set(names)):
        raise MeasurementError(f"results file {path} has a measurement twice")
    wrong = [one.name for one in content.points if one.name != one.point.name]
    if wrong:
        raise MeasurementError(f"results file {path}: {one_line(wrong[0])} is not what its parameters say")
    return content


def load_json(path: Path, schema: type[T]) -> T:
    """Read a JSON file of ours as the schema it must have."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MeasurementError(f"results file {path} is larger than {MAX_BYTES >> 20} MiB")
        return msgspec.json.decode(path.read_bytes(), type=schema)
    except OSError as error:
        raise MeasurementError(f"cannot read results file {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MeasurementError(f"results file {path} is not of schema {SCHEMA}: {one_line(error)}") from None


def save_wall(path: Path, benchmarks: Sequence[pyperf.Benchmark]) -> None:
    """Write wall.json."""
    suite = pyperf.BenchmarkSuite(list(benchmarks))
    with reporting_write_errors(path), tempfile.TemporaryDirectory(prefix=".wall.", dir=path.parent) as scratch:
        part = Path(scratch) / path.name  # pyperf writes in place and only to a path
        suite.dump(str(part))
        part.replace(path)


def merged(old: Mapping[str, pyperf.Benchmark], new: Mapping[str, pyperf.Benchmark], where: str) -> list[pyperf.Benchmark]:
    """Return benchmarks with the runs of both, by name; UsageError if pyperf says that they are not of one benchmark."""
    suite = pyperf.BenchmarkSuite(list(old.values() or new.values()))
    try:
        for benchmark in new.values() if old else ():
            suite.add_runs(benchmark)
    except ValueError as error:
        raise UsageError(f"the runs cannot be added to {where}: {one_line(error)}") from None
    found: list[pyperf.Benchmark] = suite.get_benchmarks()
    return found


def load_wall(path: Path) -> dict[str, pyperf.Benchmark]:
    """Read a pyperf file; benchmarks by name."""
    try:
        suite = pyperf.BenchmarkSuite.load(str(path))
    except OSError as error:
        raise MeasurementError(f"cannot read results file {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MeasurementError(f"results file {path} is no pyperf file: {one_line(error)}") from None
    return {benchmark.get_name(): benchmark for benchmark in suite.get_benchmarks()}
