"""Real kernels without any: guests that answer what a test says, and results as such kernels would give them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bench.kernels.host import Host
from bench.kernels.protocol import Answer, Hello, Program
from bench.kernels.qemu import Qemu
from bench.kernels.selection import Selected
from bench.kernels.uml import Uml
from bench.runs.kernel_record import KernelCost, KernelFacts, Start
from bench.targets.kernel import KernelTarget
from bench.workloads.scenario import SCENARIOS, Point

IMAGES = Path("/nonexistent")  # each named as its kernel
Answering = Callable[[Program], list[Answer]]  # what a guest answers to a program; it may raise


def qemu(name: str = "6.1.192") -> KernelTarget:
    """Return a kernel under QEMU."""
    return KernelTarget(name, Selected(name, name, Qemu(IMAGES / name), "never", None))


def uml(name: str = "uml-5.10") -> KernelTarget:
    """Return a user-mode Linux."""
    return KernelTarget(name, Selected(name, name.removeprefix("uml-"), Uml(IMAGES / name), "never", None))


def host(thp: str = "never") -> KernelTarget:
    """Return the running kernel, as one that has huge pages set so."""
    return KernelTarget("host", Selected("host", "6.18.0", Host(), thp, 1 << 40))  # type: ignore[arg-type]


def all_well(program: Program, cycles: int = 1000) -> list[Answer]:
    """Answer that every order succeeded."""
    return [Answer(0, cycles, None) for _ in program.orders]


def answering(
    monkeypatch: pytest.MonkeyPatch,
    answer: Answering,
    kernel: type = Qemu,
    by_image: Callable[[str], Answering] | None = None,
) -> list[Sequence[Program]]:
    """Have guests of a kind answer so; return the batches that they get, one for each start.

    `by_image`: what a guest answers by the name of its image, in place of `answer`.
    """
    batches: list[Sequence[Program]] = []

    def run(
        self: object, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
    ) -> Iterator[list[Answer]]:
        batches.append(programs)
        image = str(self.image.name) if isinstance(self, Qemu) else "6.1"
        hello(Hello(f"{image}-fake", 1, True, True))
        answer_as = answer if by_image is None else by_image(image)
        for program in programs:
            yield answer_as(program)

    monkeypatch.setattr(kernel, "run", run)
    monkeypatch.setattr(KernelTarget, "digest", "f" * 64)
    return batches


def facts(name: str) -> KernelFacts:
    """Return what a result says of a kernel."""
    if name == "host":
        return KernelFacts("host", "6.18.0-test", "running here")
    if name.startswith("uml-"):
        return KernelFacts(name, f"{name.removeprefix('uml-')}.7", "user-mode Linux", "a" * 64)
    return KernelFacts(name, f"{name}-cloud", "QEMU", "b" * 64, "QEMU emulator version 7.2")


def cost(name: str, *starts: Sequence[int | float], span: int = 64 << 20, scenario: str = "report") -> KernelCost:
    """Return what munlockall() cost on a kernel, start by start."""
    point = Point(SCENARIOS[scenario].resized(span), name)
    dated = tuple(Start(tuple(values), (), f"2026-01-31 12:00:0{number}") for number, values in enumerate(starts))
    return KernelCost(point, facts(name), "instructions" if isinstance(starts[0][0], int) else "seconds", dated)
