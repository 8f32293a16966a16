"""A small network that tells photos from what was made, patch by patch, so that a codec or a denoiser learns to be sharp."""

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from splatpaint.priors.training import Training

WIDTH = 32
"""Channels of the first layer."""


class PatchCritic(nn.Sequential):
    """Strided convolutions with spectral normalization (Isola et al. 2017; Miyato et al. 2018); a number every eight pixels."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        channels = [3, width, 2 * width, 4 * width]
        for inside, outside in pairwise(channels):
            layers += [spectral_norm(nn.Conv2d(inside, outside, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        super().__init__(*layers, spectral_norm(nn.Conv2d(channels[-1], 1, 3, padding=1)))


def init_discriminator(learning_rate: float, steps: int, precision: str, maker: Training) -> Training:
    """A critic that learns beside what it judges, and is continued with it."""
    critic = Training(PatchCritic(WIDTH), learning_rate, steps, precision, path=None)
    if maker.beside is not None:
        critic.restore(maker.beside)
    return critic


def generator_loss(critic: nn.Module, made: Float[Tensor, "v 3 h w"], where: Float[Tensor, "v 1 h w"] | None = None) -> Tensor:
    """What a maker minimizes: the critic shall take what was made for real, everywhere or where that is 1."""
    return -_mean(critic(made * 2 - 1), where)


def discriminator_loss(
    critic: nn.Module,
    real: Float[Tensor, "v 3 h w"],
    made: Float[Tensor, "v 3 h w"],
    where: Float[Tensor, "v 1 h w"] | None = None,
) -> Tensor:
    """What the critic minimizes: the hinge loss (Lim & Ye 2017), everywhere or where that is 1."""
    taken_for_made, taken_for_real = F.relu(1 - critic(real * 2 - 1)), F.relu(1 + critic(made.detach() * 2 - 1))
    return (_mean(taken_for_made, where) + _mean(taken_for_real, where)) / 2


def _mean(verdicts: Float[Tensor, "v 1 hp wp"], where: Float[Tensor, "v 1 h w"] | None) -> Tensor:
    if where is None:
        return verdicts.mean()
    weight = F.adaptive_max_pool2d(where, verdicts.shape[2:]).to(verdicts)
    return (verdicts * weight).sum() / weight.sum().clamp_min(1)
