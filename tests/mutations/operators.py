"""Small mistakes that can be made in a Python file, each as the replacement of a piece of its text.

Left out are what no test should hold: docstrings and other texts, annotations, decorators, imports, and messages of errors.
"""

from __future__ import annotations

import ast
from typing import Final, NamedTuple


class Change(NamedTuple):
    """One mistake: `[start, end)` of the file's bytes become `new`."""

    operator: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def applied(self, source: str) -> str:
        """Return the source with the mistake in it; ValueError if it is another source."""
        data = source.encode()
        if data[self.start : self.end].decode() != self.old:
            raise ValueError(f"line {self.line} does not hold {self.old!r} any more")
        return (data[: self.start] + self.new.encode() + data[self.end :]).decode()


_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
}  # fmt: skip


def changes(source: str, *, numbers: bool = True) -> list[Change]:
    """Return every mistake that can be made in a file, in the order of its text; `numbers`: also in its numbers."""
    found = _Finder(source, numbers)
    found.visit(ast.parse(source))
    return sorted(set(found.changes), key=lambda one: (one.start, one.end, one.operator, one.new))


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, or the ellipsis of a protocol."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _named(node: ast.expr, *names: str) -> bool:
    """Whether an expression is one of these names."""
    return isinstance(node, ast.Name) and node.id in names


class _Finder(ast.NodeVisitor):
    """Collects the changes of one file."""

    def __init__(self, source: str, numbers: bool) -> None:
        self.changes: list[Change] = []
        self._data = source.encode()
        self._numbers = numbers
        self._line_starts = [0]
        for line in source.encode().splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))

    def _add(self, operator: str, node: ast.expr | ast.stmt, new: str) -> None:
        start = self._line_starts[node.lineno - 1] + node.col_offset
        end = self._line_starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        old = self._data[start:end].decode()
        if isinstance(node, ast.expr):
            new = f"({new})"  # its place may bind more tightly than the text that is put there
        self.changes.append(Change(operator, node.lineno, start, end, old, new))

    def _drop(self, node: ast.stmt) -> None:
        self._add("dropped statement", node, "pass")

    # ---- what is left alone ----

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave texts alone."""

    def visit_Import(self, node: ast.Import) -> None:
        """Leave imports alone."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Leave imports alone."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leave what can only fail alone."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Go into the defaults and the body, without decorators and annotations."""
        for default in (*node.args.defaults, *(one for one in node.args.kw_defaults if one)):
            self.visit(default)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Go into the body, without decorators and bases."""
        for statement in node.body:
            self.visit(statement)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Take the error out, but leave its message alone."""
        self._drop(node)

    # ---- statements ----

    def visit_Expr(self, node: ast.Expr) -> None:
        """Take a call out."""
        if _is_text(node):
            return
        if isinstance(node.value, ast.Call):
            self._drop(node)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Take a store into a record, an array or an object out: a name without a value would only be a crash."""
        if all(isinstance(one, (ast.Subscript, ast.Attribute)) for one in node.targets):
            self._drop(node)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Go into the value alone."""
        if node.value:
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Take it out, or use another operation."""
        self._drop(node)
        if other := _ARITHMETIC.get(type(node.op)):
            self._add("arithmetic", node, ast.unparse(ast.AugAssign(node.target, other(), node.value)))
        self.visit(node.value)

    def visit_Break(self, node: ast.Break) -> None:
        """Take it out."""
        self._drop(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        """Take it out."""
        self._drop(node)

    def visit_If(self, node: ast.If) -> None:
        """Ask the opposite."""
        if _named(node.test, "TYPE_CHECKING") or "__name__" in ast.unparse(node.test):
            return
        if not isinstance(node.test, (ast.Compare, ast.BoolOp)):
            self._negate(node.test)
        self.generic_visit(node)

    def _negate(self, node: ast.expr) -> None:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return  # visit_UnaryOp() does that
        self._add("condition", node, f"not ({ast.unparse(node)})")

    # ---- expressions ----

    def visit_Compare(self, node: ast.Compare) -> None:
        """Move a boundary, or ask the opposite."""
        for index, operator in enumerate(node.ops):
            operators = [*node.ops]
            operators[index] = _COMPARISONS[type(operator)]()
            self._add("comparison", node, ast.unparse(ast.Compare(node.left, operators, node.comparators)))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Exchange and with or; leave one of the conditions out."""
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._add("boolean", node, ast.unparse(ast.BoolOp(other, node.values)))
        for index in range(len(node.values)):
            left = [*node.values[:index], *node.values[index + 1 :]]
            text = ast.unparse(left[0] if len(left) == 1 else ast.BoolOp(node.op, left))
            self._add("dropped condition", node, text)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """Take it out."""
        self._add("removed " + {"Not": "not", "USub": "minus", "Invert": "~"}.get(type(node.op).__name__, "plus"), node,
                  ast.unparse(node.operand))  # fmt: skip
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Use another operation; that with a text on one side is left alone."""
        other = _ARITHMETIC.get(type(node.op))
        if other and not _text(node.left) and not _text(node.right):
            self._add("arithmetic", node, ast.unparse(ast.BinOp(node.left, other(), node.right)))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Count one more or one less, exchange true and false."""
        if isinstance(node.value, bool):
            self._add("boolean constant", node, str(not node.value))
        elif self._numbers and isinstance(node.value, int):
            self._add("number", node, str(node.value + 1))
            self._add("number", node, str(node.value - 1))
        elif self._numbers and isinstance(node.value, float):
            self._add("number", node, str(node.value * 1.5 or 1.0))

    def visit_Call(self, node: ast.Call) -> None:
        """Exchange neighbouring arguments."""
        if _named(node.func, "TypeVar", "cast", "isinstance", "print"):
            return
        for index in range(len(node.args) - 1):
            one, two = node.args[index : index + 2]
            plain = not isinstance(one, ast.Starred) and not isinstance(two, ast.Starred)
            if plain and ast.unparse(one) != ast.unparse(two) and not _constant(one) and not _constant(two):
                swapped = [*node.args]
                swapped[index : index + 2] = two, one
                self._add("swapped arguments", node, ast.unparse(ast.Call(node.func, swapped, node.keywords)))
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """Exchange both values."""
        self._add("condition", node, ast.unparse(ast.IfExp(node.test, node.orelse, node.body)))
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Leave the words of a type alone."""
        if _named(node.value, "Annotated", "Literal", "Callable", "tuple", "list", "dict", "type"):
            return
        self.generic_visit(node)


def _text(node: ast.expr) -> bool:
    """Whether an operand is a literal text."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _constant(node: ast.expr) -> bool:
    """Whether an argument is a literal, whose exchange with its neighbour would mostly be a crash."""
    return isinstance(node, ast.Constant)
