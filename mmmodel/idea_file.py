"""An idea of one's own, read from its file: what can be seen to be wrong with it without running it.

Nothing is executed or compiled here, and neither numba nor numpy is loaded (docs/own-implementation.md says what a file is).
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final, NoReturn

from mmmodel.kernels import Idea, kernel_named

SUFFIX: Final = ".py"
MAX_BYTES: Final = 64 << 10
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_NOT_COMPILED: Final = (ast.Raise, ast.Assert, ast.Try, ast.TryStar, ast.Yield, ast.YieldFrom, ast.Await, ast.With)


class IdeaError(ValueError):
    """What is wrong with a file, in one line that begins with its path."""


def read_idea(path: str) -> Idea:
    """The idea in a file; IdeaError if it is none."""
    name = Path(path).name.removesuffix(SUFFIX)
    if not _NAME.fullmatch(name):
        raise IdeaError(f"{path}: results go by the file's name: up to 40 ASCII letters, digits, - and _ before {SUFFIX}")
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise IdeaError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise IdeaError(f"{path}: is not UTF-8 text at byte {error.start}") from None
    if len(data) > MAX_BYTES:
        raise IdeaError(f"{path}: is larger than {MAX_BYTES >> 10} KiB")
    return _idea_of(name, text, path)


def _idea_of(name: str, text: str, path: str) -> Idea:
    """The idea that a text is."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        raise IdeaError(f"{path}: line {line}: {getattr(error, 'msg', None) or error}") from None
    docstring = (ast.get_docstring(tree) or "").strip().partition("\n")[0].strip()
    idea = Idea(name, _kernel(tree, path), docstring[:100] or "it says nothing of itself", text, path)
    _check_function(tree, idea)
    return idea


def _kernel(tree: ast.Module, path: str) -> str:
    """The kernel that a file names."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [getattr(one, "id", "") for one in node.targets] == ["KERNEL"]:
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            try:
                return kernel_named(value if isinstance(value, str) else ast.unparse(node.value)).name
            except ValueError as error:
                raise IdeaError(f"{path}: line {node.lineno}: KERNEL: {error}") from None
    raise IdeaError(f'{path}: has no line KERNEL = "5.10": the kernel whose rules the idea lives by')


def _check_function(tree: ast.Module, idea: Idea) -> None:
    """Refuse a file without the function, or with one that cannot be called or compiled."""

    def refuse(node: ast.stmt | ast.expr, what: str) -> NoReturn:
        raise IdeaError(f"{idea.path}: line {node.lineno}: {what}")

    wanted = f"{idea.function}({', '.join(idea.parameters)})"
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == idea.function]
    if not found:
        raise IdeaError(f"{idea.path}: defines no function {wanted}, which Linux {idea.kernel} calls")
    function, parameters = found[-1], found[-1].args
    names = [one.arg for one in (*parameters.posonlyargs, *parameters.args)]
    others = parameters.vararg or parameters.kwarg or parameters.kwonlyargs or parameters.defaults
    if len(names) != len(idea.parameters) or others:
        refuse(function, f"{function.name}({ast.unparse(parameters)}) must be {wanted}")
    if function.decorator_list:
        refuse(function.decorator_list[0], f"{function.name} is compiled as it is: it takes no decorator")
    for node in ast.walk(function):
        if isinstance(node, _NOT_COMPILED):
            refuse(node, f"compiled code cannot {type(node).__name__.lower()}: nobody above would hear of it")
        if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
            refuse(node, f"{function.name} returns nothing")


def _is_none(node: ast.expr) -> bool:
    """Whether an expression is None itself."""
    return isinstance(node, ast.Constant) and node.value is None
