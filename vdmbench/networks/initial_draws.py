"""Initial weights that depend on a seed and on where they stand, and on nothing else.

A constructor draws from PyTorch's global generator, so what a weight begins as depends on everything that was built before it:
two variants that differ in one layer would begin apart in all layers behind it. Here the constructor runs as it is, and before
each of its draws the generator is seeded by (seed, path of the parameter that the draw ends in). Distributions are the
constructor's; what two networks draw alike under the same path and shape begins alike.

Which draw ends in which parameter is seen in a first construction on the meta device, where nothing is computed: each operation
hands on, from its inputs to its outputs, which draws they hold. A draw that is made on the CPU alone, such as those by which
``trunc_normal_`` rejects, is known by the draw before it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Built = TypeVar("Built", bound=nn.Module)


def drawn_by_path(make: Callable[[], Built], seed: int) -> Built:
    """What ``make`` makes, on the CPU, each of its draws by ``seed`` and the path of what it ends in.

    The global generators are left as they were. A draw of ``make`` from a generator of its own stays what it is, as do those of
    NumPy.
    """
    draws = _Draws()
    with torch.device("meta"), draws:
        structure = make()
    keys = draws.keys([*structure.named_parameters(), *structure.named_buffers()])
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), _Seeded(seed, draws.made, keys):
        return make()


def _draws(operation: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether it draws from the global generator."""
    return torch.Tag.nondeterministic_seeded in operation.tags and kwargs.get("generator") is None


def _draw(operation: Any, args: Any) -> Any:
    """What two draws have in common that can be the same one: operation, shapes and arguments."""
    return operation, [tuple(each.shape) if isinstance(each, Tensor) else each for each in args]


def _tensors(*values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


class _Draws(TorchDispatchMode):
    """Numbers the draws of a construction, and follows into which storages they go."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Any] = []
        self._held: dict[int, set[int]] = {}
        self._alive: list[Any] = []  # a storage that is freed would give its address to another

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs, outputs = _tensors(args, kwargs or {}), _tensors(result)
        overwritten = func in _OVERWRITING and outputs[0].numel() * outputs[0].element_size() == _storage(outputs[0]).nbytes()
        sources = inputs[1:] if overwritten else inputs
        held = set().union(*(self._held.get(_storage(each)._cdata, set()) for each in sources))
        if _draws(func, kwargs or {}):
            held = held | {len(self.made)}
            self.made.append(_draw(func, args))
        for each in outputs:
            self._alive.append(storage := _storage(each))
            self._held[storage._cdata] = held
        return result

    def keys(self, tensors: Iterable[tuple[str, Tensor]]) -> list[str]:
        """Of each draw: the first path that it ends in, and the how-manieth it is of those there."""
        ends = ["" for _ in self.made]
        for path, tensor in sorted(tensors, key=lambda each: each[0], reverse=True):
            for number in self._held.get(_storage(tensor)._cdata, ()):
                ends[number] = path
        seen: Counter[str] = Counter()
        keys = []
        for path in ends:
            keys.append(f"{path}:{seen[path]}")
            seen[path] += 1
        return keys


_OVERWRITING = {
    torch.ops.aten.uniform_.default,
    torch.ops.aten.normal_.default,
    torch.ops.aten.copy_.default,
    torch.ops.aten.zero_.default,
    torch.ops.aten.fill_.Scalar,
}
"""Of a whole tensor these leave nothing of what it held."""


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()


class _Seeded(TorchDispatchMode):
    """Seeds the global generator before each draw of a construction, by the key of the draw that was expected."""

    def __init__(self, seed: int, expected: list[Any], keys: list[str]) -> None:
        super().__init__()
        self._seed, self._expected, self._keys = seed, expected, keys
        self._next, self._more = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if _draws(func, kwargs or {}):
            digest = hashlib.sha256(f"initial:{self._seed}:{self._key(_draw(func, args))}".encode()).digest()
            torch.default_generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        return func(*args, **(kwargs or {}))

    def _key(self, draw: Any) -> str:
        if self._next < len(self._expected) and self._expected[self._next] == draw:
            self._next, self._more = self._next + 1, 0
            return self._keys[self._next - 1]
        self._more += 1
        before = self._keys[self._next - 1] if self._next else ""
        return f"{before}+{self._more}"
