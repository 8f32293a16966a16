"""Pieces of a picture set side by side without seams.

What is kept of a piece is how it changes from pixel to pixel; the colors follow from that and from the known pixels around
(Perez et al. 2003, Poisson Image Editing, eq. 7; many pieces: Agarwala et al. 2004, Interactive Digital Photomontage, sec. 4).
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu
from torch import Tensor
from torch.nn import functional as F

ANCHOR = 1e-3
"""Of a copied color itself, beside every change to a neighbor: a seam is spread over 30 px (one over the root of this) to
either side. With less, what is wrong at many seams adds up: a wall that one lamp lights began to glow in green."""


@torch.no_grad()
def poisson_blend(
    image: Float[Tensor, "c h w"], hole: Bool[Tensor, "h w"], taken: Int[Tensor, "h w"], known: Bool[Tensor, "h w"]
) -> Float[Tensor, "c h w"]:
    """The image, its hole made of pieces of it; what is not in the hole comes back bit-identical.

    Args:
        image: in [0, 1].
        hole: where it is replaced.
        taken: flat index of the known pixel that a piece has there, in the hole and in the known pixels right around it.
        known: where the image says something; nothing is looked at that is neither known nor in the hole.
    """
    _, height, width = image.shape
    if not hole.any():
        return image.clone()
    margin = (0, 1, 0, 1)  # unknown, so that no pixel has the beginning of the next row, or what is below, for a neighbor
    flat, hole, known = (F.pad(each, margin).flatten(-2) for each in (image, hole, known))
    taken = F.pad(taken + taken // width, margin).flatten()
    colors = torch.where(hole, flat[:, taken], flat)
    number = hole.cumsum(dim=0) - 1
    sums = ANCHOR * colors[:, hole].double()
    weights = torch.full_like(sums[0], ANCHOR)
    links = []
    for step in (1, width + 1):
        here, change = _changes(flat, hole, taken, known, step)
        for end, other, risen in ((here, here + step, -change), (here + step, here, change)):
            own = hole[end]
            pixel, beside = number[end[own]], other[own]
            free = hole[beside]
            weights[pixel] += 1
            sums[:, pixel] += (risen[:, own] + torch.where(free, 0, flat[:, beside])).double()
            links.append(torch.stack([pixel[free], number[beside[free]]]))
    flat[:, hole] = _solved(weights, torch.cat(links, dim=1), sums).to(flat).clamp(0, 1)
    return flat.view(-1, height + 1, width + 1)[:, :height, :width]


def _changes(
    flat: Float[Tensor, "c n"],
    hole: Bool[Tensor, " n"],
    taken: Int[Tensor, " n"],
    known: Bool[Tensor, " n"],
    step: int,
) -> tuple[Int[Tensor, " e"], Float[Tensor, "c e"]]:
    """The pixels whose color is bound to that of the one a step further, and by how much it changes on the way.

    The pieces of both say so, each where its neighbor in the image is known, and their mean is taken.
    """
    useful = hole | known
    here = torch.nonzero((hole[:-step] | hole[step:]) & useful[:-step] & useful[step:])[:, 0]
    first, second = taken[here], taken[here + step]
    ahead, back = known[first + step], known[second - step]
    change = torch.where(ahead, flat[:, first + step] - flat[:, first], 0)
    change = change + torch.where(back, flat[:, second] - flat[:, second - step], 0)
    change = change / (ahead.to(flat) + back.to(flat)).clamp_min(1)
    bound = ahead | back
    return here[bound], change[:, bound]


def _solved(weights: Float[Tensor, " n"], links: Int[Tensor, "2 e"], sums: Float[Tensor, "c n"]) -> Float[Tensor, "c n"]:
    """The values of which each, times its weight and less those it is linked to, is the given sum."""
    rows, columns = links.cpu().numpy()
    count = len(weights)
    linked = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    factors = splu(
        (diags_array(weights.cpu().numpy()) - linked).tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
    )
    return torch.from_numpy(factors.solve(sums.cpu().numpy().T).T).to(sums)
