"""Loops over channels as explicit SIMD code: a Python function over vectors becomes one LLVM loop inside a Numba function.

Numba leaves vectorisation to LLVM, which gives up on the scan's loops: ten to fifteen arrays that might overlap, and an
exponential that Numba has no vector form of. A *row kernel* says what happens to one vector of adjacent channels; the
function is traced once at compile time, and its loop neither tests for overlap nor has a tail, because rows are padded to a
multiple of :func:`lanes`. Kernels are written against four kinds of arguments, told apart by annotation:

- :class:`Row`: one value a channel; ``row.value`` loads the current vector, setting it stores one.
- ``Rows``: ``STATES`` adjacent rows of a (state, channels) array, a list of :class:`Row`.
- ``Scalars``: ``STATES`` adjacent numbers, each the same for all channels; a list of :class:`Vector`.
- ``Sums``: ``STATES`` adjacent numbers that receive sums over all channels; a list of :class:`Sum`.
- ``Maxima``: as ``Sums``, the largest over all channels; a list of :class:`Maximum`.

Where the array of the first ``Rows`` has more than ``STATES`` rows, a kernel goes through all of them, ``STATES`` at a time: a
slice for each step of a loop in Numba would be counted as a reference, which takes longer than the arithmetic at few channels.

Sums are taken in an order that depends on the channels and the vector width alone, so results repeat bit for bit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

STATES = 4
"""State rows a kernel takes at once: what they share is loaded once, and what they sum to stored once."""

_VECTOR_BYTES = 64 if llvmlite.binding.get_host_cpu_features().get("avx512f", False) else 32
_CONTRACT = ("contract",)  # a * b + c may become one fused operation; nothing may be reordered
_I32, _I64 = ir.IntType(32), ir.IntType(64)


def lanes(itemsize: int) -> int:
    """Channels per vector, for elements of that many bytes; rows are padded to a multiple of it."""
    return _VECTOR_BYTES // itemsize


class Vector:
    """One vector of adjacent channels while a kernel is traced; arithmetic emits LLVM instructions."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    def constant(self, number: float) -> ir.Constant:
        return ir.Constant(self.value.type, [float(number)] * self.value.type.count)

    def _with(self, emit: Callable[..., ir.Value], other: Vector | float) -> Vector:
        right = other.value if isinstance(other, Vector) else self.constant(other)
        return Vector(self.builder, emit(self.value, right, flags=_CONTRACT))

    def __add__(self, other: Vector | float) -> Vector:
        return self._with(self.builder.fadd, other)

    def __sub__(self, other: Vector | float) -> Vector:
        return self._with(self.builder.fsub, other)

    def __mul__(self, other: Vector | float) -> Vector:
        return self._with(self.builder.fmul, other)

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._with(self.builder.fdiv, other)

    def where_below(self, bound: float, then: Vector | float, otherwise: Vector | float) -> Vector:
        """``then`` in the channels where self < bound, ``otherwise`` elsewhere, NaN included."""
        below = self.builder.fcmp_ordered("<", self.value, self.constant(bound))
        chosen = [side.value if isinstance(side, Vector) else self.constant(side) for side in (then, otherwise)]
        return Vector(self.builder, self.builder.select(below, *chosen))

    def larger(self, other: Vector) -> Vector:
        """The larger of both in each channel; a NaN of ``other`` is kept."""
        above = self.builder.fcmp_ordered(">", self.value, other.value)
        return Vector(self.builder, self.builder.select(above, self.value, other.value))

    def in_pairs(self) -> Vector:
        """Each channel's neighbour: channels 0 and 1 change places, 2 and 3, and so on."""
        order = [lane ^ 1 for lane in range(self.value.type.count)]
        return Vector(self.builder, _shuffled(self.builder, self.value, self.value, order))


class Row:
    """The current vector of a row in memory."""

    def __init__(self, builder: ir.IRBuilder, pointer: ir.Value, vector: ir.VectorType, itemsize: int) -> None:
        self._builder, self._itemsize = builder, itemsize
        self._pointer = builder.bitcast(pointer, vector.as_pointer())

    @property
    def value(self) -> Vector:
        return Vector(self._builder, self._builder.load(self._pointer, align=self._itemsize))

    @value.setter
    def value(self, vector: Vector) -> None:
        self._builder.store(vector.value, self._pointer, align=self._itemsize)


class Sum:
    """A running sum over channels."""

    begins = 0.0

    def __init__(self, builder: ir.IRBuilder, slot: ir.Value) -> None:
        self._builder, self._slot = builder, slot

    def add(self, vector: Vector) -> None:
        self._builder.store(self.joined(self._now, vector).value, self._slot)

    @staticmethod
    def joined(one: Vector, other: Vector) -> Vector:
        return one + other

    @property
    def _now(self) -> Vector:
        return Vector(self._builder, self._builder.load(self._slot))

    def of_lanes(self) -> ir.Value:
        """One number: the upper half of the lanes is folded onto the lower until one is left."""
        builder, total = self._builder, self._now
        count = total.value.type.count
        undefined, half = ir.Constant(total.value.type, ir.Undefined), count // 2
        while half:
            order = ir.Constant(ir.VectorType(_I32, count), [(lane + half) % count for lane in range(count)])
            total = self.joined(total, Vector(builder, builder.shuffle_vector(total.value, undefined, order)))
            half //= 2
        return builder.extract_element(total.value, _I32(0))


class Maximum(Sum):
    """The largest so far over channels."""

    begins = float("-inf")

    @staticmethod
    def joined(one: Vector, other: Vector) -> Vector:
        return one.larger(other)


Rows = list[Row]
Scalars = list[Vector]
Sums = list[Sum]
Maxima = list[Maximum]
_TOTALS: dict[Any, type[Sum]] = {Sums: Sum, Maxima: Maximum}


def row_kernel(body: Callable[..., None]) -> Callable[..., None]:
    """Make a function over vectors callable from Numba code, with arrays in place of its arguments.

    A :class:`Row` takes a 1-D array with unit stride, ``Rows`` a (state, channels) array, its channels adjacent, the others
    1-D arrays with unit stride; all of one float type. The first argument is a Row and sets the channel count; the first of
    ``Rows`` sets the number of states, a multiple of ``STATES``.
    """
    signature = inspect.signature(body, eval_str=True)
    kinds = [parameter.annotation for parameter in signature.parameters.values()]

    def typed(typing_context: Any, *arrays: types.Array) -> Any:
        return types.void(*arrays), lambda *lowering: _lower(body, kinds, *lowering)

    typed.__name__ = body.__name__
    context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    typed.__signature__ = signature.replace(parameters=[context, *signature.parameters.values()])  # type: ignore[attr-defined]
    return intrinsic(typed)


def _transposed(typing_context: Any, out: types.Array, x: types.Array) -> Any:
    return types.void(out, x), _lower_transposed


transposed: Callable[..., None] = intrinsic(_transposed)
"""out (channels, rows) <- x (rows, channels), both whole vectors: a square of vectors at a time, in registers."""


def _lower_transposed(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
    itemsize = signature.args[0].dtype.bitwidth // 8
    vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), lanes(itemsize))
    to, of = (context.make_array(kind)(context, builder, value) for kind, value in zip(signature.args, values, strict=True))
    rows, channels = cgutils.unpack_tuple(builder, of.shape, 2)
    side = vector.count

    def at(array: Any, row: ir.Value, column: ir.Value, number: int) -> Row:
        stride = builder.sdiv(cgutils.unpack_tuple(builder, array.strides, 2)[0], _I64(itemsize))
        start = builder.add(column, builder.mul(stride, builder.add(row, _I64(number))))
        return Row(builder, builder.gep(array.data, [start]), vector, itemsize)

    with (
        cgutils.for_range_slice(builder, _I64(0), rows, _I64(side)) as (row, _),
        cgutils.for_range_slice(builder, _I64(0), channels, _I64(side)) as (channel, _),
    ):
        square = [at(of, row, channel, number).value.value for number in range(side)]
        step = 1
        while step < side:  # blocks of ``step`` off the diagonal change places
            for number in range(side):
                if not number & step:
                    one, other = square[number], square[number + step]
                    upper = [lane + (side - step) * bool(lane & step) for lane in range(side)]
                    lower = [lane + (side if lane & step else step) for lane in range(side)]
                    square[number] = _shuffled(builder, one, other, upper)
                    square[number + step] = _shuffled(builder, one, other, lower)
            step *= 2
        for number, value in enumerate(square):
            at(to, channel, row, number).value = Vector(builder, value)
    return context.get_dummy_value()


def _product(typing_context: Any, out: types.Array, x: types.Array, y: types.Array) -> Any:
    return types.void(out, x, y), _lower_product


product: Callable[..., None] = intrinsic(_product)
"""out (rows, columns) <- x^T y of x (terms, rows) and y (terms, columns), rows and columns whole vectors.

A square of vectors at a time is summed in registers, terms in their order.
"""


def _lower_product(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
    itemsize = signature.args[0].dtype.bitwidth // 8
    vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), lanes(itemsize))
    arrays = [context.make_array(kind)(context, builder, value) for kind, value in zip(signature.args, values, strict=True)]
    terms, rows = cgutils.unpack_tuple(builder, arrays[1].shape, 2)
    columns = cgutils.unpack_tuple(builder, arrays[2].shape, 2)[1]
    strides = [builder.sdiv(cgutils.unpack_tuple(builder, each.strides, 2)[0], _I64(itemsize)) for each in arrays]
    sums = [cgutils.alloca_once(builder, vector) for _ in range(vector.count)]

    def at(number: int, row: ir.Value, column: ir.Value) -> ir.Value:
        return builder.gep(arrays[number].data, [builder.add(column, builder.mul(strides[number], row))])

    with (
        cgutils.for_range_slice(builder, _I64(0), columns, _I64(vector.count)) as (column, _),
        cgutils.for_range_slice(builder, _I64(0), rows, _I64(vector.count)) as (row, _),
    ):
        for total in sums:
            builder.store(ir.Constant(vector, [0.0] * vector.count), total)
        with cgutils.for_range_slice(builder, _I64(0), terms, _I64(1)) as (term, _):
            seen = Row(builder, at(2, term, column), vector, itemsize).value
            start = at(1, term, row)
            for number, total in enumerate(sums):
                factor = _broadcast(builder, builder.load(builder.gep(start, [_I64(number)])), vector)
                builder.store((Vector(builder, builder.load(total)) + seen * Vector(builder, factor)).value, total)
        for number, total in enumerate(sums):
            place = at(0, builder.add(row, _I64(number)), column)
            Row(builder, place, vector, itemsize).value = Vector(builder, builder.load(total))
    return context.get_dummy_value()


def _shuffled(builder: ir.IRBuilder, one: ir.Value, other: ir.Value, order: list[int]) -> ir.Value:
    """Lanes of two vectors side by side, each from the one of that number."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_I32, len(order)), order))


def _lower(
    body: Callable[..., None], kinds: list[Any], context: Any, builder: ir.IRBuilder, signature: Any, values: Any
) -> ir.Value:
    element = context.get_data_type(signature.args[0].dtype)
    itemsize = signature.args[0].dtype.bitwidth // 8
    vector = ir.VectorType(element, lanes(itemsize))
    arrays = [context.make_array(kind)(context, builder, value) for kind, value in zip(signature.args, values, strict=True)]
    channels = cgutils.unpack_tuple(builder, arrays[0].shape, 1)[0]

    if Rows not in kinds:
        _lower_block(body, kinds, arrays, _I64(0), builder, vector, channels)
        return context.get_dummy_value()
    states = cgutils.unpack_tuple(builder, arrays[kinds.index(Rows)].shape, 2)[0]
    with cgutils.for_range_slice(builder, _I64(0), states, _I64(STATES)) as (state, _):
        _lower_block(body, kinds, arrays, state, builder, vector, channels)
    return context.get_dummy_value()


def _lower_block(
    body: Callable[..., None],
    kinds: list[Any],
    arrays: list[Any],
    state: ir.Value,
    builder: ir.IRBuilder,
    vector: ir.VectorType,
    channels: ir.Value,
) -> None:
    """The loop over channels, for the ``STATES`` states from number ``state`` on."""
    operands: list[Any] = []
    for kind, array in zip(kinds, arrays, strict=True):  # what does not move with the channels is set up before the loop
        if kind is Scalars:
            numbers = [builder.load(builder.gep(array.data, [builder.add(state, _I64(n))])) for n in range(STATES)]
            operands.append([Vector(builder, _broadcast(builder, number, vector)) for number in numbers])
        elif kind in _TOTALS:
            start = ir.Constant(vector, [_TOTALS[kind].begins] * vector.count)
            operands.append([_TOTALS[kind](builder, cgutils.alloca_once_value(builder, start)) for _ in range(STATES)])
        else:
            operands.append(None)
    itemsize = _VECTOR_BYTES // vector.count
    with cgutils.for_range_slice(builder, _I64(0), channels, _I64(vector.count)) as (channel, _):
        for position, (kind, array) in enumerate(zip(kinds, arrays, strict=True)):
            if kind is Row:
                operands[position] = Row(builder, builder.gep(array.data, [channel]), vector, itemsize)
            elif kind is Rows:
                stride = builder.sdiv(cgutils.unpack_tuple(builder, array.strides, 2)[0], _I64(itemsize))
                rows = [builder.mul(stride, builder.add(state, _I64(n))) for n in range(STATES)]
                starts = [builder.add(channel, row) for row in rows]
                operands[position] = [Row(builder, builder.gep(array.data, [start]), vector, itemsize) for start in starts]
        body(*operands)
    for kind, array, operand in zip(kinds, arrays, operands, strict=True):
        if kind in _TOTALS:
            for n, total in enumerate(operand):
                builder.store(total.of_lanes(), builder.gep(array.data, [builder.add(state, _I64(n))]))


def _broadcast(builder: ir.IRBuilder, number: ir.Value, vector: ir.VectorType) -> ir.Value:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, number, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count))


def exp2(x: Vector) -> Vector:
    """2^x to 1e-7 (float32) and 3e-15 (float64), relative; beyond the range of the dtype, the nearest power of two in it.

    x = n + f with n an integer and |f| <= 1/2: adding 1.5 x 2^mantissa leaves n in the low bits of the sum, from where it is
    shifted into the exponent of 2^n; 2^f is a polynomial.
    """
    single = isinstance(x.value.type.element, ir.FloatType)
    mantissa, bias, degree, bits = (23, 127, 6, 32) if single else (52, 1023, 11, 64)
    x = x.where_below(1.0 - bias, 1.0 - bias, x)
    x = x.where_below(float(bias), x, float(bias))
    builder, shift = x.builder, x.constant(1.5 * 2.0**mantissa + bias)
    shifted = builder.fadd(x.value, shift)
    fraction = Vector(builder, builder.fsub(x.value, builder.fsub(shifted, shift)))
    integers = ir.VectorType(ir.IntType(bits), x.value.type.count)
    exponent = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [mantissa] * integers.count))
    return _polynomial(fraction, np.exp2, degree, -0.5, 0.5) * Vector(builder, builder.bitcast(exponent, x.value.type))


def log1p_of_unit(u: Vector) -> Vector:
    """log(1 + u) for u in [0, 1], accurate relative to its value: 2 artanh(s) with s = u / (2 + u) <= 1/3."""
    single = isinstance(u.value.type.element, ir.FloatType)
    s = u / (u + 2.0)
    return s * _polynomial(s * s, lambda w: 2 * np.arctanh(np.sqrt(w)) / np.sqrt(w), 5 if single else 12, 0.0, 1 / 9)


def _polynomial(x: Vector, function: Callable[[Any], Any], degree: int, low: float, high: float) -> Vector:
    """The function on [low, high] by its interpolant at Chebyshev nodes, evaluated by Horner's rule."""
    interpolant = np.polynomial.Chebyshev.interpolate(function, degree, domain=[low, high])
    *lower, highest = (float(number) for number in interpolant.convert(kind=np.polynomial.Polynomial).coef)
    value = Vector(x.builder, x.constant(highest))
    for coefficient in reversed(lower):
        value = value * x + coefficient
    return value
