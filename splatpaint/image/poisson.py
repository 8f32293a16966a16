"""Poisson blending of image regions that were copied into a hole: removes the seams between them.

The result has the gradients of the copied regions and the colors of the known pixels at the boundary (Perez et al. 2003,
Poisson Image Editing, eq. 7; several regions: Agarwala et al. 2004, Interactive Digital Photomontage, sec. 4).
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu
from torch import Tensor
from torch.nn import functional as F

ANCHOR = 1e-3
"""Weight of the copied colors relative to the copied gradients. Seams are spread over 1 / sqrt(ANCHOR), about 30 px, to both
sides. With less weight, errors at many seams accumulate to a color cast."""


@torch.no_grad()
def poisson_blend(
    image: Float[Tensor, "c h w"], hole: Bool[Tensor, "h w"], source_index: Int[Tensor, "h w"], known: Bool[Tensor, "h w"]
) -> Float[Tensor, "c h w"]:
    """The image with its hole blended from copied pixels; pixels outside the hole are returned bit-identical.

    Args:
        image: sRGB in [0, 1].
        hole: True where pixels are replaced.
        source_index: flat index of the pixel that is copied to each pixel of the hole. Known pixels next to the hole have the
            index of the pixel that continues the copied region there, or their own.
        known: True where the image is valid. Pixels that are neither known nor in the hole are ignored.
    """
    _, height, width = image.shape
    if not hole.any():
        return image.clone()
    margin = (0, 1, 0, 1)  # an unknown column and row, so that flat indices do not wrap around to the next row
    flat, hole, known = (F.pad(each, margin).flatten(-2) for each in (image, hole, known))
    source_index = F.pad(source_index + source_index // width, margin).flatten()
    colors = torch.where(hole, flat[:, source_index], flat)
    number = hole.cumsum(dim=0) - 1
    sums = ANCHOR * colors[:, hole].double()
    weights = torch.full_like(sums[0], ANCHOR)
    links = []
    for step in (1, width + 1):
        here, gradients = _gradients(flat, hole, source_index, known, step)
        for end, other, gradient in ((here, here + step, -gradients), (here + step, here, gradients)):
            own = hole[end]
            pixel, beside = number[end[own]], other[own]
            free = hole[beside]
            weights[pixel] += 1
            sums[:, pixel] += (gradient[:, own] + torch.where(free, 0, flat[:, beside])).double()
            links.append(torch.stack([pixel[free], number[beside[free]]]))
    flat[:, hole] = _solve(weights, torch.cat(links, dim=1), sums).to(flat).clamp(0, 1)
    return flat.view(-1, height + 1, width + 1)[:, :height, :width]


def _gradients(
    flat: Float[Tensor, "c n"],
    hole: Bool[Tensor, " n"],
    source_index: Int[Tensor, " n"],
    known: Bool[Tensor, " n"],
    step: int,
) -> tuple[Int[Tensor, " e"], Float[Tensor, "c e"]]:
    """The pixels with a gradient constraint to the pixel one step further, and the gradient.

    Both pixels give a gradient, taken at their source, if the neighbor of the source is known; their mean is used.
    """
    useful = hole | known
    here = torch.nonzero((hole[:-step] | hole[step:]) & useful[:-step] & useful[step:])[:, 0]
    first, second = source_index[here], source_index[here + step]
    ahead, back = known[first + step], known[second - step]
    gradients = torch.where(ahead, flat[:, first + step] - flat[:, first], 0)
    gradients = gradients + torch.where(back, flat[:, second] - flat[:, second - step], 0)
    gradients = gradients / (ahead.to(flat) + back.to(flat)).clamp_min(1)
    constrained = ahead | back
    return here[constrained], gradients[:, constrained]


def _solve(weights: Float[Tensor, " n"], links: Int[Tensor, "2 e"], sums: Float[Tensor, "c n"]) -> Float[Tensor, "c n"]:
    """The solution x of `weights[i] x[i] - (sum of x[j] over the links (i, j)) = sums[i]`."""
    rows, columns = links.cpu().numpy()
    count = len(weights)
    linked = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    factors = splu(
        (diags_array(weights.cpu().numpy()) - linked).tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
    )
    return torch.from_numpy(factors.solve(sums.cpu().numpy().T).T).to(sums)
