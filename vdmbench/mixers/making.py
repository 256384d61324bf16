"""From a mixer's name and options, as a suite declares them, to what makes one for a number of channels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vdmbench import registry
from vdmbench.mixers.mixer import Mixer
from vdmbench.user_code import InvalidUserCode, is_code, load_class

MakeMixer = Callable[[int], Mixer]
"""Number of channels to a mixer of that width."""


def mixer_maker(choice: Mapping[str, Any]) -> MakeMixer:
    """``{"name": ..., **options}`` to a maker; a name is one of the registry, or a user's ``path.py:Class``, which is run.

    Raises:
        UnknownName: no entry of the registry has the name.
        InvalidUserCode: the file cannot be run, holds no such mixer, or the mixer does not take the options.
    """
    options = dict(choice)
    name = options.pop("name")
    if not is_code(name):
        return partial(registry.mixers[name].load(), **options)
    made = load_class(name, sha256=options.pop("sha256", None))
    if not (isinstance(made, type) and issubclass(made, Mixer)):
        raise InvalidUserCode(f"{name} must be a class that derives vdmbench.mixers.Mixer")
    try:
        inspect.signature(made).bind(1, **options)
    except TypeError as error:
        raise InvalidUserCode(f"{name} cannot be built as {made.__name__}(channels, **{options}): {error}") from None
    return partial(made, **options)
