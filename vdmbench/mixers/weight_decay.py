"""Which parameters weight decay leaves alone.

Decay pulls a weight towards zero, which is no special value of a state space's A, D and step size, of a norm's gain, a bias, or
a row of an embedding. Left alone are all parameters of fewer than two dimensions and embeddings, as is common, and those that
carry the mark ``_no_weight_decay``. The authors of Mamba set that mark in their code (Gu and Dao 2023, arXiv 2312.00752), so a
mixer ported from there keeps their rule.
"""

from __future__ import annotations

from torch import Tensor, nn

MARK = "_no_weight_decay"


def undecayed(values: Tensor) -> nn.Parameter:
    """A parameter of ``values`` that weight decay leaves alone, whatever its shape."""
    parameter = nn.Parameter(values)
    setattr(parameter, MARK, True)
    return parameter


def decayed_names(network: nn.Module) -> set[str]:
    """Names, as in ``named_parameters``, of those that decay: of two dimensions or more, no embedding, and not marked."""
    embeddings = {
        parameter for module in network.modules() if isinstance(module, nn.Embedding) for parameter in module.parameters()
    }
    return {
        name
        for name, parameter in network.named_parameters()
        if parameter.dim() >= 2 and parameter not in embeddings and not getattr(parameter, MARK, False)
    }
