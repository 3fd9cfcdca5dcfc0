"""`predict --rank`: many files and directories predicted by many processes, in one ranked table, with resume."""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, cast

import msgspec

from bench.capture import sources
from bench.capture.extremes import extremes
from bench.commands.kernel_figures import say
from bench.errors import EXIT_DIFFERENCES, EXIT_USAGE, BenchError, MeasurementError, UsageError, one_line
from bench.kernels.build import cache_directory
from bench.measuring import counting, pool
from bench.measuring.pool import Task
from bench.prediction.fleet import Answer, OnKernel, Ranked, answer, ranked
from bench.prediction.forecast import BLAMED
from bench.prediction.times import Calibration
from bench.prediction.weights import KernelWeights
from bench.progress import progress_bar
from bench.runs.storage import make_directory, reporting_write_errors
from bench.tables import formats
from bench.tables.prediction_tables import fleet_table
from bench.tables.table import Page
from bench.targets import registry
from bench.workloads.layout import MAX_FILE_BYTES
from bench.workloads.scenario import layout_name

TOP: Final = 20  # files that are shown
CHUNK_FILES: Final = 16  # to a worker at once
CHUNK_BYTES: Final = 4 << 20
PACKAGES: Final = ("prediction", "capture", "commands")  # beside the model, of what decides an answer


class Content(msgspec.Struct, frozen=True):
    """A file as it travels: a worker need not see this machine's disks."""

    file: str
    data: bytes = b""
    error: str = ""  # why it was not read


class Question(msgspec.Struct, frozen=True):
    """What a worker is asked."""

    kernels: tuple[KernelWeights, ...]
    files: tuple[Content, ...]


class Answers(msgspec.Struct, frozen=True):
    """What a worker found, in the order of its question, and the sources that it runs."""

    sources: str
    answers: tuple[Answer, ...]


class Kept(msgspec.Struct, frozen=True):
    """A line of the file that an interrupted command leaves: an answer, and the file that it is about."""

    key: str
    answer: Answer


@functools.cache
def sources_digest() -> str:
    """Return the digest of the sources that decide an answer, as this process first saw them."""
    digest = hashlib.sha256(counting.sources_digest().encode())
    for path in sorted(path for one in PACKAGES for path in (Path(__file__).parents[1] / one).glob("*.py")):
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def answer_request(request: bytes) -> bytes:
    """Answer a question. Runs in the workers."""
    question = msgspec.json.decode(request, type=Question)
    return msgspec.json.encode(Answers(sources_digest(), tuple(_answer(one, question.kernels) for one in question.files)))


def _answer(one: Content, kernels: Sequence[KernelWeights]) -> Answer:
    """Return what is told of a file; that it is none is an answer, too."""
    if one.error:
        return Answer(one.file, error=one.error)
    try:
        handle = cast("io.BufferedReader", io.BufferedReader(io.BytesIO(one.data)))
        found = sources.read_stream(handle, one_line(one.file, 120), layout_name(one.file))
        return answer(one.file, *extremes(found), kernels)
    except BenchError as error:
        return Answer(one.file, error=one_line(error))


def files_of(words: Sequence[Path]) -> list[Path]:
    """Return the files that words name: those of a directory, with all below it, in order; each once."""
    found: dict[Path, None] = {}
    for word in words:
        if word.is_dir():
            below = sorted(path for path in word.rglob("*") if path.is_file())
            if not below:
                raise UsageError(f"directory {one_line(word, 120)} has no files")
            found |= dict.fromkeys(below)
        else:
            found[word] = None
    return list(found)


class Request(NamedTuple):
    """What is asked of each file."""

    kernels: tuple[KernelWeights, ...]
    calibrations: Mapping[str, Calibration | None]  # by the kernel's series


def run(options: argparse.Namespace, request: Request, fail_over: float | None) -> int:
    """Print the files that cost most; 2 if some are no address spaces, else 1 if one may take longer than it may."""
    if options.range:
        raise UsageError("--range is of one address space: it cannot be with --rank, or with a directory")
    if options.top < 1:
        raise UsageError(f"--top {options.top}: a number of files, 1 or more")
    answers = _answers(request, options.file, options.scheduler, options.fresh)
    found = ranked(answers, request.calibrations)
    bad = [one for one in answers if one.error]
    for one in bad:
        say(one.error if one_line(one.file, 120) in one.error else f"{one_line(one.file, 120)}: {one.error}")
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(_plain(found, bad, request)), indent=1).decode())
    else:
        page = Page((fleet_table(found[: options.top], fail_over),), remarks=_remarks(found, bad, options.top, request))
        formats.show(page, options.format, wide=options.wide)
    if bad:
        return EXIT_USAGE
    return EXIT_DIFFERENCES if fail_over is not None and any(one.time.high > fail_over for one in found) else 0


def _remarks(found: Sequence[Ranked], bad: Sequence[Answer], top: int, request: Request) -> tuple[str, ...]:
    """Return what must be known of the table."""
    whose = ", ".join(dict.fromkeys(f"{one.target} ({one.release})" for one in request.calibrations.values() if one))
    return (
        f"{len(found):,} files predicted, {min(top, len(found)):,} shown (--top); {len(bad):,} could not be.",
        f"Each on the kernel where {BLAMED}() may take longest. "
        + (f"Times by what was measured here on {whose}." if whose else "Times are not of this machine: predict --calibrate."),
    )


def _answers(request: Request, words: Sequence[Path], scheduler: str, fresh: bool) -> list[Answer]:
    """Return what is told of each file, in order; of those that an interrupted command had told, that."""
    files = files_of(words)
    keys = [_key(path) for path in files]
    with progress_bar() as progress:
        registry.load([one.implementation for one in request.kernels], progress)
    with _kept(request, words, fresh) as (known, keep), progress_bar() as progress:
        found = {index: known[key] for index, key in enumerate(keys) if key in known}
        if found:
            say(f"going on after {len(found):,} of {len(files):,} files that an interrupted command told")
        task = progress.add_task("files", total=len(files), completed=len(found))
        asked: list[list[int]] = []
        left = {index: path for index, path in enumerate(files) if index not in found}
        with closing(pool.answer_each(answer_request, _questions(left, request, asked), scheduler)) as replies:
            for number, reply in replies:
                for index, one in zip(asked[number], _checked(reply), strict=True):
                    found[index] = one
                    keep(Kept(keys[index], one))
                    progress.advance(task)
    return [found[index] for index in range(len(files))]


def _checked(reply: bytes) -> tuple[Answer, ...]:
    """Return the answers of a worker; MeasurementError unless it runs these sources."""
    try:
        found = msgspec.json.decode(reply, type=Answers)
    except msgspec.DecodeError as error:
        raise MeasurementError(f"a worker answered what is no answer: {one_line(error)}") from None
    if found.sources != sources_digest():
        raise MeasurementError("a worker runs other sources, library versions or settings than this process")
    return found.answers


def _questions(left: dict[int, Path], request: Request, asked: list[list[int]]) -> Iterator[Task]:
    """Yield questions about files, some at a time; `asked` gets the indices of each."""
    chunk: dict[int, Content] = {}
    for index, path in left.items():
        chunk[index] = _content(path)
        is_last = index == next(reversed(left))
        if is_last or len(chunk) >= CHUNK_FILES or sum(len(one.data) for one in chunk.values()) >= CHUNK_BYTES:
            asked.append(list(chunk))
            question = Question(request.kernels, tuple(chunk.values()))
            yield Task(one_line(path, 120), msgspec.json.encode(question))
            chunk = {}


def _content(path: Path) -> Content:
    """Read a file; what is wrong with it becomes an error of its own."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                return Content(str(path), error="it is not a regular file")
            data = handle.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Content(str(path), error=f"it cannot be read: {reason}")
    if len(data) > MAX_FILE_BYTES:
        return Content(str(path), error=f"it is larger than {MAX_FILE_BYTES >> 20} MiB")
    return Content(str(path), data)


def _key(path: Path) -> str:
    """Return what tells a file and its content from others, without reading it."""
    try:
        seen = path.stat()
    except OSError:
        return f"{path.absolute()}:none"
    return f"{path.absolute()}:{seen.st_size}:{seen.st_mtime_ns}"


@contextmanager
def _kept(
    request: Request, words: Sequence[Path], fresh: bool
) -> Iterator[tuple[Mapping[str, Answer], Callable[[Kept], None]]]:
    """Give what an interrupted command told of the same, by key, and a way to keep more; all is forgotten at the end."""
    content = (request.kernels, sorted(str(word.absolute()) for word in words), sources_digest())
    digest = hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]
    path = make_directory(cache_directory()) / f"predict-{digest}.jsonl"
    with reporting_write_errors(path):
        handle = path.open("a+b")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError("another process is predicting the same files") from None
        handle.seek(0)
        whole = b"" if fresh else handle.read()
        whole = whole[: whole.rfind(b"\n") + 1]  # half a line is what an interruption leaves
        known = {one.key: one.answer for one in _lines(whole)}
        with reporting_write_errors(path):
            handle.truncate(len(whole))

        def keep(one: Kept) -> None:
            with reporting_write_errors(path):
                handle.write(msgspec.json.encode(one) + b"\n")
                handle.flush()

        yield known, keep
        path.unlink(missing_ok=True)


def _lines(text: bytes) -> Iterator[Kept]:
    """Yield what was kept; a line that is something else is left out, and its file predicted again."""
    decoder = msgspec.json.Decoder(Kept)
    for line in text.splitlines():
        with suppress(msgspec.DecodeError):
            yield decoder.decode(line)


def _plain(found: Sequence[Ranked], bad: Sequence[Answer], request: Request) -> dict[str, object]:
    """Return all of it as JSON has it, files in the order of the table, then those that are none."""
    rows = [
        {
            "file": one.answer.file,
            "vmas": one.answer.nr_vmas,
            "reserved": one.answer.span,
            "pages_in_memory": one.answer.nr_present,
            "worst": one.worst.series,
            "kernels": {each.series: _on_kernel(each, request) for each in one.answer.kernels},
        }
        for one in found
    ]
    errors = [{"file": one.file, "error": one.error} for one in bad]
    return {"schema": 1, "kind": "fleet", "call": BLAMED, "files": rows, "errors": errors}


def _on_kernel(one: OnKernel, request: Request) -> dict[str, object]:
    """Return what is told of a file on one kernel; a range where it is not known which pages are in memory."""
    time, most = one.time(request.calibrations[one.series]), one.most
    if one.least is None:
        return {"visits": most.visited, "instructions": most.cost._asdict(), "seconds": time._asdict()}
    return {
        "visits": [one.least.visited, most.visited],
        "instructions": {"low": one.least.cost.low, "high": most.cost.high},
        "seconds": {"low": time.low, "high": time.high},
    }
