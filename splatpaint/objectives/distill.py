"""Score distillation: gradients towards the denoised latents of the prior, without backpropagation through its network.

`grad = w(t) (eps_hat(z_t; t, known pixels) - eps)` (DreamFusion, eq. 3, conditioned on what is known around the hole as in
Inpaint3D, eq. 5), on latents of the rendering, in the holes' cells alone. It seeks modes and blurs (published ablations
have it last), so it is off by default.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from splatpaint.errors import ConfigError
from splatpaint.image.region import to_cells
from splatpaint.image.resample import working_size
from splatpaint.objectives.protocol import Step, TrainableProperties
from splatpaint.priors.crops import CELLS
from splatpaint.priors.protocol import Prior, PriorQuery


@dataclass(frozen=True)
class DistillConfig:
    """Noise levels, weights and guidance of score distillation."""

    kind: Literal["distill"] = "distill"
    weight: float = 0.1
    every: int = 4
    """Interval of steps with score distillation; its weight is multiplied by the interval."""
    t_min: float = 0.02
    """Lowest noise level, as a share of all levels."""
    t_max: float = 0.98
    """Highest noise level at the start."""
    t_max_final: float = 0.4
    """Highest noise level at the end; it decreases linearly (annealing of NeRFiller)."""
    weighting: Literal["spread", "signal_spread"] = "spread"
    """w(t) = 1 - a (DreamFusion) or sqrt(a) (1 - a) (Latent-NeRF), with a = alpha_bar."""
    guidance: float | None = None
    """By text; None = as the prior was configured."""

    def __post_init__(self) -> None:
        if self.every < 1 or not 0 <= self.t_min <= min(self.t_max, self.t_max_final) <= max(self.t_max, self.t_max_final) <= 1:
            raise ConfigError("every must be at least 1, and the noise levels must lie in 0 to 1, t_min below the others")


class Distill:
    """Pulls rendered holes towards what the prior would denoise them to."""

    trains = TrainableProperties(fill=("color", "opacity"), boundary=())

    def __init__(self, config: DistillConfig, prior: Prior) -> None:
        self.config = config
        self.prior = prior

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """The term `distill`.

        Latent splats are rendered at one pixel a cell, and need no encoder (Latent-NeRF, sec. 3.1); target and holes are still
        at the size of the picture.
        """
        if step.number % self.config.every or not bool((step.holes > 0.5).any()):
            return {"distill": step.rendered.color.new_zeros(())}
        prior, stride = self.prior, self.prior.codec.stride
        if step.splats.space == "latent":
            known, holes, latents = step.target, (step.holes > 0.5).to(step.holes), step.rendered.color
        else:
            height, width = step.target.shape[2:]
            shape = working_size(height, width, side_px=prior.native_px, multiple=stride * CELLS, enlarge=False)
            known = F.interpolate(step.target, shape, mode="bilinear", antialias=True, align_corners=False)
            holes = (F.adaptive_max_pool2d(step.holes, shape) > 0.5).to(step.holes)
            shown = step.rendered.color * step.holes + step.target * (1 - step.holes)
            shown = F.interpolate(shown, shape, mode="bilinear", antialias=True, align_corners=False)
            latents = prior.codec.encode(shown)
        highest = self.config.t_max + (self.config.t_max_final - self.config.t_max) * step.progress
        draw = self.config.t_min + (highest - self.config.t_min) * float(torch.rand(1, generator=step.generator))
        level = min(int(draw * len(prior.noise)), len(prior.noise) - 1)
        eps = torch.randn(latents.shape, generator=step.generator).to(latents)
        pulled = score_distillation(
            prior,
            PriorQuery(known, holes),
            latents,
            level,
            eps,
            weighting=self.config.weighting,
            guidance=self.config.guidance,
        )
        return {"distill": self.config.weight * self.config.every * pulled}


def score_distillation(
    prior: Prior,
    query: PriorQuery,
    latents: Float[Tensor, "v c hl wl"],
    level: int,
    eps: Float[Tensor, "v c hl wl"],
    *,
    weighting: Literal["spread", "signal_spread"],
    guidance: float | None = None,
) -> Tensor:
    """A scalar whose gradient by `latents` is the score distillation gradient, averaged over the holes' cells.

    Its value is half the mean square of that gradient's residual: of use in plots, no loss that would fall.

    Args:
        prior: denoises.
        query: what is known, at the latents' size times the codec's stride.
        latents: of the rendering.
        level: of noise, an index into the prior's schedule.
        eps: the noise.
        weighting: see `DistillConfig`.
        guidance: see `Prior.denoise`.
    """
    t = torch.full((len(latents),), level, device=latents.device)
    with torch.no_grad():
        noisy = prior.noise.add_noise(latents, eps, t)
        found = prior.denoise(noisy, t, prior.condition(query), guidance=guidance)
        weight = prior.noise.spread(t) ** 2
        if weighting == "signal_spread":
            weight = weight * prior.noise.signal(t)
        cells = to_cells(query.holes, prior.codec.stride).to(latents)
        pull = torch.nan_to_num(weight * (found.noise - eps) * cells)
    return 0.5 * F.mse_loss(latents, (latents - pull).detach(), reduction="sum") / cells.sum().clamp_min(1.0)
