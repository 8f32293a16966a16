"""How far a picture is from the truth, within a region."""

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.affine_color import gain_and_offset
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import Box, masked_mean

MIN_LPIPS_PX = 64
"""Boxes with a shorter side are widened before LPIPS, whose trunks need some room (AlexNet's grid is a pixel at 47)."""


def psnr(
    x: Float[Tensor, "v c h w"], y: Float[Tensor, "v c h w"], *, region: Float[Tensor, "v 1 h w"] | None = None
) -> Float[Tensor, " v"]:
    """Peak signal-to-noise ratio in dB over a region, peak 1, one number a view; infinite where the pictures agree."""
    return -10 * torch.log10(masked_mean((x - y).square(), region))


def recolored(
    x: Float[Tensor, "1 c h w"], y: Float[Tensor, "1 c h w"], *, region: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 c h w"]:
    """x with the gain and offset a channel that bring it closest to y over a region: exposure and white balance taken out.

    Fitted where both are known (outside the hole), it is fair to apply everywhere. Unchanged if the region is empty.
    """
    if not region.any():
        return x
    gain, offset = gain_and_offset(x, y, region)
    return (x * gain[:, None, None] + offset[:, None, None]).clamp(0, 1)


def lpips_in_box(lpips: Lpips, x: Float[Tensor, "1 3 h w"], y: Float[Tensor, "1 3 h w"], box: Box) -> Float[Tensor, " 1"]:
    """LPIPS of the two crops, as published: the box is the picture."""
    wide = widened(box, MIN_LPIPS_PX, width=x.shape[-1], height=x.shape[-2])
    return lpips(wide.crop(x), wide.crop(y))


def widened(box: Box, side: int, *, width: int, height: int) -> Box:
    """The box with sides of at least `side` pixels where the picture allows it, about the same center, inside the picture."""
    left, right = _stretched(box.left, box.right, side, width)
    top, bottom = _stretched(box.top, box.bottom, side, height)
    return Box(left=left, top=top, right=right, bottom=bottom)


def _stretched(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    length = min(max(length, high - low), limit)
    start = min(max((low + high - length) // 2, 0), limit - length)
    return start, start + length
