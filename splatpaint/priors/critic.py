"""A small network that tells photos from reconstructions, patch by patch, so that a codec learns to be sharp."""

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchCritic(nn.Sequential):
    """Strided convolutions with spectral normalization (Isola et al. 2017; Miyato et al. 2018); a number every eight pixels."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        channels = [3, width, 2 * width, 4 * width]
        for inside, outside in pairwise(channels):
            layers += [spectral_norm(nn.Conv2d(inside, outside, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        super().__init__(*layers, spectral_norm(nn.Conv2d(channels[-1], 1, 3, padding=1)))


def fooled(critic: nn.Module, made: Float[Tensor, "v 3 h w"]) -> Tensor:
    """What a maker minimizes: the critic shall take what was made for real."""
    return -critic(made * 2 - 1).mean()


def told_apart(critic: nn.Module, real: Float[Tensor, "v 3 h w"], made: Float[Tensor, "v 3 h w"]) -> Tensor:
    """What the critic minimizes: the hinge loss (Lim & Ye 2017)."""
    return (F.relu(1 - critic(real * 2 - 1)).mean() + F.relu(1 + critic(made.detach() * 2 - 1)).mean()) / 2
