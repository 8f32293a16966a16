"""A patch discriminator, and the hinge losses by which it sharpens a codec or a denoiser in training."""

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from splatpaint.priors.training import Training

WIDTH = 32
"""Channels of the first layer."""


class PatchDiscriminator(nn.Module):
    """Three strided convolutions and a head (Isola et al. 2017): one score for each 8 x 8 pixels, positive = real.

    Args:
        width: channels of the first layer; each further layer has twice as many.
        spectral: whether weights are divided by their spectral norm (Miyato et al. 2018).
    """

    def __init__(self, width: int, *, spectral: bool) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width]
        convolutions = (nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(channels))
        self.layers = nn.ModuleList(spectral_norm(layer) if spectral else layer for layer in convolutions)
        head = nn.Conv2d(channels[-1], 1, 3, padding=1)
        self.head = spectral_norm(head) if spectral else head

    def forward(self, images: Float[Tensor, "v 3 h w"]) -> tuple[Float[Tensor, "v 1 _ _"], list[Float[Tensor, "v _ _ _"]]]:
        """Scores, and the activations of the strided layers."""
        x, activations = images, []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            activations.append(x)
        return self.head(x), activations


def init_discriminator(learning_rate: float, steps: int, precision: str, generator: Training) -> Training:
    """The training of a discriminator beside a generator's; restored from the generator's checkpoint if that has one."""
    discriminator = Training(PatchDiscriminator(WIDTH, spectral=True), learning_rate, steps, precision, path=None)
    if generator.companion is not None:
        discriminator.restore(generator.companion)
    return discriminator


def generator_loss(
    discriminator: nn.Module, fake: Float[Tensor, "v 3 h w"], mask: Float[Tensor, "v 1 h w"] | None = None
) -> Tensor:
    """The hinge loss of the generator: minus the mean score of generated pictures in [0, 1], where the mask is 1."""
    return -_masked_mean(discriminator(fake * 2 - 1)[0], mask)


def discriminator_loss(
    discriminator: nn.Module,
    real: Float[Tensor, "v 3 h w"],
    fake: Float[Tensor, "v 3 h w"],
    mask: Float[Tensor, "v 1 h w"] | None = None,
) -> Tensor:
    """The hinge loss of the discriminator (Lim & Ye 2017, Geometric GAN) for pictures in [0, 1], where the mask is 1.

    It has no gradient by the generated pictures.
    """
    on_real = F.relu(1 - discriminator(real * 2 - 1)[0])
    on_fake = F.relu(1 + discriminator(fake.detach() * 2 - 1)[0])
    return (_masked_mean(on_real, mask) + _masked_mean(on_fake, mask)) / 2


def _masked_mean(scores: Float[Tensor, "v 1 hp wp"], mask: Float[Tensor, "v 1 h w"] | None) -> Tensor:
    if mask is None:
        return scores.mean()
    weight = F.adaptive_max_pool2d(mask, scores.shape[2:]).to(scores)
    return (scores * weight).sum() / weight.sum().clamp_min(1)
