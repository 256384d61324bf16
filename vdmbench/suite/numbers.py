"""Which numbers the same declaration gives: a version that cells, checkpoints and shared trainings carry.

A cell's identity is the hash of what was declared, so code that trains or samples otherwise under the same declaration would
pass its numbers for those of before. Whoever changes what an unchanged declaration gives (initial weights, batches, noise,
parameter groups, averaging, samplers) raises :data:`NUMBERS` and adds a line to :data:`CHANGES`. A metric has a version of its
own, in its protocol.
"""

from __future__ import annotations

NUMBERS = 2
"""Version of the code that initialises, trains and samples."""

CHANGES: dict[int, tuple[str, ...]] = {
    1: ("as first released; identities of this version carry no version",),
    2: (
        "initial weights are drawn from (seed, path of the parameter): what two variants have in common begins alike",
        "parameters that a mixer marks, norms, biases and embeddings are not decayed",
        "averaged weights begin at the initial weights, and may be warmed up",
        "mixer 'identity' is nothing; before, it added its norm to its input",
    ),
}
"""What each version changed."""
