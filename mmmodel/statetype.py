"""How compiled code receives a :class:`~mmmodel.state.State`: as one pointer.

A NamedTuple of eleven arrays was passed as 77 values to each of two hundred functions: compiling took 140 s that way
(70 s as a pointer, before :func:`mmmodel.jit.unit`), and a fault 2.2 times as long.  Here the type is the address of
``State.header``; ``s.pages`` in compiled code builds an array view from the row that describes it.  The views own nothing: the
Python object keeps the arrays alive.  Without JIT this module is never loaded, and the attributes are plain ones.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox
from numba.np.arrayobj import populate_array

from mmmodel.state import ARRAYS, FIELDS, HEADER_ROW, State

ARRAY_TYPES: Final = {field: types.Array(from_dtype(dtype), ndim, "C") for field, (dtype, ndim) in ARRAYS.items()}
ARRAY_TYPES["pvec"] = types.Array(types.int32, 1, "C")  # one vector of State.pvecs or State.munlock_pvecs


class StateType(types.Type):
    """numba's type of a State."""

    def __init__(self) -> None:
        super().__init__(name="mmmodel.State")


STATE_TYPE: Final = StateType()
register_model(StateType)(models.OpaqueModel)


@typeof_impl.register(State)
def _typeof_state(_value: State, _context: Any) -> StateType:
    return STATE_TYPE


@infer_getattr
class _StateAttributes(AttributeTemplate):
    key = StateType

    def generic_resolve(self, _state: StateType, attribute: str) -> types.Array | None:
        return ARRAY_TYPES.get(attribute)


@lower_getattr_generic(StateType)
def _lower_attribute(context: Any, builder: Any, _type: StateType, state: Any, attribute: str) -> Any:
    """Build the array that a row of the header describes."""
    array_type = ARRAY_TYPES[attribute]
    word = context.get_value_type(types.intp)
    row = HEADER_ROW * FIELDS.index(attribute)
    header = builder.bitcast(state, word.as_pointer())
    cells = [builder.load(builder.gep(header, [ir.Constant(word, row + i)])) for i in range(1 + array_type.ndim)]
    array = context.make_array(array_type)(context, builder)
    itemsize = context.get_abi_sizeof(context.get_data_type(array_type.dtype))
    strides = [context.get_constant(types.intp, itemsize)]
    for extent in reversed(cells[2:]):
        strides.insert(0, builder.mul(strides[0], extent))
    populate_array(
        array,
        data=builder.inttoptr(cells[0], array.data.type),
        shape=cgutils.pack_array(builder, cells[1:]),
        strides=cgutils.pack_array(builder, strides),
        itemsize=context.get_constant(types.intp, itemsize),
        meminfo=None,
    )
    return array._getvalue()


@unbox(StateType)
def _unbox_state(_type: StateType, value: Any, context: Any) -> NativeValue:
    """Read ``State.address``."""
    address = context.pyapi.object_getattr_string(value, "address")
    pointer = context.pyapi.long_as_voidptr(address)
    context.pyapi.decref(address)
    return NativeValue(pointer, is_error=cgutils.is_not_null(context.builder, context.pyapi.err_occurred()))


assert np.dtype(np.intp).itemsize == 8, "the model computes in 64-bit words"
