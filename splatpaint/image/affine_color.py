"""What makes one picture as bright and as tinted as another: a gain and an offset a channel."""

import torch
from jaxtyping import Float
from torch import Tensor


def gain_and_offset(
    x: Float[Tensor, "1 c h w"], y: Float[Tensor, "1 c h w"], weight: Float[Tensor, "1 k h w"], *, about_black: float = 0.0
) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """The least squares fit of `gain * x + offset` to y; 1 and 0 in a channel that no pixel counts in.

    Args:
        x: what is changed.
        y: what it shall be like.
        weight: how much each pixel counts, for all channels (k = 1) or each by itself (k = c).
        about_black: how much a mere gain is preferred to a gain with an offset: as if a share of the pixels were black in both.
    """
    total = weight.sum(dim=(0, 2, 3))

    def mean(values: Tensor) -> Float[Tensor, " c"]:
        return (values * weight).sum(dim=(0, 2, 3)) / total.clamp_min(1.0)

    mean_x, mean_y = mean(x), mean(y)
    centered = x - mean_x[:, None, None]
    variance, covariance = mean(centered.square()), mean(centered * (y - mean_y[:, None, None]))
    spread = variance + about_black * mean_x.square()
    gain = torch.where(spread > 1e-9, (covariance + about_black * mean_x * mean_y) / spread.clamp_min(1e-9), 1.0)
    told = total > 0
    return torch.where(told, gain, 1.0), torch.where(told, mean_y - gain * mean_x, 0.0)
