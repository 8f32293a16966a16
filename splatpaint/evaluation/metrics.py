"""Image metrics within a region."""

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.affine_color import gain_and_offset
from splatpaint.image.perceptual import Lpips
from splatpaint.image.region import Box, masked_mean

MIN_LPIPS_PX = 64
"""Minimum side of a box for LPIPS; smaller boxes are enlarged (AlexNet's last grid is a single pixel at 47 px)."""


def psnr(
    x: Float[Tensor, "v c h w"], y: Float[Tensor, "v c h w"], *, region: Float[Tensor, "v 1 h w"] | None = None
) -> Float[Tensor, " v"]:
    """Peak signal-to-noise ratio of each view in dB over a region, for peak 1; infinite for identical images."""
    return -10 * torch.log10(masked_mean((x - y).square(), region))


def fit_exposure(
    x: Float[Tensor, "1 c h w"], y: Float[Tensor, "1 c h w"], *, region: Float[Tensor, "1 1 h w"]
) -> Float[Tensor, "1 c h w"]:
    """x with the gain and offset per channel that fit it to y over a region, which removes exposure and white balance.

    The fit uses known pixels only (outside the hole), so it may be applied everywhere. Unchanged if the region is empty.
    """
    if not region.any():
        return x
    gain, offset = gain_and_offset(x, y, region)
    return (x * gain[:, None, None] + offset[:, None, None]).clamp(0, 1)


def lpips_in_box(lpips: Lpips, x: Float[Tensor, "1 3 h w"], y: Float[Tensor, "1 3 h w"], box: Box) -> Float[Tensor, " 1"]:
    """LPIPS of the two images cropped to the box (enlarged to `MIN_LPIPS_PX`)."""
    wide = enlarge(box, MIN_LPIPS_PX, width=x.shape[-1], height=x.shape[-2])
    return lpips(wide.crop(x), wide.crop(y))


def enlarge(box: Box, side: int, *, width: int, height: int) -> Box:
    """The box with sides of at least `side` pixels, around the same center as far as it fits into the image."""
    left, right = _enlarge_interval(box.left, box.right, side, width)
    top, bottom = _enlarge_interval(box.top, box.bottom, side, height)
    return Box(left=left, top=top, right=right, bottom=bottom)


def _enlarge_interval(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    length = min(max(length, high - low), limit)
    start = min(max((low + high - length) // 2, 0), limit - length)
    return start, start + length
