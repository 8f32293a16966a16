"""How far one set of pictures is from another as a whole, when no picture has its own truth.

Both distances compare features of VGG-16 (its last ReLU, averaged over the picture), not of the Inception network for which FID
and KID are named: numbers can be compared within one table, never with published FIDs. Small sets bias the Fréchet distance
upward (say n beside it); the kernel distance is unbiased.
"""

import math
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from splatpaint.image.perceptual import Lpips

MIN_PICTURES = 8
"""Fewer say nothing about a distribution."""


@torch.no_grad()
def features(pictures: Iterable[Float[Tensor, "1 3 _h _w"]], net: Lpips) -> Float[Tensor, "n d"]:
    """One vector a picture, of any sizes."""
    return torch.cat([net.embed(picture) for picture in pictures])


def frechet(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets (Heusel et al. 2017, eq. 6).

    Raises:
        ValueError: if a set has fewer than `MIN_PICTURES` members.
    """
    _refuse_small(a, b)
    a, b = a.double(), b.double()
    means = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    # With covariances A = X'X and B = Y'Y, tr sqrt(A B) is the nuclear norm of XY', from which orthogonal factors drop out.
    x, y = (torch.linalg.qr((side - side.mean(dim=0)) / math.sqrt(len(side) - 1), mode="r").R for side in (a, b))
    return float(means + x.square().sum() + y.square().sum() - 2 * torch.linalg.matrix_norm(x @ y.T, ord="nuc"))


def kernel(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018); may be negative.

    Raises:
        ValueError: if a set has fewer than `MIN_PICTURES` members.
    """
    _refuse_small(a, b)
    a, b = a.double(), b.double()

    def similarity(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def without_itself(x: Tensor) -> Tensor:
        full = similarity(x, x)
        return (full.sum() - full.diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(without_itself(a) + without_itself(b) - 2 * similarity(a, b).mean())


def _refuse_small(*sets: Tensor) -> None:
    for each in sets:
        if len(each) < MIN_PICTURES:
            raise ValueError(f"{len(each)} pictures make no distribution: expected at least {MIN_PICTURES}")
