"""Ends pytest when a single test takes too long: a plugin for runs on mutants, many of which never end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

SECONDS = int(os.environ.get("MUTANT_TEST_SECONDS", "300"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Set an alarm that nothing handles, so that it also ends what loops in compiled code."""
    del item
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
