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

MOST_STEP = 0.1
"""A seam across which colors differ by more is no other exposure but another thing, and stays."""
ANCHOR = 1e-4
"""Of a copied color itself, beside every change to a neighbor: what no known pixel reaches keeps it."""


@torch.no_grad()
def seamless(
    image: Float[Tensor, "c h w"], hole: Bool[Tensor, "h w"], taken: Int[Tensor, "h w"], known: Bool[Tensor, "h w"]
) -> Float[Tensor, "c h w"]:
    """The image, its hole made of pieces of it; what is not in the hole comes back bit-identical.

    Args:
        image: in [0, 1].
        hole: where it is replaced.
        taken: flat index of the known pixel that a piece has there, in the hole and in the known pixels right around it.
        known: where the image says something; nothing is looked at that is neither known nor in the hole.
    """
    flat, inside, at, sure = image.flatten(1), hole.flatten(), taken.flatten(), known.flatten()
    if not inside.any():
        return image.clone()
    colors = torch.where(inside, flat[:, at], flat)
    number = inside.cumsum(dim=0) - 1
    sums = ANCHOR * colors[:, inside]
    weights = torch.full_like(sums[0], ANCHOR)
    links = []
    for step in (1, image.shape[2]):
        here, change = _changes(flat, colors, at, sure, inside, step)
        for end, other, risen in ((here, here + step, -change), (here + step, here, change)):
            own = inside[end]
            pixel, beside, risen = number[end[own]], other[own], risen[:, own]
            free = inside[beside]
            weights.index_add_(0, pixel, torch.ones_like(pixel).to(weights))
            sums.index_add_(1, pixel, risen + torch.where(free, 0, flat[:, beside]))
            links.append(torch.stack([pixel[free], number[beside[free]]]))
    result = flat.clone()
    result[:, inside] = _solved(weights, torch.cat(links, dim=1), sums).clamp(0, 1)
    return result.view_as(image)


def _changes(
    flat: Float[Tensor, "c n"],
    colors: Float[Tensor, "c n"],
    at: Int[Tensor, " n"],
    sure: Bool[Tensor, " n"],
    inside: Bool[Tensor, " n"],
    step: int,
) -> tuple[Int[Tensor, " e"], Float[Tensor, "c e"]]:
    """The pixels whose color is bound to that of the one a step further, and by how much it changes on the way.

    The pieces of both say so, each where its neighbor in the image is known, and their mean is taken.
    """
    there = torch.arange(step, len(at), device=at.device)
    here = there - step
    there = there[(inside[here] | inside[there]) & (inside[here] | sure[here]) & (inside[there] | sure[there])]
    here = there - step
    ahead, back = (at[here] + step).clamp_max(len(at) - 1), (at[there] - step).clamp_min(0)
    first, second = sure[ahead].to(flat), sure[back].to(flat)
    change = first * (flat[:, ahead] - flat[:, at[here]]) + second * (flat[:, at[there]] - flat[:, back])
    change = change / (first + second).clamp_min(1)
    bound = (colors[:, there] - colors[:, here] - change).abs().amax(dim=0) <= MOST_STEP
    return here[bound], change[:, bound]


def _solved(weights: Float[Tensor, " n"], links: Int[Tensor, "2 e"], sums: Float[Tensor, "c n"]) -> Float[Tensor, "c n"]:
    """Of the weighted sum of every color, less those of its links, being what is given: the colors."""
    count = len(weights)
    at = links.cpu().numpy()
    system = diags_array(weights.double().cpu().numpy()) - coo_array(
        (np.ones(at.shape[1]), (at[0], at[1])), shape=(count, count)
    )
    factors = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return torch.from_numpy(factors.solve(sums.double().cpu().numpy().T).T).to(sums)
