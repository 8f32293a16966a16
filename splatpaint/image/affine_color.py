"""Affine color transfer between two images: one gain and one offset per channel."""

import torch
from jaxtyping import Float
from torch import Tensor


def gain_and_offset(
    x: Float[Tensor, "1 c h w"], y: Float[Tensor, "1 c h w"], weight: Float[Tensor, "1 k h w"], *, about_black: float = 0.0
) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Weighted least squares fit of `gain * x + offset` to y, per channel; gain 1 and offset 0 where all weights are zero.

    Args:
        x: image whose colors are transformed.
        y: image whose colors are matched.
        weight: weight of each pixel, shared by the channels (k = 1) or per channel (k = c).
        about_black: strength of a prior for offset 0: weight of additional pixels that are black in both images, relative to
            the total weight.
    """
    total = weight.sum(dim=(0, 2, 3))

    def mean(a: Tensor, b: Tensor) -> Float[Tensor, " c"]:
        return torch.einsum("vchw,vchw->c", a, b) / total.clamp_min(1.0)

    mean_x, mean_y = mean(weight, x), mean(weight, y)
    centered = x - mean_x[:, None, None]
    weighted = weight * centered
    variance, covariance = mean(weighted, centered), mean(weighted, y - mean_y[:, None, None])
    regularized = variance + about_black * mean_x.square()
    gain = torch.where(regularized > 1e-9, (covariance + about_black * mean_x * mean_y) / regularized.clamp_min(1e-9), 1.0)
    observed = total > 0
    return torch.where(observed, gain, 1.0), torch.where(observed, mean_y - gain * mean_x, 0.0)
