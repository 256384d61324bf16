"""Which numbers the same declaration gives: a version that cells, checkpoints and shared trainings carry.

A cell's identity is the hash of what was declared, so code that trains or samples otherwise under the same declaration would
pass its numbers for those of before. Whoever changes what an unchanged declaration gives (initial weights, batches, noise,
parameter groups, averaging, samplers) raises :data:`NUMBERS` and adds a line to :data:`CHANGES`. A metric has a version of its
own, in its protocol.
"""

from __future__ import annotations

NUMBERS = 3
"""Version of the code that initialises, trains and samples."""

CHANGES: dict[int, tuple[str, ...]] = {
    1: ("as first released; identities of this version carry no version",),
    2: (
        "initial weights are drawn from (seed, path of the parameter): what two variants have in common begins alike",
        "parameters that a mixer marks, norms, biases and embeddings are not decayed",
        "averaged weights begin at the initial weights, and may be warmed up",
        "mixer 'identity' is nothing; before, it added its norm to its input",
        "mixer 'hydra' starts with A = 1; before, with Mamba-2's U(1, 16)",
        "mixer 'gated-delta-net' starts with A from U(0, 16), no bias in its convolutions, and 1e-6 in the length of q and k",
        "mixer 'mamba2' norms each group by itself; with merge concat, it and 'gated-delta-net' each direction by itself",
        "preset 'oshima2024' gives attention base_channels / 8 heads where 'heads' is left out",
    ),
    3: (
        "kernels round differently: mixers, the step of the optimiser and the averaging of weights, the norms of networks",
        "attention at small widths has several heads where 'heads' and 'head_dim' are left out; before, one of 64",
        "training begins with a linear warm-up of the learning rate where a suite declares none",
        "a branch of a temporal layer ends in a learnt gain where a suite does not decline it",
    ),
}
"""What each version changed."""
