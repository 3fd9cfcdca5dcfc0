"""The error that is not the kernel's."""

from __future__ import annotations


class NotModelled(Exception):
    """The kernel knows what was asked for, the model does not: nothing was done.

    No ``OSError``: it says nothing of what a kernel would answer.
    """
