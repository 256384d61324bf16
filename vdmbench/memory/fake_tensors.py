"""Fake tensors that answer quickly: what an operation gives is found once for each form of its arguments, and repeated then.

A step of a UNet asks tens of thousands of times, mostly what was asked before. PyTorch's own mode keeps answers too, but takes
about as long to look one up as to find it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

DEVICE_OF = torch.ops.prim.device.default
"""The operation by which PyTorch's C++ asks a fake tensor where it is: two calls of three."""
_SCALARS = frozenset({int, float, bool, complex, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format})
_UNLIKE = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view}
"""Tags of operations whose results do not follow from the forms of their arguments, or that change an argument's own form."""
_MOST = 20_000
"""Answers that a process keeps; of a few networks."""


_aten = torch.ops.aten
_DIRECT = frozenset({
    _aten.view.default, _aten.as_strided.default, _aten.t.default, _aten.transpose.int, _aten.permute.default,
    _aten.unsqueeze.default, _aten.squeeze.dim, _aten.expand.default, _aten.slice.Tensor, _aten.select.int,
    _aten.split_with_sizes.default, _aten.detach.default, _aten._unsafe_view.default, _aten.clone.default,
    _aten.add.Tensor, _aten.add.Scalar, _aten.sub.Tensor, _aten.mul.Tensor, _aten.mul.Scalar, _aten.div.Tensor,
    _aten.neg.default, _aten.exp.default, _aten.sigmoid.default, _aten.silu.default, _aten.sum.dim_IntList,
    _aten.add_.Tensor, _aten.sub_.Tensor, _aten.mul_.Tensor, _aten.zero_.default, _aten.fill_.Scalar, _aten.uniform_.default,
    _aten.mm.default, _aten.bmm.default, _aten.addmm.default, _aten.addcmul.default,
})  # fmt: skip
"""Their kernels for the meta device are PyTorch's own in C++, as every device's shapes are: Python's detour is spared."""


class FakeTensors(FakeTensorMode):
    """No value is known, not even that of a constant; and a copy of a module stays in the mode of its original."""

    def __init__(self) -> None:
        super().__init__()
        self.cache_enabled = False  # of PyTorch's own answers
        self._attributes: dict[torch.device, dict[str, Any]] = {}
        """Of every fake tensor of this mode: its constructor takes as long to set them as all the rest does."""

    def may_turn_const(self, t: Tensor) -> bool:
        return False

    def __deepcopy__(self, memo: dict[int, Any]) -> FakeTensors:
        return self

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled under this mode, and the guard against it costs half as much as an answer

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is DEVICE_OF:
            return args[0].device
        form = _form(func, args, kwargs) if _repeats(func) else None
        if form is None:
            return super().__torch_dispatch__(func, types, args, kwargs or {})
        if form not in _answers:
            result = self._found(func, types, args, kwargs or {})
            if len(_answers) >= _MOST:
                _answers.clear()
            _answers[form] = _answer(result, args)
            return result
        answer = _answers[form]
        if answer is None:
            return super().__torch_dispatch__(func, types, args, kwargs or {})
        if isinstance(answer, _Several):
            return answer.kind([each.repeated(self, args) for each in answer.parts])
        return answer.repeated(self, args)

    def _found(self, func: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        tensors = [each for each in args if isinstance(each, Tensor)]
        devices = {each.fake_device for each in tensors if isinstance(each, FakeTensor)}
        if func not in _DIRECT or len(devices) > 1 or any(each.dim() == 0 for each in tensors):
            return super().__torch_dispatch__(func, types, args, kwargs)
        with in_kernel_invocation_manager(self):
            result = func(*args, **kwargs)
        (device,) = devices
        if isinstance(result, Tensor):
            return self.made(result, device)
        return [self.made(each, device) for each in result]

    def made(self, meta: Tensor, device: torch.device) -> FakeTensor:
        """``meta`` as a fake tensor on ``device``."""
        if isinstance(meta, FakeTensor):  # an argument, changed in place
            return meta
        if device not in self._attributes:
            self._attributes[device] = dict(vars(FakeTensor(self, meta.detach(), device)))
        fake = Tensor._make_subclass(FakeTensor, meta, dispatch_device=True, device_for_backend_keys=device)
        vars(fake).update(self._attributes[device])
        return fake


_repeating: dict[Any, bool] = {}


def _repeats(func: Any) -> bool:
    """Whether what ``func`` gives follows from the forms of its arguments: PyTorch's own, but for a few, and ours."""
    known = _repeating.get(func)
    if known is None:
        known = _repeating[func] = (
            isinstance(func, torch._ops.OpOverload)
            and (torch._library.utils.is_builtin(func) or func.namespace == "vdmbench")
            and _UNLIKE.isdisjoint(func.tags)
            and func not in FakeTensorMode.lift_fns
        )
    return known


def _form(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    """All of a call that its results' forms depend on; None where they may depend on more."""
    form = [func, torch.is_inference_mode_enabled(), torch.get_default_dtype()]
    if not _add(form, args) or (kwargs and not (_add(form, kwargs.keys()) and _add(form, kwargs.values()))):
        return None
    return tuple(form)


def _add(form: list[Any], values: Any) -> bool:
    for value in values:
        kind = type(value)
        if kind in _SCALARS:
            form += kind, value
        elif isinstance(value, FakeTensor):
            if value.constant is not None or value.layout is not torch.strided:
                return False
            form += (
                value.shape, value.stride(), value.storage_offset(), value.untyped_storage().nbytes(), value.dtype,
                value.fake_device, value.requires_grad, value.is_conj(), value.is_neg(), value.is_inference(),
            )  # fmt: skip
        elif kind is list or kind is tuple:
            form += kind, len(value)
            if not _add(form, value):
                return False
        else:
            return False
    return True


class _Given(NamedTuple):
    """An argument itself, as operations in place give."""

    place: int

    def repeated(self, mode: FakeTensors, args: Sequence[Any]) -> Any:
        return args[self.place]


class _Made(NamedTuple):
    """A tensor in a storage of its own, or in that of an argument."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    viewed: int | None
    offset: int

    def repeated(self, mode: FakeTensors, args: Sequence[Any]) -> FakeTensor:
        if self.viewed is None:
            made = torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device="meta")
        else:
            made = torch.empty(0, dtype=self.dtype, device="meta")
            made.set_(args[self.viewed].untyped_storage(), self.offset, self.shape, self.stride)
        return mode.made(made, self.device)


class _Value(NamedTuple):
    """What is no tensor: None, or a number."""

    value: Any

    def repeated(self, mode: FakeTensors, args: Sequence[Any]) -> Any:
        return self.value


_Part = _Given | _Made | _Value


class _Several(NamedTuple):
    kind: type[list[Any]] | type[tuple[Any, ...]]
    parts: tuple[_Part, ...]


_answers: dict[tuple[Any, ...], _Part | _Several | None] = {}
"""By form; None where a result cannot be made again from the arguments alone."""


def _answer(result: Any, args: Sequence[Any]) -> _Part | _Several | None:
    if not isinstance(result, tuple | list):
        return _part(result, args)
    parts = [_part(each, args) for each in result]
    known = tuple(part for part in parts if part is not None)
    new = [
        each.untyped_storage()._cdata
        for each, part in zip(result, parts, strict=True)
        if isinstance(part, _Made) and part.viewed is None
    ]
    if len(known) < len(parts) or len(set(new)) < len(new):  # two in one storage
        return None
    return _Several(list if isinstance(result, list) else tuple, known)


def _part(result: Any, args: Sequence[Any]) -> _Part | None:
    if type(result) in _SCALARS:
        return _Value(result)
    if not isinstance(result, FakeTensor):
        return None
    for place, each in enumerate(args):
        if each is result:
            return _Given(place)
    if result.constant is not None or result.layout is not torch.strided:
        return None
    if (
        result.requires_grad
        or result.is_conj()
        or result.is_neg()
        or result.is_inference() != torch.is_inference_mode_enabled()
    ):
        return None  # what is made below is none of these, and follows the mode; a view of a weight does not
    storage = result.untyped_storage()
    viewed = next(
        (place for place, each in enumerate(args)
         if isinstance(each, FakeTensor) and each.untyped_storage()._cdata == storage._cdata), None,
    )  # fmt: skip
    made = _Made(result.shape, result.stride(), result.dtype, result.fake_device, viewed, int(result.storage_offset()))
    if viewed is None:
        alike = torch.empty_strided(made.shape, made.stride, dtype=made.dtype, device="meta")
        if made.offset or storage.nbytes() != alike.untyped_storage().nbytes():
            return None  # a view of something that is hidden
    return made
