"""Local tone of a photo: gains on a coarse grid over its frame, beside the one gain of the whole.

Lenses darken the corners, phones brighten shadows by region, whoever holds the camera shades a table, and a glossy one mirrors
the room. What of this no splats can follow is smooth in the photo, whatever the scene shows there.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

CELLS = 20
"""Cells of the grid along the longer side of a photo."""
SCALES = (8.0, 4.0, 2.0, 1.0)
"""Standard deviations, in cells, of the windows in which a gain is fitted; each gain is what the next, finer one prefers."""
PREFERENCE = 0.02
"""How much the coarser gain counts: as much as a finer window whose weighted squared color has this mean."""
LARGEST = 4.0
"""No gain is larger, or smaller than its inverse: where photo and rendering differ by more, one of them is wrong."""


def local_gain(
    x: Float[Tensor, "1 c h w"], y: Float[Tensor, "1 c h w"], weight: Float[Tensor, "1 k h w"]
) -> Float[Tensor, "1 c rows columns"]:
    """Gains that bring `x` closest to `y` in windows around the cells of a grid, from coarse to fine.

    Where the weights are zero, gains go on from around; far from all others they are one. None exceeds `LARGEST` or falls below
    its inverse.

    Args:
        x: the scene as rendered.
        y: the photo.
        weight: of each pixel, for all channels (k = 1) or each (k = c).
    """
    from kornia.filters import gaussian_blur2d

    height, width = x.shape[-2:]
    rows, columns = (max(1, round(CELLS * side / max(height, width))) for side in (height, width))
    products = adaptive_avg_pool2d(torch.cat([weight * x * y, weight * x * x]), (rows, columns))
    gain = torch.ones_like(products[:1])
    for scale in SCALES:
        side = 2 * round(2.5 * scale) + 1
        xy, xx = gaussian_blur2d(products, side, (scale, scale), border_type="constant").chunk(2)
        gain = (xy + PREFERENCE * gain) / (xx + PREFERENCE)
    return gain.clamp(1 / LARGEST, LARGEST)


def spread_gain(gain: Float[Tensor, "1 c rows columns"], height: int, width: int) -> Float[Tensor, "1 c h w"]:
    """The gains of a grid at every pixel of an image, bilinear between the centers of the cells."""
    return interpolate(gain, size=(height, width), mode="bilinear", align_corners=False)
