"""Who counts does not matter: the same bytes from this process, from others, and from a Dask cluster."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import closing
from pathlib import Path
from typing import Any

import distributed
import msgspec
import pytest
from rich.progress import Progress

from bench.errors import MeasurementError, UsageError
from bench.measuring import collect, counting, pool
from bench.measuring.collect import Request
from bench.measuring.counting import CountResult
from bench.measuring.pool import Reply, Workers
from bench.workloads.scenario import SCENARIOS, Point
from bench.workloads.suite import Group, points_of

GROUPS = [Group(SCENARIOS[name].resized(1 << 21), "munmap") for name in ("report", "sparse-random", "thp")]
POINTS = points_of(GROUPS)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a Dask scheduler with one worker, in threads of this process."""
    directory = tmp_path_factory.mktemp("dask")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        dashboard_address=":0",
        local_directory=str(directory),
    ) as found:
        yield found.scheduler_address


def file_of(directory: Path, scheduler: str = "") -> bytes:
    """Return the counters' file as a sweep of POINTS writes it."""
    request = Request("sweep", "python -m bench sweep", POINTS, timed=False)
    with collect.collected(request, directory, Progress(disable=True), scheduler) as done:
        collect.save(directory, request, {"cpu_model": "x"}, done)
    return (directory / "counters.json").read_bytes()


def test_the_bytes_are_the_same_whoever_counted(tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[str] = []  # names of the threads of this process that counted
    count = counting.count

    def counted(point: Point) -> CountResult:
        here.append(threading.current_thread().name)
        return count(point)

    monkeypatch.setattr(counting, "count", counted)
    others = file_of(tmp_path / "processes")
    assert here == []
    dask = file_of(tmp_path / "dask", cluster)
    assert len(here) == len(POINTS)
    assert "MainThread" not in here
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    alone = file_of(tmp_path / "alone")
    assert here[len(POINTS) :] == ["MainThread"] * len(POINTS)
    assert others == dask == alone
    assert others.count(b'"model_pages_looked_up"') == len(POINTS)


def test_a_cluster_without_workers_is_refused(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_workers", lambda address: [])
    with pytest.raises(UsageError, match=r"scheduler tcp://.* has no workers"):
        list(pool.count_each(POINTS[:1], cluster))


@pytest.mark.parametrize("address", ["nonsense::", "foo://x", "127.0.0.1", "tcp://127.0.0.1:9"])
def test_an_address_where_no_scheduler_is(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 0.2)
    with pytest.raises(UsageError, match="cannot reach a Dask scheduler at"):
        list(pool.count_each(POINTS[:1], address))


def test_a_worker_is_no_scheduler(cluster: str) -> None:
    (worker,) = pool._workers(cluster)
    with pytest.raises(UsageError, match="is no Dask scheduler but a Worker"):
        list(pool.count_each(POINTS[:1], worker))


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"install unlockall-bench\[dask\]"):
        list(pool.count_each(POINTS[:1], "tcp://127.0.0.1:8786"))


def test_what_a_point_is_refused_for_comes_back_as_it_is(cluster: str) -> None:
    tiny = Point(SCENARIOS["report"].resized(4096), "page-walk", "munlock-part")
    with pytest.raises(UsageError, match="munlock-part needs at least 4 pages"):
        list(pool.count_each([tiny], cluster))


class Fake(Executor):
    """Answers when it is told to; keeps who runs at the same time."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.running, self.most = answer, 0, 0

    def submit(self, function: Any, /, question: bytes) -> Future[bytes]:  # type: ignore[override]
        future = Delayed(self)
        self.running += 1
        self.most = max(self.most, self.running)
        future.set_result(self.answer(question))
        return future


class Delayed(Future[bytes]):
    """Is done when somebody asks for its result."""

    def __init__(self, executor: Fake) -> None:
        super().__init__()
        self.executor = executor

    def result(self, timeout: float | None = None) -> bytes:
        self.executor.running -= 1
        return super().result(timeout)


def replies(answer: Any, nr_workers: int = 4, memory: float = 1e12, points: Any = POINTS) -> Fake:
    """Have fake workers count; return it."""
    executor = Fake(answer)
    found = list(pool._replies(Workers(executor, nr_workers, memory, lambda: None), points))
    assert sorted(index for index, _ in found) == list(range(len(points)))
    assert all(done.counted.point == points[index] for index, done in found)
    return executor


def test_no_more_points_at_once_than_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "needed_bytes", lambda point: 10)
    assert replies(pool.count_request).most == 4
    assert replies(pool.count_request, memory=25).most == 2
    assert replies(pool.count_request, memory=0).most == 1  # one alone may try, and is refused or not by itself


def changed(**changes: Any) -> Any:
    def answer(question: bytes) -> bytes:
        found = msgspec.json.decode(pool.count_request(question), type=Reply)
        return msgspec.json.encode(msgspec.structs.replace(found, **changes))

    return answer


def test_a_worker_of_other_sources_is_not_believed() -> None:
    with pytest.raises(MeasurementError, match="runs other sources"):
        replies(changed(sources="0123456789abcdef"), points=POINTS[:1])


def test_an_answer_about_another_point_is_not_believed() -> None:
    with pytest.raises(MeasurementError, match=f"asked for {POINTS[0].name}, but counted was {POINTS[1].name}"):
        replies(changed(done=counting.count(POINTS[1])), points=POINTS[:1])
    namesake = msgspec.structs.replace(POINTS[0], scenario=msgspec.structs.replace(POINTS[0].scenario, vma_bytes=1 << 20))
    with pytest.raises(MeasurementError, match=f"asked for {namesake.name}, but counted was one with other parameters"):
        replies(changed(done=counting.count(namesake)), points=POINTS[:1])


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"sources": 1}'])
def test_an_answer_that_is_none_is_one_line(data: bytes) -> None:
    with pytest.raises(MeasurementError, match=f"counting {POINTS[0].name} failed: "):
        replies(lambda question: data, points=POINTS[:1])


ORPHANS = """
import os, signal, time
from bench.measuring import pool

if __name__ == "__main__":
    with pool._local_processes(1) as workers:
        print(workers.executor.submit(os.getpid).result(), flush=True)
        asleep = workers.executor.submit(time.sleep, 600)
        while not asleep.running():
            time.sleep(0.01)
        {end}
"""


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "raise KeyboardInterrupt"])
def test_workers_do_not_outlive_their_parent(end: str, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(ORPHANS.format(end=end))
    environment = {**os.environ, "PYTHONPATH": str(Path(pool.__file__).parents[2])}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    worker = int(done.stdout)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("is_cluster", [False, True])
def test_other_questions_are_answered_too(is_cluster: bool, request: pytest.FixtureRequest) -> None:
    scheduler = request.getfixturevalue("cluster") if is_cluster else ""
    tasks = [pool.Task(f"task {number}", f"a{number}".encode()) for number in range(20)]
    found = dict(pool.answer_each(bytes.upper, tasks, scheduler))
    assert found == {number: f"A{number}".encode() for number in range(20)}


def test_tasks_are_taken_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "AT_ONCE", 3)
    taken: list[int] = []

    def tasks() -> Iterator[pool.Task]:
        for number in range(100):
            taken.append(number)
            yield pool.Task(str(number), b"x")

    with closing(pool.answer_each(bytes.upper, tasks())) as answers:
        next(answers)
        assert len(taken) <= 4  # one is looked at
