"""Training: one step, its averaged weights, and a state from which it goes on exactly."""

from __future__ import annotations

import hashlib
import math
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from vdmbench.data.loading import to_model_range
from vdmbench.diffusion import Denoiser, Process
from vdmbench.engine.acceleration import compiled, prepared_for_training
from vdmbench.engine.distributed import Ranks, mapped
from vdmbench.engine.events import HeldOut, NonFiniteLoss, NonFiniteState, Snapshot, TrainingState
from vdmbench.engine.finite import spoiled
from vdmbench.mixers.weight_decay import decayed_names
from vdmbench.networks.conditional import Told
from vdmbench.ops.recompute import recomputing
from vdmbench.suite.averaging import ema_decay
from vdmbench.suite.blocks import Precision, Train
from vdmbench.suite.learning_rate import learning_rate

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Mixed precision as declared; fp32 changes nothing."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, dtype=_DTYPES[precision])


def draw_seed(*parts: int | str) -> int:
    """A 63-bit seed for one draw, so that draws depend on what they are for and never on what came before."""
    return int.from_bytes(hashlib.sha256(":".join(map(str, parts)).encode()).digest()[:8], "little") >> 1


class Trainer:
    """A network, its optimiser and its averaged weights; on each of ``ranks``, which take every step together.

    Batches, levels and noise of a step are functions of (seed, step) alone: every variant sees the same ones, and a run
    that was cut short goes on as if it had not been. Levels and noise are drawn for the batch of all ranks, of which each takes
    its part, so that the loss is that of one process.

    Args:
        drop: share of clips that a network with a condition is told nothing of.
    """

    def __init__(
        self,
        network: nn.Module,
        diffusion: Process,
        train: Train,
        seed: int,
        device: torch.device,
        ranks: Ranks | None = None,
        *,
        drop: float = 0.0,
    ) -> None:
        network = prepared_for_training(network, train)
        self.network, self.diffusion, self.settings, self.seed, self.device = network, diffusion, train, seed, device
        self.ranks = ranks or Ranks()
        self.drop = drop
        self.done = 0
        self.losses: list[float] = []
        self.seconds = 0.0
        """Of all steps, as whoever times them says."""
        self.held_out: list[HeldOut] = []
        """Held-out losses, as whoever takes them says."""
        self.average = None if train.ema is None else self.ranks.average_of(network)
        decayed = decayed_names(network)  # read from the parameters themselves, which sharding replaces
        self._parallel = self.ranks.parallel(network, device)
        if self.average is not None and self.ranks.sharded:
            self.ranks.parallel(self.average.module, device)
        if train.compile:
            self._parallel = compiled(self._parallel)
        optimiser = torch.optim.AdamW if train.optimiser == "adamw" else torch.optim.Adam
        self.optimiser = optimiser(
            _groups(network, decayed, train.weight_decay),
            lr=train.learning_rate,
            betas=(train.betas[0], train.betas[1]),
            # One kernel for all of it: the default makes a temporary copy of every second moment at every step, and on a CPU
            # takes seven calls for each parameter.
            fused=True,
        )
        # fp16 gradients underflow without a loss scale; the other precisions need none.
        self.scaler = torch.amp.GradScaler(device.type, enabled=train.precision == "fp16")

    def _ema_decay(self) -> float:
        """Of the step that is being taken: as declared, or less in a warm-up."""
        assert self.settings.ema is not None
        return ema_decay(self.settings.ema, self.done) if self.settings.ema_warm_up else self.settings.ema

    @property
    def sampled_network(self) -> nn.Module:
        """The averaged network where there is one, else the trained one."""
        return self.network if self.average is None else self.average.module

    def _loss(
        self, clips: UInt8[Tensor, "batch frames channels height width"], part: int, told: Told | None
    ) -> Float[Tensor, ""]:
        self._seed_layers(part)
        generator = torch.Generator(self.device).manual_seed(draw_seed("train", self.seed, self.done, part))
        x0 = clips.to(self.device, non_blocking=True)
        x0 = to_model_range(x0) if x0.dtype is torch.uint8 else x0.float()  # pixels, or latents
        batch = len(x0) * self.ranks.count
        own = self.ranks.share(batch)
        t = self.diffusion.draw_levels(batch, x0.shape[1], generator)[own]
        noise = torch.randn((batch, *x0.shape[1:]), generator=generator, device=self.device)[own]
        if self.ranks.count > 1:
            noise = noise.clone()  # of its own storage, so that the noise of the other ranks is not kept
        denoiser: Denoiser = self._parallel if told is None else self._telling(told, self._kept(batch, part)[own])
        # Networks recompute what is cheap by default, inside compiled code too; "none" is said to them from outside.
        mode = recomputing("none") if self.settings.recompute == "none" else nullcontext()
        with autocast(self.settings.precision, self.device), mode:
            return self.diffusion.loss(denoiser, x0, t, noise).mean() / self.settings.accumulate

    def _seed_layers(self, part: int) -> None:
        """What a user's layer draws by itself, as dropout does, follows from seed and step too, as all draws of a step do."""
        seed = draw_seed("layers", self.seed, self.done, part, self.ranks.index)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda" and torch.cuda.is_initialized():
            torch.cuda.manual_seed(seed)

    def _kept(self, batch: int, part: int) -> Bool[Tensor, " batch"]:
        """Which clips are told what they show: drawn apart from levels and noise, which stay as without a condition."""
        generator = torch.Generator().manual_seed(draw_seed("drop", self.seed, self.done, part))
        return torch.rand(batch, generator=generator) >= self.drop

    def _telling(self, told: Told, keep: Bool[Tensor, " batch"]) -> Denoiser:
        here = told.keeping(keep).to(self.device)
        return lambda x, t: self._parallel(x, t, here)

    def step(self, batches: list[UInt8[Tensor, "batch frames channels height width"]], told: list[Told] | None = None) -> float:
        """One optimiser step over ``accumulate`` batches; returns the mean loss. Raises :class:`NonFiniteLoss`.

        ``told`` is what the network is told of each batch, where it has a condition.
        """
        loss = float(self.ranks.mean(self.update(batches, told)))
        if not math.isfinite(loss):
            raise NonFiniteLoss(self.done, loss)
        self.done += 1
        self.losses.append(loss)
        return loss

    def update(
        self, batches: list[UInt8[Tensor, "batch frames channels height width"]], told: list[Told] | None = None
    ) -> Float[Tensor, ""]:
        """The work of :meth:`step` on the device, and the loss left there: all that memory is planned from."""
        if not all(module.training for module in self.network.modules()):
            self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for part, clips in enumerate(batches):
            with self.ranks.exchange(self._parallel, last=part + 1 == len(batches)):
                loss = self._loss(clips, part, None if told is None else told[part])
                self.scaler.scale(loss).backward()
            total += loss.detach()
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm, foreach=self.device.type != "cpu")
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, self.done)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average is not None:
            self.ranks.update_average(self.average, self.network, self._ema_decay())
        return total

    def state(self) -> TrainingState | None:
        """All that a later :meth:`restore` needs, copied to the CPU; None on ranks that do not lead. All ranks ask together.

        Raises :class:`NonFiniteState`, on every rank, where some of it is NaN or infinite: a gradient can spoil weights in a
        step whose loss is finite.
        """
        tensors = {
            "network": self.network.state_dict(),
            "optimiser": {
                name: self.optimiser.state[parameter]
                for name, parameter in self.network.named_parameters()
                if parameter in self.optimiser.state
            },
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }
        broken = spoiled(mapped(tensors, self.ranks.own_part))
        if self.ranks.any(bool(broken)):
            raise NonFiniteState(self.done, broken or ["a part on another rank"])
        if not (self.ranks.leads or self.ranks.sharded):
            return None
        kept = mapped(tensors, self._to_cpu)
        state = TrainingState(self.done, kept, list(self.losses), self.seconds, list(self.held_out))
        return state if self.ranks.leads else None

    def _to_cpu(self, tensor: Tensor) -> Tensor | None:
        whole = self.ranks.whole(tensor.detach())
        return whole.to("cpu", copy=True) if self.ranks.leads else None

    def restore(self, state: TrainingState) -> None:
        """Go on from ``state``, the same on every rank; its shapes must be those of this network."""
        load_whole(self.network, state.tensors["network"], self.ranks)
        known = state.tensors["optimiser"]
        names = {parameter: name for name, parameter in self.network.named_parameters()}
        in_groups = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        placed = {
            number: {part: self.ranks.like(value, parameter) for part, value in known[names[parameter]].items()}
            for number, parameter in enumerate(in_groups)
            if names[parameter] in known
        }
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": placed})
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state.tensors["scaler"])
        if self.average is not None:
            load_whole(self.average, state.tensors["average"], self.ranks)
        self.done, self.losses = state.step, list(state.losses)
        self.seconds, self.held_out = state.seconds, list(state.held_out)

    def snapshot(self) -> Snapshot | None:
        """The weights that would be sampled now, copied to the CPU; None on ranks that do not lead. All ranks ask together."""
        tensors = mapped(dict(self.sampled_network.state_dict()), self._to_cpu)
        clips = self.done * self.settings.batch_size * self.settings.accumulate
        return Snapshot(self.done, clips, self.seconds, tensors) if self.ranks.leads else None


def load_whole(module: nn.Module, whole: dict[str, Tensor], ranks: Ranks) -> None:
    """Load tensors that were gathered from all ranks into ``module``, each rank its part."""
    here = module.state_dict()
    module.load_state_dict({name: ranks.like(value, here.get(name, value)) for name, value in whole.items()})


def _groups(network: nn.Module, decayed: set[str], weight_decay: float) -> list[dict[str, Any]]:
    """The parameters that decay, and the others; one group where nothing decays."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault(weight_decay if name in decayed else 0.0, []).append(parameter)
    return [{"params": parameters, "weight_decay": decay} for decay, parameters in groups.items()]


def thin(losses: list[float], points: int = 200) -> tuple[list[int], list[float]]:
    """A curve of at most ``points`` points: last step of each stretch, and the mean over the stretch."""
    count = min(points, len(losses))
    bounds = [index * len(losses) // count for index in range(count + 1)] if count else [0]
    return bounds[1:], [sum(losses[start:end]) / (end - start) for start, end in pairwise(bounds)]
