"""The table of commands, and how their arguments are parsed. Imports nothing heavy."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from bench.errors import UsageError

# name -> one line of help. The module of that name, here, has main(argv) -> exit code, and is loaded only when it is asked for.
COMMANDS: dict[str, str] = {
    "report": "reproduce the report: count, check, time, table, figure (the main job)",
    "run": "time calls by pyperf, with all of its options, and measure real kernels",
    "gate": "judge this tree by counters, laws and times; exit code 1 at a regression",
    "table": "show a run's counters, times and scaling exponents as a table",
    "compare": "compare two runs, or targets: counters exactly, times with confidence intervals",
    "sweep": "count and time a grid of spans, populations and targets; resumes after interruption",
    "reference": "regenerate the committed reference, results/reference/, and tell what changed",
    "plot": "draw the figures of a run, and a page that shows them with their tables",
    "list": "list scenarios, implementations, real kernels and layouts",
    "replay": "run recorded or random sequences of calls through the model, or compare with a kernel's",
    "predict": "tell what calls would cost real kernels, and hold that against what they executed",
    "races": "explore what can happen when mlock or munlock and another path run at once",
    "capture": "record the address space of a live process, or of smaps, maps or pmap output, as a layout",
    "kernel": "fetch real kernels, and hold the model against what they do",
    "scan": "find the calls of real kernels that walk memory which nobody touched",
    "speed": "measure the model's own speed and size against their budgets",
}


def _close(word: str, known: Sequence[str]) -> str:
    """Return the question whether a word that is close was meant, nothing if none is."""
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]}? " if close else ""


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def parse_known_args(  # type: ignore[override]  # only ever called without a namespace
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, taking what follows an option for its value even where it starts with a minus, as in ``--size -4KiB``."""
        joined: list[str] = []
        for word in sys.argv[1:] if args is None else args:
            if re.match(r"-\d", word) and joined and re.fullmatch(r"--[a-z-]+", joined[-1]):
                joined[-1] += "=" + word
            else:
                joined.append(word)
        return super().parse_known_args(joined, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise what is printed in one line, where argparse would print the whole usage first."""
        options = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        meant = ""
        if option := re.search(r"unrecognized arguments: (--[a-z-]+)", message):
            meant = _close(option[1], options)
        elif choice := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            meant = _close(choice[1], re.findall(r"[\w-]+", choice[2]))
        raise UsageError(f"{message} ({meant}try {self.prog} --help)")


# What add_subparsers() gives: an action of a command adds its parser there.
Actions: TypeAlias = "argparse._SubParsersAction[OneLineParser]"


def parser_of(command: str) -> OneLineParser:
    """Return an empty parser for a command, with the help line that the table has."""
    return OneLineParser(prog=f"unlockall-bench {command}", description=COMMANDS[command], allow_abbrev=False)
