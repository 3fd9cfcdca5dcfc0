"""Which of the three settings the tests run in. Each sees random programs of its own, so that together they see more."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings

WITHOUT_JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
BOUNDS_CHECKED = os.environ.get("NUMBA_BOUNDSCHECK", "0") != "0"
SLOW = WITHOUT_JIT or BOUNDS_CHECKED
NUMBER = 1 if WITHOUT_JIT else 2 if BOUNDS_CHECKED else 0
"""Of the setting: part of the seeds."""


def examples(compiled: int, slow: int, variable: str, **more: Any) -> tuple[settings, Callable[..., Callable[[Any], Any]]]:
    """Settings of hypothesis, and `fixed(what)`, a decorator that chooses examples by the setting and what is tested.

    `slow`: of the two settings but the compiled one.  With `variable` in the environment: as many as it says, and new ones.
    """
    fresh = int(os.environ.get(variable, "0"))
    chosen = settings(
        max_examples=fresh or (slow if SLOW else compiled),
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        **more,
    )
    return chosen, lambda *what: (lambda test: test) if fresh else seed(f"{NUMBER} {what}")
