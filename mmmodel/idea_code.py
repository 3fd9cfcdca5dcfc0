"""The code of an idea: a file's function, compiled as a unit is, and how compiled code calls it.

The function is not known when the model is compiled, so it is called by its address, which the machine has in ``ctl``; the
call is one for each VMA, and nothing else of the model changes.  Without JIT the number is one of a table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from numba import types
from numba.core import config
from numba.core.typing import signature
from numba.extending import intrinsic

from mmmodel import jit
from mmmodel.kernels import Idea

Code = dict[str, Any]  # a module's names
_loaded: Final[dict[tuple[Idea, bool], int]] = {}
_functions: Final[dict[int, Callable[..., None]]] = {}  # by number, without JIT
_compiled: Final[list[Any]] = []  # machine code lives as long as these
_bounds: Final = [False]  # whether indices are checked


def check_bounds(on: bool) -> None:
    """Have machines that are made from now on run ideas with every index of their own code checked, or not.

    What is out of bounds goes to :func:`sys.unraisablehook`, as there is no way through compiled callers.
    """
    _bounds[0] = on


def function_of(idea: Idea) -> Callable[..., None]:
    """Execute an idea's file: its function.  Raises whatever the file does."""
    module = ModuleType(f"idea_{idea.name}")
    module.__file__ = idea.path
    sys.modules[module.__name__] = module
    exec(compile(idea.text, idea.path, "exec"), module.__dict__)  # that is what the file was given for
    function: Callable[..., None] = module.__dict__[idea.function]
    return function


def load_idea(idea: Idea) -> int:
    """What ``ctl[IDEA_CODE]`` must be for a machine that runs an idea, which is compiled or comes from the cache.

    Raises whatever the file or numba does.
    """
    key = idea, _bounds[0]
    if key not in _loaded:
        function = function_of(idea)
        if config.DISABLE_JIT:
            _loaded[key] = len(_functions) + 1
            _functions[_loaded[key]] = function
        else:
            jit.load_units()
            compiled = jit.compile_idea(function, len(idea.parameters) - 1, idea.digest, bounds=_bounds[0])
            _compiled.append(compiled)
            _loaded[key] = compiled.address
    return _loaded[key]


def _call(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
    """Emit the call of a C function by its address, the first argument."""
    from llvmlite import ir

    function = ir.FunctionType(context.get_value_type(types.none), [context.get_value_type(one) for one in called.args[1:]])
    builder.call(builder.inttoptr(arguments[0], function.as_pointer()), arguments[1:])
    return context.get_dummy_value()


if config.DISABLE_JIT:

    def call_munlock(code: int, *arguments: Any) -> None:
        """Call a function of five parameters."""
        _functions[int(code)](*arguments)

    call_mlock = call_munlock
else:
    from mmmodel.statetype import STATE_TYPE

    _WORD: Final = types.int64

    @intrinsic  # type: ignore[untyped-decorator]
    def call_munlock(_context: Any, code: Any, s: Any, mm: Any, vma: Any, start: Any, end: Any) -> Any:
        """Call a function of five parameters."""
        return signature(types.none, _WORD, STATE_TYPE, *4 * [_WORD]), _call

    @intrinsic  # type: ignore[untyped-decorator]
    def call_mlock(_context: Any, code: Any, s: Any, mm: Any, vma: Any, start: Any, end: Any, newflags: Any) -> Any:
        """Call a function of six parameters."""
        return signature(types.none, _WORD, STATE_TYPE, *5 * [_WORD]), _call
