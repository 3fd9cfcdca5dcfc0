"""What the tests of both the model and its oracle share."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from mmmodel.kernels import IMPLEMENTATIONS
from oracle import OracleMm

# Where a shell runs the tests in the background it has them ignore Ctrl-C, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing here: machines that run tests are loaded.
settings.register_profile("without a clock", deadline=None)
settings.load_profile("without a clock")

MakeMm = Callable[..., Any]


@pytest.fixture(params=["oracle", "model"])
def make_mm(request: pytest.FixtureRequest) -> MakeMm:
    """Constructor of an address space: the oracle's, or the model's, which takes the same arguments."""
    if request.param == "oracle":
        return OracleMm
    from mmmodel import Mm

    return Mm


@pytest.fixture(params=IMPLEMENTATIONS)
def impl(request: pytest.FixtureRequest) -> str:
    """Name of an implementation."""
    name: str = request.param
    return name
