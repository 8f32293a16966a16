"""Structural similarity (SSIM): a fast form for training, and the usual form for reporting."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

from splatpaint.image.region import masked_mean

WINDOW_PX = 11
"""Side of the Gaussian window (Wang et al., "Image Quality Assessment", 2004, sec. III-C)."""
SIGMA_PX = 1.5
"""Standard deviation of the window, same source."""
C1, C2 = 0.01**2, 0.03**2
"""Stabilizers (K1 L)^2 and (K2 L)^2 for a dynamic range L = 1."""


def ssim_map(x: Float[Tensor, "v c h w"], y: Float[Tensor, "v c h w"]) -> Float[Tensor, "v c h w"]:
    """SSIM in the window around every pixel, per channel, in [-1, 1]; 1 where the images agree.

    With u = x + y and d = x - y, the five local moments of the usual formula follow from the local means of u, d, u^2 and d^2
    (for instance, 4 cov(x, y) = var(u) - var(d)): four blurs instead of five, forward and backward.
    Images are padded by reflection, so both sides must be longer than half the window (5 px).
    """
    half = WINDOW_PX // 2
    x, y = (pad(side, (half, half, half, half), mode="reflect") for side in (x, y))
    u, d = x + y, x - y
    mean_u, mean_d, mean_uu, mean_dd = _blur(torch.cat([u, d, u * u, d * d], dim=1)).chunk(4, dim=1)
    uu, dd = mean_u * mean_u, mean_d * mean_d
    luminance = (uu - dd + 2 * C1) / (uu + dd + 2 * C1)
    var_u, var_d = mean_uu - uu, mean_dd - dd
    return luminance * (var_u - var_d + 2 * C2) / (var_u + var_d + 2 * C2)


def ssim(
    x: Float[Tensor, "v c h w"], y: Float[Tensor, "v c h w"], *, region: Float[Tensor, "v 1 h w"] | None = None
) -> Float[Tensor, " v"]:
    """The mean SSIM (kornia's implementation) of each view over a region (weights; all pixels if not given).

    Use this for reporting; `ssim_map` computes the same quantity faster for training.
    """
    from kornia.metrics import ssim as kornia_ssim

    return masked_mean(kornia_ssim(x, y, WINDOW_PX, eps=0.0), region)


def window_taps(like: Tensor) -> Float[Tensor, " taps"]:
    """The window along one axis, of sum 1; dtype and device are those of the given tensor."""
    offsets = torch.arange(WINDOW_PX, dtype=like.dtype, device=like.device) - WINDOW_PX // 2
    return torch.softmax(-(offsets**2) / (2 * SIGMA_PX**2), dim=0)


def _blur(images: Float[Tensor, "v c h w"]) -> Float[Tensor, "v c h-10 w-10"]:
    """The Gaussian-weighted mean in every window that lies inside the image; two one-dimensional passes."""
    channels, taps = images.shape[1], window_taps(images)
    if images.device.type == "cpu":
        images = images.contiguous(memory_format=torch.channels_last)  # several times as fast on CPUs
    rows = conv2d(images, taps.view(1, 1, 1, -1).expand(channels, 1, 1, WINDOW_PX), groups=channels)
    return conv2d(rows, taps.view(1, 1, -1, 1).expand(channels, 1, WINDOW_PX, 1), groups=channels).contiguous()
