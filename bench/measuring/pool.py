"""Points counted, and other questions answered, by other processes: those of a local pool, or workers of a Dask cluster.

Points are independent of each other, and a count is exact, so who counts does
not matter as long as it runs the same sources, which every reply is asked.
Requests and replies travel as JSON: a worker of other sources then fails
clearly, where unpickling might take one field for another.
"""

from __future__ import annotations

import asyncio
import logging
import math
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import msgspec
import psutil

from bench.errors import BenchError, MeasurementError, UsageError, one_line
from bench.measuring import counting
from bench.measuring.counting import CountResult
from bench.targets.registry import needed_bytes
from bench.workloads import ideas
from bench.workloads.ideas import Packed
from bench.workloads.scenario import Point

PROCESS_BYTES = 256 << 20  # memory of a worker process that has the compiler loaded
CONNECT_SECONDS = 3.0  # to reach a scheduler
AT_ONCE = 1000  # tasks that are handed out, and not yet done
CHECK_SECONDS = 5.0  # between checks that the workers are still there


class Request(msgspec.Struct, frozen=True):
    """What a worker is asked for."""

    point: Point
    ideas: list[Packed] = []  # what it must know of the implementation


class Reply(msgspec.Struct, frozen=True):
    """What a worker found, and the sources that it runs."""

    sources: str
    done: CountResult


class Task(msgspec.Struct, frozen=True):
    """A question to a worker."""

    name: str  # of what is asked about, in messages
    request: bytes
    needed: int = 0  # bytes of memory that it takes


Function = Callable[[bytes], bytes]  # a module's own, so that a worker finds it by name


class Workers(msgspec.Struct, frozen=True):
    """Processes that count."""

    executor: Executor
    nr_workers: int  # points at the same time
    memory: float  # bytes that the points counted at the same time may need together; one alone may need more
    check_alive: Callable[[], None]  # raises if they are gone for good


def count_request(request: bytes) -> bytes:
    """Count a point. Runs in the workers."""
    sources = counting.sources_digest()
    asked = msgspec.json.decode(request, type=Request)
    ideas.unpack(asked.ideas)
    return msgspec.json.encode(Reply(sources, counting.count(asked.point)))


def count_each(points: Sequence[Point], scheduler: str = "") -> Generator[tuple[int, CountResult], None, None]:
    """Count points in other processes; yield each one's index and result as it comes, in no particular order.

    `scheduler` is the address of a Dask scheduler; without it the processes are this machine's own, as many as there
    are processors. Close the iterator to end them before the last point.
    """
    if not points:
        return
    nr_workers = min(len(points), len(os.sched_getaffinity(0)))
    if scheduler:
        with _cluster(scheduler) as workers:
            yield from _replies(workers, points)
    elif nr_workers > 1:
        with _local_processes(nr_workers) as workers:
            yield from _replies(workers, points)
    else:
        yield from ((index, counting.count(point)) for index, point in enumerate(points))


def answer_each(function: Function, tasks: Iterable[Task], scheduler: str = "") -> Generator[tuple[int, bytes], None, None]:
    """Have other processes answer questions; yield each one's index and answer as it comes, in no particular order.

    Tasks are taken as they are needed, never more than AT_ONCE of them ahead. `scheduler` as for count_each().
    MeasurementError names the task at which a worker failed: what may be wrong with a question, `function` answers itself.
    """
    nr_workers = len(os.sched_getaffinity(0))
    if scheduler:
        with _cluster(scheduler) as workers:
            yield from _answered(workers, function, tasks)
    elif nr_workers > 1:
        with _local_processes(nr_workers) as workers:
            yield from _answered(workers, function, tasks)
    else:
        yield from ((index, function(task.request)) for index, task in enumerate(tasks))


def _answered(workers: Workers, function: Function, tasks: Iterable[Task]) -> Iterator[tuple[int, bytes]]:
    """Have workers answer questions."""
    for index, task, future in _results(workers, function, tasks):
        yield index, _bytes_of(future, task.name)


def _replies(workers: Workers, points: Sequence[Point]) -> Iterator[tuple[int, CountResult]]:
    """Have workers count points, in order, never more at once than there is memory for."""
    requests = [msgspec.json.encode(Request(point, ideas.packed([point.implementation]))) for point in points]
    tasks = [Task(point.name, asked, needed_bytes(point)) for point, asked in zip(points, requests, strict=True)]
    for index, _, future in _results(workers, count_request, tasks):
        yield index, _result(future, points[index])


def _results(workers: Workers, function: Function, tasks: Iterable[Task]) -> Iterator[tuple[int, Task, Future[bytes]]]:
    """Hand tasks to workers, in order, never more at once than there is memory for; yield each that is done."""
    coming = enumerate(tasks)
    waiting = deque([first] if (first := next(coming, None)) else [])
    running: dict[Future[bytes], tuple[int, Task]] = {}
    while waiting or running:
        while waiting and len(running) < min(workers.nr_workers, AT_ONCE) and _fits(waiting[0][1], running, workers.memory):
            index, task = waiting.popleft()
            running[_submit(workers, function, task)] = index, task
            waiting.extend([following] if (following := next(coming, None)) else [])
        finished, _ = wait(running, timeout=CHECK_SECONDS, return_when=FIRST_COMPLETED)
        if not finished:
            workers.check_alive()
        for future in finished:
            yield (*running.pop(future), future)


def _fits(task: Task, running: Mapping[Future[bytes], tuple[int, Task]], memory: float) -> bool:
    """Tell whether a task may be worked on beside those that are running."""
    return not running or sum(one.needed for _, one in running.values()) + task.needed <= memory


def _submit(workers: Workers, function: Function, task: Task) -> Future[bytes]:
    """Hand a task to a worker."""
    # A process that is started here inherits that SIGINT is blocked: Ctrl-C is for this one, which ends the others.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return workers.executor.submit(function, task.request)
    except RuntimeError as error:  # the pool is broken, or the client closed
        raise MeasurementError(f"counting {task.name} failed: {one_line(error)}") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _bytes_of(future: Future[bytes], name: str) -> bytes:
    """Return what came back; raise if nothing did."""
    try:
        return future.result()
    except BenchError:
        raise
    except CancelledError:
        raise MeasurementError(f"counting {name} failed: it was cancelled, or its workers went away") from None
    except Exception as error:  # whatever a worker may die of
        reason = one_line(f"{type(error).__name__}: {error}")
        raise MeasurementError(f"counting {name} failed: {reason}") from None


def _result(future: Future[bytes], point: Point) -> CountResult:
    """Return what came back for a point; raise unless it is about that point and from these sources."""
    answer = _bytes_of(future, point.name)
    try:
        found = msgspec.json.decode(answer, type=Reply)
    except msgspec.DecodeError as error:  # of other sources
        raise MeasurementError(f"counting {point.name} failed: {one_line(error)}") from None
    if found.sources != counting.sources_digest():
        raise MeasurementError(
            f"counting {point.name} failed: its worker runs other sources, library versions or settings than this process"
        )
    name = found.done.counted.name
    if found.done.counted.point != point or name != point.name:
        what = one_line(name) if name != point.name else "one with other parameters"
        raise MeasurementError(f"asked for {point.name}, but counted was {what}")
    return found.done


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _local_processes(nr_workers: int) -> Iterator[Workers]:
    """Give worker processes of this machine; at an error or an interruption they are ended in the middle of their work."""
    others = set(multiprocessing.active_children())
    # Not forked: this process may have threads, and compiled code.
    executor = ProcessPoolExecutor(nr_workers, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    memory = psutil.virtual_memory().available - nr_workers * PROCESS_BYTES
    try:
        yield Workers(executor, nr_workers, memory, check_alive=lambda: None)  # the pool itself tells when a process dies
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()


@contextmanager
def _cluster(address: str) -> Iterator[Workers]:
    """Give the workers of a Dask cluster, each of which checks its own memory."""
    try:
        import distributed  # here, because it is an optional extra
    except ImportError:
        raise UsageError("--scheduler needs the Python package distributed: install unlockall-bench[dask]") from None
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is told here, in one line
    workers = _workers(address)
    if not workers:
        raise UsageError(f"the Dask scheduler {one_line(address, 80)} has no workers")

    def check_alive() -> None:
        if client.status != "running" or not client.scheduler_info(n_workers=-1)["workers"]:
            raise MeasurementError(f"the Dask scheduler {one_line(address, 80)} or its workers went away")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other versions there are told by name, if they matter
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    with client, client.get_executor(pure=False) as executor:
        try:
            yield Workers(executor, nr_workers=sys.maxsize, memory=math.inf, check_alive=check_alive)
        except BaseException:
            executor.shutdown(wait=False)
            raise


def _workers(address: str) -> list[str]:
    """Return the addresses of a scheduler's workers; raise UsageError if nothing there answers as a scheduler does."""
    import distributed

    async def ask() -> dict[str, Any]:
        arguments = distributed.Security().get_connection_args("client")
        async with distributed.rpc(address, timeout=CONNECT_SECONDS, connection_args=arguments) as remote:
            identity: dict[str, Any] = await asyncio.wait_for(remote.identity(), CONNECT_SECONDS)
            return identity

    try:
        identity = asyncio.run(ask())
    except Exception as error:  # of the network, of the address, of what some other server answers
        reason = one_line(error) or f"no answer within {CONNECT_SECONDS:g} s"
        raise UsageError(f"cannot reach a Dask scheduler at {one_line(address, 80)!r}: {reason}") from None
    if identity.get("type") != "Scheduler":
        raise UsageError(f"at {one_line(address, 80)!r} is no Dask scheduler but a {one_line(identity.get('type'), 40)}")
    return list(identity["workers"])
